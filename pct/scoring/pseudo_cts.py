"""Pseudo-CTs that any program made: found by case, checked to be HU, laid on the CT's grid."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import PctError
from data_prep.intensity import AIR_HU
from data_prep.schema import CaseVolumes
from data_prep.volume import Volume, load_image, resample, to_ras
from pct.scoring.ledger import Entrant

ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd")

STEM = "pct"
"""Of the file in a case's own folder: CASE/pct.nii.gz."""

NARROW_HU = 100.0
"""A pseudo-CT spans more than this: else it is in [-1, 1], [0, 1] or attenuation."""

AIR_AT_MOST_HU = -200.0
"""The lowest value of a pseudo-CT lies below: else air is not -1000, as after adding 1024."""

BODY_HU = -400.0
"""A head holds values above it."""


class BadPseudoCt(PctError):
    """An image that cannot be scored as a pseudo-CT of its case."""


class NoPseudoCts(PctError):
    """A folder in which no case has a pseudo-CT that could be scored."""


@dataclass(frozen=True)
class Found:
    """What a folder holds of the cases asked for."""

    files: dict[str, Path]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    """Names for which the data folder has no case in any split."""


@dataclass(frozen=True)
class Laid:
    """A pseudo-CT on its CT's grid."""

    pct: Volume
    resampled: bool
    covered: float
    """Share of the head that lies in the file's field of view; beyond it is air."""


def find_pseudo_cts(folder: Path, cases: Sequence[str], *, known: Sequence[str]) -> Found:
    """DIR/CASE.nii.gz or DIR/CASE/pct.nii.gz of each of `cases`, or .nii, .mha, .mhd.

    `known` are the cases of all splits: a file for another of them is no mistake. Two files for
    one case raise `BadPseudoCt`, a folder with none of `cases` raises `NoPseudoCts`.
    """
    if not folder.is_dir():
        raise NoPseudoCts(f"{folder}: no such folder. Expected CASE.nii.gz or CASE/pct.nii.gz.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        for name, file in _named(path):
            if name in files and name in cases:
                raise BadPseudoCt(
                    f"{folder}: case {name} has two pseudo-CTs, {files[name].name} and {file.name}."
                    " Keep one."
                )
            files[name] = file
    found = {case: files[case] for case in cases if case in files}
    extra = tuple(sorted(set(files) - set(known)))
    if not found:
        others = f", but files named {', '.join(extra[:5])}" if extra else ""
        raise NoPseudoCts(
            f"{folder}: no pseudo-CT of {', '.join(cases)}{others}. Expected CASE.nii.gz or "
            "CASE/pct.nii.gz, named as in DATA/splits.json."
        )
    return Found(found, tuple(case for case in cases if case not in found), extra)


def _named(path: Path) -> list[tuple[str, Path]]:
    """Case and file of one entry of the folder; nothing where it is no image."""
    if path.is_dir():
        inside = [path / f"{STEM}{ending}" for ending in ENDINGS]
        return [(path.name, file) for file in inside if file.is_file()]
    ending = next((each for each in ENDINGS if path.name.endswith(each)), None)
    return [(path.name.removesuffix(ending), path)] if ending else []


def entrant_of(name: str, files: Mapping[str, Path]) -> Entrant:
    """A folder of pseudo-CTs as an entrant: the hash is that of its files, in order of cases."""
    digest = hashlib.sha256()
    for case, path in sorted(files.items()):
        digest.update(case.encode() + hashlib.sha256(path.read_bytes()).digest())
    return Entrant(name, digest.hexdigest()[:16])


def lay(path: Path, case: CaseVolumes) -> Laid:
    """Read a pseudo-CT, check it, and sample it linearly at the voxels of the CT.

    Outside the file's field of view is air; values are rounded and clipped like those of our own
    models. An image that is not in HU or that does not show the
    head at all raises `BadPseudoCt` with what was found.
    """
    given = load_image(path)
    _check_hu(given, path)
    given = to_ras(given)
    grid = case.ct.grid
    same = given.array.shape == grid.shape and np.allclose(given.affine, grid.affine, atol=1e-3)
    laid = given if same else resample(given, grid, fill=AIR_HU)
    shown = resample(given.with_array(np.ones(given.array.shape, np.bool_)), grid, order=0).array
    head = case.head.array
    if not (laid.array[head & shown] > BODY_HU).any():
        raise BadPseudoCt(
            f"{path}: shows nothing but air where the head of {case.subject} is: it lies from "
            f"{_extent(given)}, the CT from {_extent(case.ct)}. Check its affine."
        )
    hu = np.rint(laid.array).clip(-1024, 3071).astype(np.int16)
    return Laid(Volume(hu, grid.affine), not same, float(shown[head].mean()))


def _check_hu(given: Volume, path: Path) -> None:
    bad = int((~np.isfinite(given.array)).sum())
    if bad:
        raise BadPseudoCt(f"{path}: holds {bad} voxels that are NaN or infinite. Fill with -1000.")
    low, high = float(given.array.min()), float(given.array.max())
    if high - low < NARROW_HU:
        raise BadPseudoCt(
            f"{path}: values from {low:g} to {high:g} are not HU. Scale them back: air is -1000, "
            "water 0."
        )
    if low > AIR_AT_MOST_HU:
        raise BadPseudoCt(
            f"{path}: its lowest value is {low:g}, in HU air is -1000. Subtract the offset (often "
            "1024), and fill outside the head with -1000."
        )


def _extent(volume: Volume) -> str:
    """First to last voxel centre in RAS mm."""
    corner = np.array([*volume.array.shape, 1.0]) - [1, 1, 1, 0]
    ends = (volume.affine @ np.array([0, 0, 0, 1.0]), volume.affine @ corner)
    first, last = (f"({', '.join(f'{v:.0f}' for v in end[:3])})" for end in ends)
    return f"{first} to {last} mm"
