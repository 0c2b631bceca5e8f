"""3D scores of a model, a row a case and metric, and the ledger of openings of the test set."""

import getpass
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from pyarrow import ArrowInvalid

from data_prep.errors import PctError
from data_prep.schema import CaseVolumes, Split
from data_prep.shards import list_cases, read_manifest, read_volumes
from data_prep.slices import field_of_view
from data_prep.volume import resample
from pct.metrics import METRIC_VERSION, METRICS, score_volume
from pct.model import Model
from pct.predict import predict_volume

LEDGER = "test_ledger.parquet"
"""In the data folder: every opening of its test set."""


class BadTable(PctError):
    """A file that is no table of scores."""


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
) -> list[Score]:
    """Predict every case of a split in 3D on its CT's grid and compare, in HU."""
    split_sha = read_manifest(data).split_sha
    scores = []
    for done, subject in enumerate(list_cases(data, split), 1):
        case = read_volumes(data, subject)
        for metric, value in score_case(model, case).items():
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
        on_case(done, subject)
    return scores


def score_case(model: Model, case: CaseVolumes) -> dict[str, float]:
    """All volume metrics of one case, inside the head as far as the MR shows it."""
    pct = predict_volume(model, case.mr, onto=case.ct.grid)
    with_mr = resample(field_of_view(case.mr), case.ct.grid, order=0).array
    head, skull = (mask.with_array(mask.array & with_mr) for mask in (case.head, case.skull))
    volumes = [v.array.transpose(2, 1, 0) for v in (pct, case.ct, head, skull)]
    x, y, z = case.ct.spacing_mm
    pct_hu, ct_hu, valid, bone = volumes
    return score_volume(pct_hu, ct_hu, valid, bone, (z, y, x))


def table(scores: Sequence[Score]) -> pd.DataFrame:
    """Scores as a table, a row each."""
    return pd.DataFrame([asdict(score) for score in scores])


def append_parquet(path: Path, rows: pd.DataFrame, *, unique: Sequence[str]) -> pd.DataFrame:
    """Add rows to a Parquet table, newer ones replacing older with equal `unique` columns."""
    merged = pd.concat([read_rows(path), rows]).drop_duplicates(list(unique), keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    merged.reset_index(drop=True).to_parquet(temporary)
    temporary.replace(path)
    return merged


def read_rows(path: Path) -> pd.DataFrame:
    """A Parquet table; an empty one where there is no file. Something else is `BadTable`."""
    if not path.exists():
        return pd.DataFrame()
    try:
        return pd.read_parquet(path)
    except (ArrowInvalid, OSError) as error:
        raise BadTable(
            f"{path}: cannot be read as Parquet ({error}). Give another --to."
        ) from error


def open_test_set(data: Path, model: Model) -> None:
    """Record in DATA/test_ledger.parquet who scored which model on the test set, and when."""
    row = {
        "time_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": getpass.getuser(),
        "model": model.name,
        "model_digest": model_digest(model),
    }
    append_parquet(data / LEDGER, pd.DataFrame([row]), unique=["time_utc", "model_digest"])


def opened_for(data: Path, model: Model) -> str | None:
    """When the test set was first opened for this very model, in UTC; None if it never was."""
    ledger = read_rows(data / LEDGER)
    if ledger.empty:
        return None
    own = ledger[ledger["model_digest"] == model_digest(model)]
    return str(own["time_utc"].min()) if len(own) else None


def has_scores(path: Path, model: Model, split: Split) -> bool:
    """Whether a table of scores holds this model on this split."""
    rows = read_rows(path)
    return not rows.empty and bool(((rows["trial"] == model.name) & (rows["split"] == split)).any())


def model_digest(model: Model) -> str:
    """Which model this is: the start of a hash of its weights."""
    digest = hashlib.sha256()
    for weight in model.generator.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
