"""Mutual information of a CT with an MR that may shift and turn, climbed along its gradient."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation
from skimage.measure import block_reduce

from data_prep.volume import Affine, Volume, centre_of, resample

Floats = NDArray[np.float64]
Moves = Floats
"""Six lengths in mm: shifts of the head's centre to the right, front and top, and a rotation
vector about it times `ARM_MM`, so that all six weigh alike."""

ARM_MM = 80.0
STEP_MM = 2.0
"""Voxels are averaged to about this size, in both images."""

_AROUND_MM = 8.0
_NUM_PLACES = 40_000
_LEVELS = 20


@dataclass(frozen=True)
class Places:
    """Places of a CT, (3, n) in RAS mm from `centre`, that of the head, and their grey levels."""

    centre: Floats
    mm: Floats
    ct: NDArray[np.intp]

    def only(self, which: slice | NDArray[np.bool_]) -> "Places":
        """Some of them."""
        return replace(self, mm=self.mm[:, which], ct=self.ct[which])


@dataclass(frozen=True)
class Moving:
    """An MR in grey levels, blurred, with its slopes along the axes, and the way to its voxels."""

    levels: NDArray[Any]
    slopes: list[NDArray[Any]]
    to_voxel: Affine


@dataclass(frozen=True)
class Fit:
    """Where a climb ended, and the normalised mutual information less 1 there, in [0, 1]."""

    moves: Moves
    score: float


def thinned(volume: Volume, to_mm: float) -> Volume:
    """Average whole blocks of voxels until they measure about `to_mm`; the patient stays put."""
    step = tuple(max(1, round(to_mm / spacing)) for spacing in volume.spacing_mm)
    i, j, k = ((n // s) * s or n for n, s in zip(volume.array.shape, step, strict=True))
    array = block_reduce(volume.array[:i, :j, :k].astype(np.float32, copy=False), step, np.mean)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * step
    affine[:3, 3] += volume.affine[:3, :3] @ ((np.array(step) - 1) / 2)
    return Volume(array, affine)


def scatter(ct: Volume, head: Volume) -> Places:
    """Random places of a CT in HU, in its head and 8 mm around it, always the same ones.

    They lie between voxels as well as on them: a regular grid would favour moves by whole voxels.
    """
    coarse = thinned(_around(head, ct), STEP_MM)
    inside = resample(head, coarse.grid, order=0).array
    near = ndimage.distance_transform_edt(~inside, sampling=coarse.spacing_mm) <= _AROUND_MM
    voxels = np.argwhere(near)
    rng = np.random.default_rng(0)
    num = min(_NUM_PLACES, 2 * len(voxels))
    # In order, so that neighbours are read together: looking values up takes a quarter of the time.
    picked = voxels[np.sort(rng.integers(0, max(1, len(voxels)), num))]
    index = (picked + rng.uniform(-0.5, 0.5, picked.shape)).T
    hu = ndimage.map_coordinates(coarse.array, index, order=1, mode="nearest")
    level = np.clip((hu + 1000) / 2500 * _LEVELS, 0, _LEVELS - 1).astype(np.intp)
    centre = centre_of(head)
    return Places(centre, apply(coarse.affine, index) - centre[:, None], level)


def moving(coarse: Volume, *, blur_mm: float) -> Moving:
    """Prepare a thinned raw MR for `climb`; `blur_mm` is the sigma of a Gaussian."""
    low, high = (float(one) for one in np.percentile(coarse.array, (1.0, 99.5)))
    image = ndimage.gaussian_filter(coarse.array, blur_mm / np.array(coarse.spacing_mm), truncate=3)
    levels = np.clip((image - low) / max(high - low, 1e-12), 0, 1) * (_LEVELS - 1)
    slopes = [
        np.gradient(levels, axis=axis) if n > 1 else levels * 0
        for axis, n in enumerate(levels.shape)
    ]
    return Moving(levels, slopes, np.asarray(np.linalg.inv(coarse.affine), np.float64))


def climb(mr: Moving, places: Places, start: Moves, *, reach: Moves, ftol: float) -> Fit:
    """Move the MR from `start` to where mutual information is greatest, no move beyond `reach`.

    Outside its grid the MR counts as dark. Ends when a step gains less than `ftol` of the whole.
    """
    best = optimize.minimize(
        _misfit,
        start,
        args=(mr, places),
        method="L-BFGS-B",
        jac=True,
        bounds=list(zip(-reach, reach, strict=True)),
        options={"ftol": ftol},
    )
    return Fit(best.x, score(mr, places, best.x))


def score(mr: Moving, places: Places, moves: Moves) -> float:
    """Normalised mutual information less 1, from 0 (independent) to 1, of an MR moved so."""
    joint = _joint(*_cells(mr, places, moves)[:2])
    whole = float(-(joint * np.log(joint)).sum())
    return float((joint * _gain(joint)).sum()) / whole


def apply(affine: NDArray[Any], points: NDArray[Any]) -> Floats:
    """An affine on points (3, n)."""
    return np.asarray(affine[:3, :3] @ points + affine[:3, 3:], np.float64)


def _misfit(moves: Moves, mr: Moving, places: Places) -> tuple[float, Floats]:
    """Minus the mutual information in nats, and its gradient by the moves, in 1/mm."""
    cell, share, index, turned = _cells(mr, places, moves)
    joint = _joint(cell, share)
    gain = _gain(joint)
    pull = (gain.ravel()[cell + 1] - gain.ravel()[cell]) / cell.size
    slopes = np.array([_at(slope, index) for slope in mr.slopes])
    force = mr.to_voxel[:3, :3].T @ (pull * slopes)
    torque = np.cross(turned, force, axis=0).sum(axis=1) / ARM_MM
    return -float((joint * gain).sum()), -np.concatenate([force.sum(axis=1), torque])


def _cells(
    mr: Moving, places: Places, moves: Moves
) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
    """Each place's cell of the joint histogram and its share in the next one; indices, arms."""
    turned = Rotation.from_rotvec(moves[3:] / ARM_MM).as_matrix() @ places.mm
    index = apply(mr.to_voxel, turned + (places.centre + moves[:3])[:, None])
    level = _at(mr.levels, index)
    lower = np.minimum(level.astype(np.intp), _LEVELS - 2)
    return places.ct * _LEVELS + lower, level - lower, index, turned


