"""3D scores of a model, a row a case and metric, and the ledger of openings of the test set."""

import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from data_prep.schema import CaseVolumes, Split
from data_prep.shards import list_cases, read_manifest, read_volumes
from pct.metrics import METRIC_VERSION, METRICS, score_volume
from pct.model import Model
from pct.predict import predict_volume

LEDGER = "test_ledger.parquet"
"""In the data folder: every opening of its test set."""


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
                )
            )
        on_case(done, subject)
    return scores


def score_case(model: Model, case: CaseVolumes) -> dict[str, float]:
    """All volume metrics of one case."""
    pct = predict_volume(model, case.mr, onto=case.ct.grid)
    volumes = [v.array.transpose(2, 1, 0) for v in (pct, case.ct, case.head, case.skull)]
    x, y, z = case.ct.spacing_mm
    pct_hu, ct_hu, head, skull = volumes
    return score_volume(pct_hu, ct_hu, head, skull, (z, y, x))


def table(scores: Sequence[Score]) -> pd.DataFrame:
    """Scores as a table, a row each."""
    return pd.DataFrame([asdict(score) for score in scores])


def append_parquet(path: Path, rows: pd.DataFrame, *, unique: Sequence[str]) -> pd.DataFrame:
    """Add rows to a Parquet table, newer ones replacing older with equal `unique` columns."""
    old = [pd.read_parquet(path)] if path.exists() else []
    merged = pd.concat([*old, rows]).drop_duplicates(list(unique), keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    merged.reset_index(drop=True).to_parquet(temporary)
    temporary.replace(path)
    return merged


def open_test_set(data: Path, model: Model) -> None:
    """Record in DATA/test_ledger.parquet who scored which model on the test set, and when."""
    row = {
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": getpass.getuser(),
        "model": model.name,
        "model_digest": model_digest(model),
    }
    append_parquet(data / LEDGER, pd.DataFrame([row]), unique=["time_utc", "model_digest"])


def opened_for(data: Path, model: Model) -> str | None:
    """When the test set was first opened for this very model, in UTC; None if it never was."""
    path = data / LEDGER
    if not path.exists():
        return None
    ledger = pd.read_parquet(path)
    own = ledger[ledger["model_digest"] == model_digest(model)]
    return str(own["time_utc"].min()) if len(own) else None


def model_digest(model: Model) -> str:
    """Which model this is, from its card."""
    return str(model.card["stage"])[:16]
