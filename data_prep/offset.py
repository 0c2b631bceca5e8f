"""How far an MR lies off its CT: three shifts and three turns, by mutual information."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from data_prep.flips import thinned
from data_prep.masks import AIR_BELOW_HU
from data_prep.slices import field_of_view
from data_prep.volume import Affine, Volume, centre_of, resample

SEARCHED_MM = 4.0
"""An offset that comes out at least this long may well be longer."""

_BOUND_MM = 6.0
"""Of each shift and turn: one of 4 mm comes out whole, also on top of a pair's own."""
_ARM_MM = 80.0
"""A turn is searched as mm at this distance from the head's centre, so that all six weigh alike."""
_STEP_MM = 2.0
_AROUND_MM = 8.0
_LEVELS = 20
_NUM_PLACES = 40_000
_LEAST_PLACES = 2_500

Floats = NDArray[np.float64]


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


@dataclass(frozen=True)
class _Stage:
    blur_mm: float
    """Sigma for the MR."""
    every: int
    """Of how many places one is used."""
    ftol: float


_STAGES = (_Stage(3.0, 4, 1e-4), _Stage(1.5, 1, 1e-6))
"""First wide, to see far, then narrow, to see well."""


@dataclass(frozen=True)
class _Sample:
    """Places in the CT: (3, n) in RAS mm from `centre`, and the grey level of each."""

    centre: Floats
    places: Floats
    ct: NDArray[np.intp]

    def thinned(self, every: int) -> "_Sample":
        return _Sample(self.centre, self.places[:, ::every], self.ct[::every])


@dataclass(frozen=True)
class _Image:
    """The MR in grey levels, blurred, with its slopes along the axes, and the way to its voxels."""

    levels: NDArray[Any]
    slopes: list[NDArray[Any]]
    to_voxel: Affine


def offset_of(mr: Volume, ct: Volume, head: Volume) -> Offset:
    """Measure the residual rigid offset of a pair, all RAS: `mr` raw, `ct` in HU with its `head`.

    Mutual information is climbed from where the MR lies, up to 6 mm away, at scattered places (a
    regular grid would favour whole voxels) of the head and of 8 mm of air around it. NaN where the
    MR is constant or holds too little of the head.
    """
    if not head.array.any() or mr.array.min() == mr.array.max():
        return Offset()
    sample = _sample(mr, ct, head)
    if sample.ct.size < _LEAST_PLACES:
        return Offset()
    moves = np.zeros(6)
    coarse = thinned(mr, _STEP_MM)
    for stage in _STAGES:
        moves = optimize.minimize(
            _misfit,
            moves,
            args=(sample.thinned(stage.every), _blurred(coarse, stage.blur_mm)),
            method="L-BFGS-B",
            jac=True,
            bounds=[(-_BOUND_MM, _BOUND_MM)] * 6,
            options={"ftol": stage.ftol},
        ).x
    x, y, z, *turn = (float(one) for one in moves)
    return Offset((x, y, z), float(np.rad2deg(np.linalg.norm(turn) / _ARM_MM)))


def _misfit(moves: Floats, sample: _Sample, mr: _Image) -> tuple[float, Floats]:
    """Minus the mutual information in nats, and its gradient by the six moves, in 1/mm.

    Each MR value counts for its two neighbouring grey levels by its distance from them, so the
    histogram changes smoothly with the moves (Mattes et al., IEEE TMI 2003, with linear windows).
    """
    turned = Rotation.from_rotvec(moves[3:] / _ARM_MM).as_matrix() @ sample.places
    matrix = mr.to_voxel[:3, :3]
    index = matrix @ (turned + (sample.centre + moves[:3])[:, None]) + mr.to_voxel[:3, 3:]
    level, *slopes = (
        ndimage.map_coordinates(image, index, order=1, mode="nearest")
        for image in (mr.levels, *mr.slopes)
    )
    lower = np.minimum(level.astype(np.intp), _LEVELS - 2)
    cell, share = sample.ct * _LEVELS + lower, level - lower
    counts = np.bincount(cell, 1 - share, _LEVELS**2) + np.bincount(cell + 1, share, _LEVELS**2)
    joint = counts.reshape(_LEVELS, _LEVELS) / counts.sum() + 1e-12
    gain = np.log(joint / joint.sum(axis=0) / joint.sum(axis=1, keepdims=True))
    pull = (gain.ravel()[cell + 1] - gain.ravel()[cell]) / cell.size
    force = matrix.T @ (pull * np.array(slopes))
    torque = np.cross(turned, force, axis=0).sum(axis=1) / _ARM_MM
    return -float((joint * gain).sum()), -np.concatenate([force.sum(axis=1), torque])