def _joint(cell: NDArray[np.intp], share: Floats) -> Floats:
    """The joint histogram, (CT, MR), sum 1.

    An MR value counts for both grey levels next to it, by its distance from them, so all changes
    smoothly with the moves (Mattes et al., IEEE TMI 2003, here with linear windows).
    """
    counts = np.bincount(cell, 1 - share, _LEVELS**2) + np.bincount(cell + 1, share, _LEVELS**2)
    return np.asarray(counts.reshape(_LEVELS, _LEVELS) / max(1, cell.size) + 1e-12)


def _gain(joint: Floats) -> Floats:
    return np.asarray(np.log(joint / joint.sum(axis=0) / joint.sum(axis=1, keepdims=True)))


def _at(image: NDArray[Any], index: Floats) -> Floats:
    return np.asarray(ndimage.map_coordinates(image, index, order=1, mode="constant", cval=0.0))


def _around(head: Volume, ct: Volume) -> Volume:
    """The CT's box around the head and the air next to it."""
    wide = np.ceil((_AROUND_MM + 2 * STEP_MM) / np.array(ct.spacing_mm)).astype(int)
    (box,) = ndimage.find_objects(head.array.astype(np.uint8))
    cut = [slice(max(0, s.start - w), s.stop + w) for s, w in zip(box, wide, strict=True)]
    affine = ct.affine.copy()
    affine[:3, 3] = apply(ct.affine, np.array([[s.start] for s in cut]))[:, 0]
    return Volume(ct.array[tuple(cut)], affine)
