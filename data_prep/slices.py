"""From a case's volumes to 2D slice pairs on the network's grid, and which of them to keep."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.intensity import AIR_HU
from data_prep.parquet import fixed_binary, listed_binary, pack
from data_prep.schema import MASKS, CaseVolumes, slice_schema
from data_prep.volume import Grid, Volume, resample
from data_prep.volume_shards import MrCodes, code_mr, mr_scale
from data_prep.windows import At, moved, random_shifts, widened, window_grid

MIN_HEAD_SHARE = 0.05
"""A slice counts when head with MR covers at least this share of its pixels."""

_PADDING_MM = 20.0


@dataclass(frozen=True)
class SliceStack:
    """All slices of a case on the network's grid, (n, y, x) in RAS order, n from inferior up."""

    grid: Grid
    mr: MrCodes
    ct_hu: NDArray[np.int16]
    head: NDArray[np.bool_]
    skull: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    """Head that lies inside the MR's field of view."""
    shifts: NDArray[np.int64]
    """How far each slice's window is moved over the grid: (n, 2), pixels along x and y."""
    head_kept: float
    """Share of the head's volume that lies inside the grid, windows not moved."""
    skull_kept: float
    """Likewise of the skull's."""

    def qualifying(self) -> NDArray[np.intp]:
        """Slices whose `valid` covers at least `MIN_HEAD_SHARE`, ascending."""
        return np.flatnonzero(self.valid.mean(axis=(1, 2)) >= MIN_HEAD_SHARE)


def build_slices(
    case: CaseVolumes, *, size: int, pixel_mm: float, at: At = "head", seed: int = 0
) -> SliceStack:
    """Resample a case in-plane to `size` x `size` pixels of `pixel_mm`, centred as `at` says.

    Slices stay the CT's. CT and MR are blurred before a coarser sampling and interpolated
    linearly, masks by nearest neighbour. Outside its field of view the CT is air and the MR its
    own darkest value. The codes share slope and intercept with the whole volume's. `random` moves
    each slice's window by `random_shifts` of `seed`.
    """
    grid = window_grid(case.head, size=size, pixel_mm=pixel_mm, at=at)
    shifts = np.zeros((grid.shape[2], 2), np.int64)
    if at == "random":
        shifts = random_shifts(
            case.head, size=size, pixel_mm=pixel_mm, subject=case.subject, seed=seed
        )
    wide = _wide(grid, shifts)
    ct = resample(case.ct, wide, fill=AIR_HU, antialias=True).array
    head = resample(case.head, wide, order=0).array
    with_mr = resample(field_of_view(case.mr), wide, order=0).array
    skull = resample(case.skull, wide, order=0).array
    return SliceStack(
        grid=grid,
        mr=mr_slices(case.mr, grid, shifts),
        ct_hu=np.rint(_planes(ct, shifts, size)).astype(np.int16),
        head=_planes(head, shifts, size),
        skull=_planes(skull, shifts, size),
        valid=_planes(head & with_mr, shifts, size),
        shifts=shifts,
        head_kept=share_inside(case.head, grid),
        skull_kept=share_inside(case.skull, grid),
    )


def pick_slices(
    qualifying: NDArray[Any], *, subject: str, max_slices: int, seed: int
) -> NDArray[Any]:
    """Up to `max_slices` of a case's slices at random, ascending; fixed by `seed` and `subject`."""
    if len(qualifying) <= max_slices:
        return qualifying
    return np.sort(_generator(subject, seed).permutation(qualifying)[:max_slices])


