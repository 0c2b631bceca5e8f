"""A sweep: a recipe's leaves laid out on the data they run on, before anything is trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_prep.schema import Manifest
from data_prep.shards import read_manifest
from pct.config import NUMERICS, Run, suggest
from pct.cost import refuse_above_budget
from pct.metrics.names import METRICS
from pct.needs import WrongData, check_fit
from pct.precision import Precision, settle_precision
from sweeps.courses import course_of, identity
from sweeps.job import Job, write_json
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.search.space import corner
from sweeps.stages import snapshots
from sweeps.store.store import Store, StoreError
from sweeps.tree import Course, Stage, build_tree, paths_of, twins


@dataclass(frozen=True)
class Sweep:
    """A recipe, the data it runs on, and the leaves known so far (a search adds more)."""

    recipe: Recipe
    folder: Path
    data: Path
    manifest: Manifest
    store: Store
    leaves: tuple[Leaf, ...]

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What, beside the run itself, decides its numbers."""
        return {"data": self.manifest.digest, "numerics": NUMERICS, "torch": version("torch")}

    @cached_property
    def courses(self) -> tuple[Course, ...]:
        """The leaves as the engine sees them."""
        return tuple(
            course_of(leaf.name, leaf.run, identity(leaf.run, self.environment))
            for leaf in self.leaves
        )

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The roots of the stage tree."""
        return build_tree(self.courses)

    @cached_property
    def paths(self) -> dict[str, list[Stage]]:
        """The stages that each leaf passes through, in order."""
        return paths_of(self.stages)

    @cached_property
    def same(self) -> dict[str, str]:
        """Leaf -> the leaf that trains for it (itself, for most)."""
        return twins(self.courses)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """The leaves as workers receive them."""
        return tuple(
            self._job(leaf, course) for leaf, course in zip(self.leaves, self.courses, strict=True)
        )

    @cached_property
    def jobs_of(self) -> dict[str, list[Job]]:
        """The leaves of each trial of the recipe."""
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            found.setdefault(job.trial, []).append(job)
        return found

    @cached_property
    def cuts(self) -> frozenset[int]:
        """Finished epochs after which some leaf's values change, or leaves part."""
        return frozenset(stage.last for path in self.paths.values() for stage in path)

    def _job(self, leaf: Leaf, course: Course) -> Job:
        cuts = [stage.last for stage in self.paths[leaf.name]]
        kept = snapshots(leaf.run.epochs, [*cuts, *switch_epochs(self.recipe)])
        return Job(
            leaf=leaf.name,
            run=leaf.run,
            base=course.base,
            data=str(self.data.resolve()),
            store=self.store.root,
            folder=str(self.folder.resolve()),
            snapshots=kept,
            looks=self._looks(kept),
        )

    def _looks(self, kept: tuple[int, ...]) -> tuple[int, ...]:
        """All that are kept, and what every leaf looks like when one forks, and an epoch later."""
        around = {epoch for cut in self.cuts for epoch in (cut, cut + 1) if epoch < kept[-1]}
        return tuple(sorted({*kept, *around}))

    def of(self, leaves: Sequence[Leaf]) -> "Sweep":
        """The same sweep with these leaves, checked against the data."""
        for leaf in leaves:
            check_fit(leaf.run, self.manifest, self.data, name=leaf.name)
            refuse_above_budget(leaf.run)
        return replace(self, leaves=tuple(_resolved(leaf, self.folder) for leaf in leaves))


def prepare_sweep(recipe: Recipe, *, data: Path, folder: Path, store: str | None = None) -> Sweep:
    """Check the recipe against the data and lay out its leaves; those of a search come later."""
    if recipe.claim:
        _check_metric(recipe.claim.on)
    root = store or str(folder / ".." / "stages")
    if "://" not in root:
        root = str(Path(root).resolve())  # workers open it from folders of their own
    sweep = Sweep(recipe, folder, data, read_manifest(data), _opened(root, folder), ())
    checked = sweep.of(leaves_at(recipe, corner(recipe.space, "low")))
    return sweep if recipe.space else checked


def _opened(root: str, folder: Path) -> Store:
    """The stage store; one that this sweep has used before must be there."""
    path, found = folder / "jobs.json", Store(root)
    used = path.exists() and any(job["store"] == root for job in json.loads(path.read_text()))
    if used and not found.exists():
        raise StoreError(
            f"{root}: the stage store of {folder} is not there. Mount it and run the same line "
            f"again. If it was removed for good: name another --store, or remove {path}; "
            "all is then trained anew."
        )
    return Store(root, must_exist=used)


def _check_metric(name: str) -> None:
    if name not in METRICS:
        raise WrongData(f"claim: no metric {name!r}{suggest(name, list(METRICS))}")


def _resolved(leaf: Leaf, folder: Path) -> Leaf:
    """`precision: auto` and `init` settled once a sweep, by the driver's machine."""
    run = leaf.run
    if run.precision == "auto":
        precision = _written_precision(folder / "precision.json", run)
        run = run.model_copy(update={"precision": precision})
    if run.init and not run.init.digest:
        from pct.given import settle_init  # loads torch, which a driver does without

        run = run.model_copy(update={"init": settle_init(run.init)})
    return Leaf(leaf.name, run, leaf.point)


def _written_precision(path: Path, run: Run) -> Precision:
    """What `auto` came to in this sweep: from its file if it has one, so a resume agrees."""
    if not path.exists():
        write_json(path, {"auto": settle_precision(run)})
    precision: Precision = json.loads(path.read_text())["auto"]
    return precision


def switch_epochs(recipe: Recipe) -> list[int]:
    """Every epoch at which some point of the search may fork: keys `$name` of stepped dimensions.

    A stage is kept there, lest a point asked for later has to train up to it again.
    """
    names = {name for trial in recipe.trials.values() for name in _keys_in(trial)}
    return sorted(
        int(value)
        for name in names
        if name in recipe.space and recipe.space[name].step
        for value in recipe.space[name].values()
    )


def _keys_in(given: Any) -> set[str]:
    """Names `x` of keys `$x`, at any depth."""
    if not isinstance(given, Mapping):
        return set()
    own = {key[1:] for key in given if isinstance(key, str) and key.startswith("$")}
    return own.union(*(_keys_in(value) for value in given.values()))
