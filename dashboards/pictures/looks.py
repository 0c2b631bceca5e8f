"""The slices that a sweep kept to be looked at: DIR/looks, read as it is asked for."""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import PctError
from data_prep.picture import Slice

CASES = Path("looks", "cases.npz")
"""In a sweep's folder: MR, CT and head of the shown slices."""

EPOCH = re.compile(r"epoch-(\d+)\.npz")


class BadLooks(PctError):
    """A kept slice or histogram that cannot be used."""


@dataclass(frozen=True)
class Look:
    """One slice of a validation case, the same for all trials; arrays are (y, x) in RAS order."""

    case: str
    mr: Slice
    """In [-1, 1]."""
    ct_hu: Slice
    head: NDArray[np.bool_]
    pixel_mm: float
    z: int


def read_cases(sweep_folder: Path) -> dict[str, Look]:
    """The shown cases in the order of their names; none where the sweep kept no slices.

    Raises `BadLooks` where the file is damaged or its arrays do not fit each other.
    """
    path = sweep_folder / CASES
    if not path.exists():
        return {}
    arrays = _read(path)
    names = sorted({name.rpartition("/")[0] for name in arrays})
    return {case: _look(path, arrays, case) for case in names}


def kept_epochs(sweep_folder: Path, trial: str) -> tuple[int, ...]:
    """Numbers of finished epochs after which slices of `trial` were kept, ascending."""
    names = (path.name for path in (sweep_folder / "looks" / trial).glob("*.npz"))
    return tuple(sorted(int(found[1]) for name in names if (found := EPOCH.fullmatch(name))))


def read_pct(sweep_folder: Path, trial: str, look: Look, *, epoch: int | None) -> Slice | None:
    """A trial's pseudo-CT of the slice in HU after `epoch`, or by its best checkpoint (None).

    None where it was not kept. Raises `BadLooks` where it is damaged or of another shape.
    """
    name = "best.npz" if epoch is None else f"epoch-{epoch:04d}.npz"
    path = sweep_folder / "looks" / trial / name
    if not path.exists():
        return None
    pct_hu = _read(path, only=look.case).get(look.case)
    if pct_hu is not None and pct_hu.shape != look.ct_hu.shape:
        raise _bad(path, f"{look.case} is {pct_hu.shape}, its CT {look.ct_hu.shape}")
    return pct_hu


def _look(path: Path, arrays: dict[str, NDArray[Any]], case: str) -> Look:
    parts = ("mr", "ct_hu", "head", "pixel_mm", "z")
    absent = [part for part in parts if f"{case}/{part}" not in arrays]
    if absent:
        raise _bad(path, f"case {case} lacks {', '.join(absent)}")
    mr, ct_hu, head, pixel_mm, z = (arrays[f"{case}/{part}"] for part in parts)
    if not mr.shape == ct_hu.shape == head.shape or ct_hu.ndim != 2:
        raise _bad(path, f"case {case}: MR {mr.shape}, CT {ct_hu.shape}, head {head.shape}")
    return Look(case, mr.astype(np.float32), ct_hu, head.astype(bool), float(pixel_mm), int(z))


def _read(path: Path, *, only: str | None = None) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        raise _bad(path, "it is no whole .npz file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if only in (None, name)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _bad(path, str(error)) from error


def _bad(path: Path, why: str) -> BadLooks:
    return BadLooks(
        f"{path} cannot be used: {why}. Move it away to leave its pictures out of the report; a "
        "sweep into another folder writes it anew."
    )
