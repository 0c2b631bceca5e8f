"""Planes through a head in the patient's axes, at one scale: what a picture of it is made of."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.volume import Grid, Volume, resample
from pct.parts import part_for

MARGIN_MM = 12.0
"""Of surroundings, on all sides of the head."""
HEIGHTS = (0.75, 0.5, 0.25)
"""Of the axial planes, from the head's lowest slice to its crown."""

Cut = Literal["axial", "coronal", "sagittal"]

_ACROSS: dict[Cut, tuple[int, int, int]] = {
    "axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0),
}  # fmt: skip
"""World axes along a picture's width and height, and the one that it cuts."""
_ENDS = ("LR", "PA", "IS")


@dataclass(frozen=True)
class Plane:
    """One plane of square pixels; `grid` is one voxel thick across it, its axes are R, A and S."""

    cut: Cut
    grid: Grid
    height: float | None = None
    """Of an axial plane, from 0 at the head's lowest slice to 1 at its crown."""

    @property
    def sides(self) -> tuple[str, str, str, str]:
        """Letters left, right, on top and below, as radiologists look at it."""
        wide, high, _ = _ACROSS[self.cut]
        return _ENDS[wide][1], _ENDS[wide][0], _ENDS[high][1], _ENDS[high][0]


def planes_through(head: Volume, *, pixel_mm: float) -> list[Plane]:
    """Three axial planes from top to bottom, then one coronal and one sagittal, with a margin.

    The latter two go through the centre of the head's bounding box. Voxels of the mask may be of
    any size and direction.
    """
    low, high = _box_mm(head)
    middle = (low + high) / 2
    axial = [
        _plane("axial", low, high, at=low[2] + share * (high[2] - low[2]), pixel_mm=pixel_mm)
        for share in HEIGHTS
    ]
    return [
        *(Plane(one.cut, one.grid, share) for one, share in zip(axial, HEIGHTS, strict=True)),
        _plane("coronal", low, high, at=middle[1], pixel_mm=pixel_mm),
        _plane("sagittal", low, high, at=middle[0], pixel_mm=pixel_mm),
    ]


def cut_out(volume: Volume, plane: Plane, *, fill: float = 0.0) -> NDArray[Any]:
    """The volume's values in a plane, (up, right): linear, or nearest of a mask."""
    near = part_for(volume, plane.grid)
    order: Literal[0, 1] = 0 if volume.array.dtype == np.bool_ else 1
    flat = resample(near, plane.grid, order=order, fill=fill).array
    return flat.squeeze(_ACROSS[plane.cut][2]).T


def _plane(
    cut: Cut, low: NDArray[np.float64], high: NDArray[np.float64], *, at: float, pixel_mm: float
) -> Plane:
    through = _ACROSS[cut][2]
    start = low - MARGIN_MM
    counts = np.ceil((high - low + 2 * MARGIN_MM) / pixel_mm).astype(int) + 1
    start[through], counts[through] = at, 1
    affine = np.diag([pixel_mm, pixel_mm, pixel_mm, 1.0])
    affine[:3, 3] = start
    i, j, k = (int(count) for count in counts)
    return Plane(cut, Grid((i, j, k), affine))


def _box_mm(head: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest R, A and S of the mask's bounding box."""
    others = ((1, 2), (0, 2), (0, 1))
    held = [np.flatnonzero(head.array.any(axis=axes)) for axes in others]
    ends = [(one[0], one[-1]) for one in held]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1)
    places = head.affine[:3, :3] @ corners + head.affine[:3, 3:]
    return places.min(axis=1), places.max(axis=1)
