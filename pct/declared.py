"""The question a sweep was run to answer, written down before its first score and never after."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from data_prep.atomic import renamed
from data_prep.errors import PctError

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
    """Write DIR/claim.json, unless one or scores are there already; whether it was written."""
    path = folder / FILE
    if path.exists() or (folder / "scores.parquet").exists():
        return False
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with renamed(path) as temporary:
        temporary.write_text(json.dumps({**asdict(question), "declared_utc": now}, indent=1))
    return True


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
