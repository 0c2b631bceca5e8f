"""The contact plate: one head in three middle planes, its CT, MR, masks and every pseudo-CT."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dashboards.load import Sweep, Trial
from dashboards.volumes.folder import Head
from dashboards.volumes.render import head_mask
from dashboards.volumes.sheets import Row, Sheet, with_scale
from data_prep.picture import BONE, Slice, Tile, Window, tile
from data_prep.volume import BadVolume, Volume

PLANES = {"axial": ("R", "A"), "coronal": ("R", "S"), "sagittal": ("A", "S")}
"""What lies to the left of each plane and above it."""

PIXEL_MM = 0.8
OUTSIDE_HU = -1000.0
_MASK = Window(0.0, 1.0)


def plate(sweep: Sweep, head: Head, runs: Sequence[Trial]) -> Sheet:
    """CT, MR, the CT in its head mask, each run's pCT and the skull mask, in the bone window.

    All through the centre of the head; MR in a window of its own. What is absent has no row.
    """
    ct, mask = head.load_ct(), head_mask(head)
    centre = middle_of(mask)
    mr, skull = head.load("mr"), head.load("skull")
    in_head = ct.with_array(np.where(mask, ct.array, OUTSIDE_HU))
    pictures: list[tuple[str, Volume | None, Window]] = [
        ("CT", ct, BONE),
        ("MR", mr, _mr_window(mr, mask)),
        ("CT head", in_head, BONE),
        *((f"pCT {sweep.names_of(run)}", head.load_run(run), BONE) for run in runs),
        ("skull mask", skull, _MASK),
    ]
    rows = [
        Row(name, tuple(_drawn(volume, centre, window)))
        for name, volume, window in pictures
        if volume is not None
    ]
    return Sheet(f"middle planes of case {head.case}", tuple(PLANES), tuple(rows))


def planes(volume: Volume, centre: tuple[int, int, int]) -> list[tuple[Slice, float, float]]:
    """The axial, coronal and sagittal plane through a voxel, with their pixels' height and width.

    As (y, x), (z, x) and (z, y), the height and width in mm.
    """
    array, (i, j, k) = volume.array, centre
    dx, dy, dz = volume.spacing_mm
    return [(array[:, :, k].T, dy, dx), (array[:, j].T, dz, dx), (array[i].T, dz, dy)]


def middle_of(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The voxel in the middle of a mask's bounding box. An empty mask raises `BadVolume`."""
    where = np.argwhere(mask)
    if not len(where):
        raise BadVolume(
            "The head mask of the case shown in 3D is empty: expected a head. Delete its files in "
            "DIR/volumes, or run `pct prep` and `pct sweep` again."
        )
    i, j, k = (where.min(axis=0) + where.max(axis=0)) // 2
    return int(i), int(j), int(k)


def _drawn(volume: Volume, centre: tuple[int, int, int], window: Window) -> list[Tile]:
    """The planes with square pixels of `PIXEL_MM`, what lies left and above, and the bar."""
    drawn = []
    for (plane, high_mm, wide_mm), sides in zip(
        planes(volume, centre), PLANES.values(), strict=True
    ):
        picture = Image.fromarray(tile(plane, window))
        size = (
            round(picture.width * wide_mm / PIXEL_MM),
            round(picture.height * high_mm / PIXEL_MM),
        )
        scaled = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
        drawn.append(with_scale(scaled, pixel_mm=PIXEL_MM, sides=sides))
    return drawn


def _mr_window(mr: Volume | None, mask: NDArray[np.bool_]) -> Window:
    """Percentiles of the MR inside the head."""
    inside = np.zeros(0) if mr is None else mr.array[mask]
    low, high = np.percentile(inside, (1.0, 99.5)) if inside.size else (0.0, 1.0)
    return Window(float(low), max(float(high), float(low) + 1.0))