def slice_table(case: CaseVolumes, stack: SliceStack, chosen: NDArray[np.intp]) -> pa.Table:
    """The rows of a slice shard, columns as `slice_schema`, of the slices `chosen`."""
    num, size = len(chosen), stack.ct_hu.shape[1]
    further = (mr_slices(one.volume, stack.grid, stack.shifts) for one in case.further_mr)
    coded = [stack.mr, *further]
    codes = np.stack([one.codes[chosen] for one in coded], axis=1)
    columns: dict[str, Any] = {
        "subject": [case.subject] * num,
        "split": [case.split] * num,
        "z": chosen.astype(np.int32),
        "spacing_mm": [list(stack.grid.spacing_mm)] * num,
        "affine": [moved(stack.grid, stack.shifts[z]).ravel().tolist() for z in chosen],
        "mr_codes": listed_binary(codes.astype("<u2")),
        "mr_slope": [[one.slope for one in coded]] * num,
        "mr_intercept": [[one.intercept for one in coded]] * num,
        "mr_head_window": [[list(one.head_window) for one in case.channels]] * num,
        "mr_volume_window": [[list(one.volume_window) for one in case.channels]] * num,
        "ct_hu": fixed_binary(stack.ct_hu[chosen].astype("<i2")),
        **{n: fixed_binary(pack(getattr(stack, n)[chosen])) for n in MASKS},
    }
    return pa.table(columns, schema=slice_schema(size))


def mr_slices(mr: Volume, grid: Grid, shifts: NDArray[np.int64]) -> MrCodes:
    """An MR on windows of `grid` moved by `shifts`, (n, y, x), its own darkest value outside it.

    Blurred before a coarser sampling, interpolated linearly, coded with the whole volume's scale.
    """
    slope, intercept = mr_scale(mr.array)
    raw = resample(mr, _wide(grid, shifts), fill=intercept, antialias=True).array
    return code_mr(_planes(raw, shifts, grid.shape[0]), slope=slope, intercept=intercept)


def share_inside(mask: Volume, grid: Grid) -> float:
    """Share of a mask's voxels whose centres lie in the box of `grid`; 0 for an empty mask.

    Axes of `grid` run along those of the mask.
    """
    into = np.linalg.inv(mask.affine)
    first, last = (
        (into @ grid.affine @ np.append(corner, 1.0))[:3]
        for corner in (np.full(3, -0.5), np.array(grid.shape) - 0.5)
    )
    box = tuple(
        slice(max(0, int(np.ceil(low - 1e-6))), max(0, int(np.floor(high + 1e-6)) + 1))
        for low, high in zip(first, last, strict=True)
    )
    total = int(mask.array.sum())
    return float(mask.array[box].sum() / total) if total else 0.0


def field_of_view(mr: Volume) -> Volume:
    """Where the MR was measured: all of its grid but padding, as a mask on that grid.

    Padding is a region of exactly the darkest value more than about 20 mm thick, as resampling
    onto another grid leaves; thin dark structures (bone, sinuses) stay inside.
    """
    darkest = mr.array == mr.array.min()
    step = tuple(max(1, round(_PADDING_MM / 3 / spacing)) for spacing in mr.spacing_mm)
    blocks = darkest
    for axis, size in enumerate(step):
        starts = np.arange(0, blocks.shape[axis], size)
        blocks = np.logical_and.reduceat(blocks, starts, axis=axis)
    core = ndimage.binary_erosion(blocks, np.ones((3, 3, 3), bool), border_value=1)
    # One block wider than the opening, to take in the ragged rim.
    thick = ndimage.binary_dilation(core, np.ones((5, 5, 5), bool))
    fine = thick
    for axis, factor in enumerate(step):
        fine = np.repeat(fine, factor, axis=axis)
    i, j, k = mr.array.shape
    return mr.with_array(~(darkest & fine[:i, :j, :k]))


def _wide(grid: Grid, shifts: NDArray[np.int64]) -> Grid:
    return widened(grid, int(np.abs(shifts).max(initial=0)))


def _planes(array: NDArray[Any], shifts: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Each slice's window, (n, y, x); windows lie on a grid as much wider as the farthest moves."""
    upright = np.empty(array.shape[::-1], array.dtype)
    for j in range(array.shape[1]):  # slice by slice it would jump through the whole volume
        upright[:, j] = array[:, j].T
    if not shifts.any():
        return upright
    margin = (array.shape[0] - size) // 2
    windows = zip(upright, shifts + margin, strict=True)
    return np.stack([plane[y : y + size, x : x + size] for plane, (x, y) in windows])


def _generator(subject: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"pct-slices-1:{seed}:{subject}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
