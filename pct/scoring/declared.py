"""The question a sweep was run to answer, written down before its first epoch and never after."""

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from data_prep.atomic import renamed
from data_prep.errors import PctError

log = logging.getLogger(__name__)

FILE = "claim.json"
"""In the folder of a sweep, beside `scores.parquet`."""


class BadDeclaration(PctError):
    """A claim.json that is none of ours."""


@dataclass(frozen=True)
class Question:
    """Does setting `b` differ from setting `a` in the metric `on`?"""

    a: str
    b: str
    on: str


def declare(folder: Path, question: Question) -> bool:
    """Write DIR/claim.json if no epoch of a sweep is in the folder yet; whether it stands there.

    Where a sweep has begun without it, or with another one, it comes too late: that is logged, and
    the answer will be exploratory.
    """
    path = folder / FILE
    begun = (folder / "scores.parquet").exists() or any((folder / "spool").glob("*"))
    if not begun and not path.exists():
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with renamed(path) as temporary:
            temporary.write_text(json.dumps({**asdict(question), "declared_utc": now}, indent=1))
    stands = declared_in(folder) == question
    if not stands:
        log.warning(
            "%s: this claim came after another one or after the first epoch: exploratory.", folder
        )
    return stands


def declared_in(folder: Path) -> Question | None:
    """The question declared for the scores of a folder; None where none was."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Question(*(str(content[name]) for name in ("a", "b", "on")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDeclaration(
            f"{path}: cannot be read as a declared claim ({error!r}). Expected a, b and on, as "
            "`pct sweep` writes them from a recipe's `claim`; move it away to explore instead."
        ) from error
