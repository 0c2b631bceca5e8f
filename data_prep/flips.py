"""Is the MR mirrored against the CT? All eight flips are tried, mutual information judges."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import block_reduce

from data_prep.masks import head_from_mr
from data_prep.volume import Grid, Volume, centre_of, resample

STEP_MM = 4.0
"""Voxel size of the comparison: coarse enough to be quick and blind to small misalignment."""

_LEVELS = 32
_AROUND_MM = 8.0
_REACH_MM = 24.0
"""How far the search for a flip's best place may go."""
_AXES = ("left-right", "front-back", "head-feet")

Flip = tuple[int, int, int]
Levels = NDArray[np.intp]
Steps = tuple[int, int, int]
"""A displacement of the MR in half steps (2 mm) along the grid's axes."""


@dataclass(frozen=True)
class FlipMargin:
    """How clearly the MR lies as the CT does."""

    margin: float
    """(NMI - 1) as stored over the best other flip's, minus 1; below 0 another fits better."""
    best_other: str
    """The best other flip in words, such as `left-right`."""


def flip_margin(mr: Volume, ct: Volume, head: Volume) -> FlipMargin:
    """Compare the stored orientation with the seven other flips; all RAS, `ct` in HU.

    Each flip is laid on the CT's head by the MR head's own centre, then moved in steps of 4 and
    2 mm to where it fits best, so none suffers from a poor centre. Information is counted within
    the CT's head and two voxels of 4 mm around it.
    """
    grid = _grid_around(head)
    image = resample(thinned(ct, STEP_MM / 2), grid, fill=-1000.0).array
    where = ndimage.binary_dilation(resample(head, grid, order=0).array, iterations=2)
    wide, start = _wide_mr(mr, head, grid)
    pair = _Pair(_levels(image, (-1000.0, 1500.0))[where], where, wide)
    flips: list[Flip] = [(i, j, k) for i in (1, -1) for j in (1, -1) for k in (1, -1)]
    fits = {flip: _best_fit(pair, flip, start) for flip in flips}
    stored = fits.pop((1, 1, 1))
    best = max(fits, key=lambda flip: fits[flip])
    return FlipMargin(stored / max(fits[best], 1e-12) - 1.0, _in_words(best))


def nmi(first: Levels, second: Levels) -> float:
    """Normalised mutual information (H(a) + H(b)) / H(a, b) of two lists of grey levels < 32.

    From 1 (independent) to 2 (each tells the other); two constants give 1.
    """
    counts = np.bincount(first * _LEVELS + second, minlength=_LEVELS**2)
    joint = counts.reshape(_LEVELS, _LEVELS) / max(1, counts.sum())
    together = _entropy(joint.ravel())
    if together == 0.0:
        return 1.0
    return (_entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))) / together


def thinned(volume: Volume, to_mm: float) -> Volume:
    """Average whole blocks of voxels until they measure about `to_mm`; the patient stays put."""
    step = tuple(max(1, round(to_mm / spacing)) for spacing in volume.spacing_mm)
    i, j, k = ((n // s) * s or n for n, s in zip(volume.array.shape, step, strict=True))
    array = block_reduce(volume.array[:i, :j, :k].astype(np.float32, copy=False), step, np.mean)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * step
    affine[:3, 3] += volume.affine[:3, :3] @ ((np.array(step) - 1) / 2)
    return Volume(array, affine)


@dataclass(frozen=True)
class _Pair:
    ct: Levels
    """Of the voxels in `where`, in C order."""
    where: NDArray[np.bool_]
    mr: Levels
    """Sampled every half step, `_REACH_MM` wider than the CT's grid on all sides."""


def _best_fit(pair: _Pair, flip: Flip, start: Steps) -> float:
    """NMI - 1 at the best place that a climb from `start` and from no shift finds."""
    places = {place: _fit(pair, flip, place) for place in (start, (0, 0, 0))}
    best = max(places, key=lambda place: places[place])
    for length in (2, 1):
        improved = True
        while improved:
            for place in _neighbours(best, length):
                if place not in places:
                    places[place] = _fit(pair, flip, place)
            further = max(places, key=lambda place: places[place])
            improved, best = further != best, further
    return places[best] - 1.0


def _fit(pair: _Pair, flip: Flip, place: Steps) -> float:
    """NMI with the MR flipped about the grid's centre, then displaced by `place`."""
    margin = round(2 * _REACH_MM / STEP_MM)
    if max(abs(steps) for steps in place) > margin:
        return 0.0
    cut = tuple(
        slice(margin + steps, margin + steps + 2 * n - 1, 2)
        for steps, n in zip(place, pair.where.shape, strict=True)
    )
    turned = pair.mr[cut][:: flip[0], :: flip[1], :: flip[2]]
    return nmi(pair.ct, turned[pair.where])


def _neighbours(place: Steps, length: int) -> list[Steps]:
    i, j, k = place
    return [
        (i + di * length, j + dj * length, k + dk * length)
        for di, dj, dk in (*itertools.permutations((1, 0, 0)), *itertools.permutations((-1, 0, 0)))
    ]


def _wide_mr(mr: Volume, head: Volume, grid: Grid) -> tuple[Levels, Steps]:
    """The MR every half step, wider than `grid`, and the steps from the CT head to the MR's."""
    # Thinned no further than it is sampled: blocks of 4 mm favour the flip they happen to suit.
    coarse = thinned(mr, STEP_MM / 2)
    margin = round(2 * _REACH_MM / STEP_MM)
    i, j, k = (2 * n - 1 + 2 * margin for n in grid.shape)
    affine = grid.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, margin)
    image = resample(coarse, Grid((i, j, k), affine), fill=float(coarse.array.min())).array
    low, high = np.percentile(image, (1.0, 99.5))
    shift = centre_of(head_from_mr(thinned(mr, STEP_MM))) - centre_of(head)
    a, b, c = np.rint(np.linalg.inv(affine[:3, :3]) @ shift).clip(-margin, margin).astype(int)
    return _levels(image, (float(low), float(high))), (int(a), int(b), int(c))


def _grid_around(head: Volume) -> Grid:
    where = np.argwhere(head.array)
    corners = np.array([where.min(axis=0), where.max(axis=0)])
    extent = np.ptp(corners, axis=0) * np.array(head.spacing_mm) + 2 * _AROUND_MM
    i, j, k = (int(np.ceil(length / STEP_MM)) + 1 for length in extent)
    affine = np.eye(4)
    affine[:3, :3] = head.affine[:3, :3] / np.array(head.spacing_mm) * STEP_MM
    affine[:3, 3] = centre_of(head) - affine[:3, :3] @ ((np.array([i, j, k]) - 1) / 2)
    return Grid((i, j, k), affine)


def _levels(image: NDArray[Any], window: tuple[float, float]) -> Levels:
    low, high = window
    share = (image - low) / max(high - low, 1e-12)
    return np.clip(share * _LEVELS, 0, _LEVELS - 1).astype(np.intp)


def _entropy(shares: NDArray[np.float64]) -> float:
    filled = shares[shares > 0]
    return float(-(filled * np.log(filled)).sum())


def _in_words(flip: Flip) -> str:
    return " and ".join(name for name, sign in zip(_AXES, flip, strict=True) if sign < 0)
