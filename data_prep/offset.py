"""How far an MR lies off its CT: three shifts and three turns, by mutual information."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.mutual import ARM_MM, STEP_MM, Places, apply, climb, moving, scatter, thinned
from data_prep.slices import field_of_view
from data_prep.volume import Volume, resample

SEARCHED_MM, SEARCHED_DEG = 4.0, 4.0
"""A shift or turn that comes out at least this large may well be larger."""

_REACH = np.full(6, 6.0)
"""Of each shift and turn, so that one of 4 mm comes out whole, also on top of a pair's own."""
_LEAST_PLACES = 2_500


@dataclass(frozen=True)
class Offset:
    """Where the MR lies, seen from the CT; all NaN where it could not be measured."""

    shift_mm: tuple[float, float, float] = (float("nan"),) * 3
    """How far the head's centre lies to the right, front and top."""
    turn_deg: float = float("nan")
    """Angle of the rotation about the head's centre."""

    @property
    def mm(self) -> float:
        """Length of the shift."""
        return float(np.linalg.norm(self.shift_mm))


def offset_of(mr: Volume, ct: Volume, head: Volume) -> Offset:
    """Measure the residual rigid offset of a pair, all RAS: `mr` raw, `ct` in HU with its `head`.

    Mutual information is climbed from where the MR lies, up to 6 mm away: first of a wide blur, to
    see far, then of a narrow one. NaN where the MR is constant or holds too little of the head.
    """
    if not head.array.any() or mr.array.min() == mr.array.max():
        return Offset()
    places = scatter(ct, head)
    places = places.only(_held(places, mr) & ~_near_holes(places, mr, head))
    if places.ct.size < _LEAST_PLACES:
        return Offset()
    coarse = thinned(mr, STEP_MM)
    few = places.only(slice(None, None, 4))
    far = climb(moving(coarse, blur_mm=3.0), few, np.zeros(6), reach=_REACH, ftol=1e-4)
    best = climb(moving(coarse, blur_mm=1.5), places, far.moves, reach=_REACH, ftol=1e-6)
    x, y, z, *turn = (float(one) for one in best.moves)
    return Offset((x, y, z), float(np.rad2deg(np.linalg.norm(turn) / ARM_MM)))


def _held(places: Places, mr: Volume) -> NDArray[np.bool_]:
    """Those that stay inside the MR's grid wherever the climb goes."""
    index = apply(np.linalg.inv(mr.affine), places.mm + places.centre[:, None])
    margin = _REACH[:3, None] / np.array(mr.spacing_mm)[:, None]
    last = np.array(mr.array.shape)[:, None] - 1
    return np.asarray(((index >= margin) & (index <= last - margin)).all(axis=0))


def _near_holes(places: Places, mr: Volume, head: Volume) -> NDArray[np.bool_]:
    """Those that padding of the MR may reach; only what lies deep in the head counts as padding.

    Around the head padding is as good as air, and its edge there is the head's.
    """
    coarse = thinned(head, STEP_MM)
    spacing, reach = coarse.spacing_mm, float(_REACH[0])
    seen = resample(field_of_view(mr), coarse.grid, order=0).array
    inside = coarse.array > 0.5
    hole = inside & ~seen
    if hole.any():
        hole &= ndimage.distance_transform_edt(inside, sampling=spacing) > reach
    if not hole.any():
        return np.zeros(places.ct.size, bool)
    near = ndimage.distance_transform_edt(~hole, sampling=spacing) <= 2 * reach
    index = apply(np.linalg.inv(coarse.affine), places.mm + places.centre[:, None])
    return ndimage.map_coordinates(near.astype(np.uint8), index, order=0, mode="nearest") > 0
