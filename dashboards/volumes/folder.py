"""What a sweep keeps of one head in 3D, and which runs of many are shown of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dashboards.families import family_of
from dashboards.load import Sweep, Trial
from dashboards.pictures.choose import best_first, best_named
from data_prep.volume import Volume, load_nifti, to_ras
from pct.scoring.declared import declared_in

FOLDER = "volumes"
"""In a sweep's folder: CASE_ct.nii.gz and its like, and TRIAL/CASE.nii.gz, all on one grid."""


@dataclass(frozen=True)
class Head:
    """One validation case of which CT and pseudo-CTs are on disk; the other files may be absent."""

    case: str
    folder: Path
    runs: tuple[Trial, ...]
    """Runs with a pseudo-CT, best first; those without a value to be ranked by come last."""

    def path(self, kind: str) -> Path:
        """The file of "ct", "mr", "head" or "skull"."""
        return self.folder / f"{self.case}_{kind}.nii.gz"

    def path_of(self, run: Trial) -> Path:
        """The file of a run's pseudo-CT."""
        return self.folder / run.trial / f"{self.case}.nii.gz"

    def load_ct(self) -> Volume:
        """The CT, int16 HU."""
        return to_ras(load_nifti(self.path("ct")))

    def load(self, kind: str) -> Volume | None:
        """The volume of that kind in RAS order, or None where it is absent."""
        return to_ras(load_nifti(self.path(kind))) if self.path(kind).exists() else None

    def load_run(self, run: Trial) -> Volume:
        """A run's pseudo-CT, int16 HU, its background as predicted."""
        return to_ras(load_nifti(self.path_of(run)))


def find_head(sweep: Sweep) -> Head | None:
    """The first case in DIR/volumes with a CT and a pseudo-CT of any run; None without one."""
    folder = sweep.folder / FOLDER
    ranked = best_first(sweep)
    for path in sorted(folder.glob("*_ct.nii.gz")):
        case = path.name.removesuffix("_ct.nii.gz")
        here = (run for run in ranked if (folder / run.trial / f"{case}.nii.gz").exists())
        head = Head(case=case, folder=folder, runs=tuple(here))
        if head.runs:
            return head
    return None


def chosen(sweep: Sweep, head: Head, *, limit: int) -> tuple[Trial, ...]:
    """Up to `limit` runs to compare: the best, the declared claim's arms, other families' best.

    Places left go to the next best. In the order of their rank.
    """
    found = [run.trial for run in head.runs]
    wanted = (found[0], *_claimed(sweep), *_first_of_families(head.runs), *found)
    picked = list(dict.fromkeys(name for name in wanted if name in found))[:limit]
    return tuple(run for run in head.runs if run.trial in picked)


def left_out(head: Head, shown: Iterable[Trial]) -> str:
    """A sentence on the runs that are not shown, and where they lie; "" where all are."""
    number = len(head.runs) - len(tuple(shown))
    if not number:
        return ""
    return (
        "Shown are the best run, the arms of the declared claim and the best of other families; "
        f"{number} more in {head.folder.parent.name}/{head.folder.name}."
    )


def _claimed(sweep: Sweep) -> Iterator[str]:
    """The best run of each arm of the declared claim, where one was declared."""
    question = declared_in(sweep.folder)
    for arm in (question.a, question.b) if question else ():
        if run := best_named(sweep, arm):
            yield run.trial


def _first_of_families(runs: Iterable[Trial]) -> list[str]:
    families: dict[str, str] = {}
    for run in runs:
        families.setdefault(family_of(run.trial), run.trial)
    return list(families.values())
