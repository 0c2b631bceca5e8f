"""3D scores of a model, a row a case and metric."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.intensity import mr_to_unit
from data_prep.schema import CaseVolumes, Split
from data_prep.shards import list_cases, read_manifest, read_volumes
from data_prep.slices import field_of_view
from data_prep.volume import Volume, resample
from pct.metrics.case import METRIC_VERSION, METRICS, score_volume
from pct.metrics.skull import skull_scores
from pct.model import Model
from pct.prediction.volume import predict_volume
from pct.scoring.ledger import Entrant


@dataclass(frozen=True)
class Score:
    """One metric of one case, with all that decides whether it may be compared."""

    trial: str
    case: str
    split: str
    split_sha: str
    metric: str
    value: float
    unit: str
    mask_backend: str
    geometry: str = "train"
    background: str = "predicted"
    metric_version: int = METRIC_VERSION


def score_cases(
    model: Model,
    data: Path,
    split: Split,
    *,
    trial: str | None = None,
    on_case: Callable[[int, str], None] = lambda done, case: None,
    on_pct: Callable[[CaseVolumes, Volume], None] = lambda case, pct: None,
) -> list[Score]:
    """Predict every case of a split in 3D on its CT's grid and compare, in HU.

    `on_pct` is handed each case with its pseudo-CT, `on_case` how many are done.
    """
    split_sha = read_manifest(data).split_sha
    scores = []
    for done, subject in enumerate(list_cases(data, split), 1):
        case = read_volumes(data, subject)
        pct = predict_volume(model, case.mr, onto=case.ct.grid)
        for metric, value in score_pct(pct, case).items():
            scores.append(
                Score(
                    trial or model.name,
                    subject,
                    split,
                    split_sha,
                    metric,
                    value,
                    METRICS[metric].unit,
                    case.mask_backend,
                    model.run.geometry,
                    model.run.background,
                )
            )
        on_pct(case, pct)
        on_case(done, subject)
    return scores


def score_case(model: Model, case: CaseVolumes) -> dict[str, float]:
    """All volume metrics of a model on one case."""
    return score_pct(predict_volume(model, case.mr, onto=case.ct.grid), case)


def score_pct(pct: Volume, case: CaseVolumes) -> dict[str, float]:
    """All volume metrics of a pseudo-CT on its CT's grid, in the head as far as the MR shows it.

    The MR is brought to the CT's grid, and to [-1, 1] by its head's percentiles, however a model
    was trained: scores of different models must compare.
    """
    head, skull = masks_in_view(case)
    mr = resample(case.mr, case.ct.grid, fill=float(case.mr.array.min()))
    pct_hu, ct_hu, valid, bone, mr_raw = (
        np.ascontiguousarray(v.array.transpose(2, 1, 0)) for v in (pct, case.ct, head, skull, mr)
    )
    x, y, z = case.ct.spacing_mm
    mr_unit = mr_to_unit(mr_raw, *case.mr_head_window)
    scores = score_volume(pct_hu, ct_hu, valid, bone, (z, y, x), mr_unit=mr_unit)
    return scores | skull_scores(pct, head, skull, backend=case.mask_backend)


def masks_in_view(case: CaseVolumes) -> tuple[Volume, Volume]:
    """Head and skull as far as the MR shows them, on the CT's grid."""
    with_mr = resample(field_of_view(case.mr), case.ct.grid, order=0).array
    head, skull = (mask.with_array(mask.array & with_mr) for mask in (case.head, case.skull))
    return head, skull


def table(scores: Sequence[Score]) -> pd.DataFrame:
    """Scores as a table, a row each."""
    return pd.DataFrame([asdict(score) for score in scores])


def entrant_of(model: Model) -> Entrant:
    """A model as an entrant: trial@epoch, and the start of a hash of its weights."""
    return Entrant(model.name, model.digest)