def _sample(mr: Volume, ct: Volume, head: Volume) -> _Sample:
    """Scatter places over the head and the air around it that the MR holds however it moves."""
    coarse = thinned(_around(head, ct), _STEP_MM)
    inside = resample(head, coarse.grid, order=0).array
    spacing = coarse.spacing_mm
    near = ndimage.distance_transform_edt(~inside, sampling=spacing) <= _AROUND_MM
    # What is not air out there is couch, cushion or frame, and no MR shows them.
    where = inside | (near & (coarse.array < AIR_BELOW_HU))
    # Padding deep in the head is no image of it; around the head it is as good as air.
    deep = ndimage.distance_transform_edt(inside, sampling=spacing) > _BOUND_MM
    hole = deep & ~resample(field_of_view(mr), coarse.grid, order=0).array
    if hole.any():
        where &= ndimage.distance_transform_edt(~hole, sampling=spacing) > 2 * _BOUND_MM
    voxels, rng = np.argwhere(where), np.random.default_rng(0)
    picked = voxels[rng.integers(0, max(1, len(voxels)), _NUM_PLACES if len(voxels) else 0)]
    index = (picked + rng.uniform(-0.5, 0.5, picked.shape)).T
    hu = ndimage.map_coordinates(coarse.array, index, order=1, mode="nearest")
    places = _moved(index, coarse.affine)
    at, last = _moved(places, np.linalg.inv(mr.affine)), np.array(mr.array.shape)[:, None] - 1
    margin = _BOUND_MM / np.array(mr.spacing_mm)[:, None]
    held = ((at >= margin) & (at <= last - margin)).all(axis=0)
    centre = centre_of(head)
    level = np.clip((hu[held] + 1000) / 2500 * _LEVELS, 0, _LEVELS - 1).astype(np.intp)
    return _Sample(centre, places[:, held] - centre[:, None], level)


def _around(head: Volume, ct: Volume) -> Volume:
    """The CT's box around the head and the air next to it."""
    wide = np.ceil((_AROUND_MM + 2 * _STEP_MM) / np.array(ct.spacing_mm)).astype(int)
    (box,) = ndimage.find_objects(head.array.astype(np.uint8))
    cut = [slice(max(0, s.start - w), s.stop + w) for s, w in zip(box, wide, strict=True)]
    affine = ct.affine.copy()
    affine[:3, 3] = _moved(np.array([[s.start] for s in cut]), ct.affine)[:, 0]
    return Volume(ct.array[tuple(cut)], affine)


def _blurred(coarse: Volume, blur_mm: float) -> _Image:
    low, high = np.percentile(coarse.array, (1.0, 99.5))
    image = ndimage.gaussian_filter(coarse.array, blur_mm / np.array(coarse.spacing_mm), truncate=3)
    levels = np.clip((image - low) / max(high - low, 1e-12), 0, 1) * (_LEVELS - 1)
    slopes = [np.gradient(levels, axis=axis) for axis in range(3)]
    return _Image(levels, slopes, np.asarray(np.linalg.inv(coarse.affine), np.float64))


def _moved(points: NDArray[Any], affine: NDArray[Any]) -> Floats:
    return np.asarray(affine[:3, :3] @ points + affine[:3, 3:], np.float64)
