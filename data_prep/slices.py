"""From a case's volumes to 2D slice pairs on the network's grid, and which of them to keep."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import block_reduce

from data_prep.intensity import AIR_HU
from data_prep.parquet import fixed_binary, listed_binary, pack
from data_prep.schema import MASKS, CaseVolumes, slice_schema
from data_prep.volume import Grid, Volume, centre_of, resample, slice_grid
from data_prep.volume_shards import MrCodes, code_mr, encode_mr

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
    head_kept: float
    """Share of the head's volume that lies inside the grid."""

    def qualifying(self) -> NDArray[np.intp]:
        """Slices whose `valid` covers at least `MIN_HEAD_SHARE`, ascending."""
        return np.flatnonzero(self.valid.mean(axis=(1, 2)) >= MIN_HEAD_SHARE)


def build_slices(case: CaseVolumes, *, size: int, pixel_mm: float) -> SliceStack:
    """Resample a case in-plane to `size` x `size` pixels of `pixel_mm`, centred on the head.

    Slices stay the CT's. CT and MR are blurred before a coarser sampling and interpolated
    linearly, masks by nearest neighbour. Outside its field of view the CT is air and the MR its
    own darkest value. The codes share slope and intercept with the whole volume's.
    """
    grid = slice_grid(case.ct.grid, centre_of(case.head), pixel_mm=pixel_mm, size=size)
    whole = encode_mr(case.mr.array)
    mr = resample(case.mr, grid, fill=whole.intercept, antialias=True).array
    ct = resample(case.ct, grid, fill=AIR_HU, antialias=True).array
    head = resample(case.head, grid, order=0).array
    with_mr = resample(field_of_view(case.mr), grid, order=0).array
    return SliceStack(
        grid=grid,
        mr=code_mr(_planes(mr), slope=whole.slope, intercept=whole.intercept),
        ct_hu=np.rint(_planes(ct)).astype(np.int16),
        head=_planes(head),
        skull=_planes(resample(case.skull, grid, order=0).array),
        valid=_planes(head & with_mr),
        head_kept=share_inside(case.head, grid),
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
    coded = [stack.mr, *(mr_slices(one.volume, stack.grid) for one in case.further_mr)]
    codes = np.stack([one.codes[chosen] for one in coded], axis=1)
    columns: dict[str, Any] = {
        "subject": [case.subject] * num,
        "split": [case.split] * num,
        "z": chosen.astype(np.int32),
        "spacing_mm": [list(stack.grid.spacing_mm)] * num,
        "affine": [stack.grid.affine.ravel().tolist()] * num,
        "mr_codes": listed_binary(codes.astype("<u2")),
        "mr_slope": [[one.slope for one in coded]] * num,
        "mr_intercept": [[one.intercept for one in coded]] * num,
        "mr_head_window": [[list(one.head_window) for one in case.channels]] * num,
        "mr_volume_window": [[list(one.volume_window) for one in case.channels]] * num,
        "ct_hu": fixed_binary(stack.ct_hu[chosen].astype("<i2")),
        **{n: fixed_binary(pack(getattr(stack, n)[chosen])) for n in MASKS},
    }
    return pa.table(columns, schema=slice_schema(size))


def mr_slices(mr: Volume, grid: Grid) -> MrCodes:
    """An MR on the slices of `grid`, (n, y, x), outside its field of view its own darkest value.

    Blurred before a coarser sampling, interpolated linearly, coded with the whole volume's scale.
    """
    whole = encode_mr(mr.array)
    raw = resample(mr, grid, fill=whole.intercept, antialias=True).array
    return code_mr(_planes(raw), slope=whole.slope, intercept=whole.intercept)


def share_inside(mask: Volume, grid: Grid) -> float:
    """Share of a mask's voxels whose centres lie in the box of `grid`; 0 for an empty mask."""
    voxels = np.argwhere(mask.array)
    if len(voxels) == 0:
        return 0.0
    mapping = np.linalg.inv(grid.affine) @ mask.affine
    index = voxels @ mapping[:3, :3].T + mapping[:3, 3]
    inside = (index >= -0.5) & (index <= np.array(grid.shape) - 0.5)
    return float(inside.all(axis=1).mean())


def field_of_view(mr: Volume) -> Volume:
    """Where the MR was measured: all of its grid but padding, as a mask on that grid.

    Padding is a region of exactly the darkest value more than about 20 mm thick, as resampling
    onto another grid leaves; thin dark structures (bone, sinuses) stay inside.
    """
    darkest = mr.array == mr.array.min()
    step = tuple(max(1, round(_PADDING_MM / 3 / spacing)) for spacing in mr.spacing_mm)
    blocks = block_reduce(darkest, step, np.min, cval=True)
    core = ndimage.binary_erosion(blocks, np.ones((3, 3, 3), bool), border_value=1)
    # One block wider than the opening, to take in the ragged rim.
    thick = ndimage.binary_dilation(core, np.ones((5, 5, 5), bool))
    fine = thick
    for axis, factor in enumerate(step):
        fine = np.repeat(fine, factor, axis=axis)
    i, j, k = mr.array.shape
    return mr.with_array(~(darkest & fine[:i, :j, :k]))


def _planes(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _generator(subject: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"pct-slices-1:{seed}:{subject}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
