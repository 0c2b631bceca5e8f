"""Is the MR mirrored against the CT? All eight flips are tried, mutual information judges."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from data_prep.masks import head_from_mr
from data_prep.mutual import ARM_MM, STEP_MM, Floats, Moving, climb, moving, scatter, score, thinned
from data_prep.volume import Volume, centre_of

_REACH = np.array([24.0] * 3 + [ARM_MM * np.deg2rad(12)] * 3)
"""How far a flip may be moved to its best place."""
_SIGNS = (1, -1)
_AXES = ("left-right", "front-back", "head-feet")
_COARSE_MM = 4.0

Flip = tuple[int, int, int]


@dataclass(frozen=True)
class FlipMargin:
    """How clearly the MR lies as the CT does."""

    margin: float
    """(NMI - 1) as stored over the best other flip's, minus 1; below 0 another fits better."""
    best_other: str
    """The best other flip in words, such as `left-right`."""


def flip_margin(mr: Volume, ct: Volume, head: Volume) -> FlipMargin:
    """Compare the stored orientation with the seven other flips; all RAS, `ct` in HU.

    Each flip is laid on the CT's head by the MR head's own centre, then shifted and turned to
    where it fits best, so none suffers from a poor place. Information is counted within the CT's
    head and 8 mm of air around it.
    """
    places = scatter(ct, head)
    few, many = (places.only(slice(None, None, step)) for step in (8, 2))
    off = centre_of(head_from_mr(thinned(mr, _COARSE_MM))) - places.centre
    coarse = thinned(mr, STEP_MM)
    wide, narrow = moving(coarse, blur_mm=3.0), moving(coarse, blur_mm=1.5)
    stored: Flip = (1, 1, 1)
    found = {}
    for flip in itertools.product(_SIGNS, _SIGNS, _SIGNS):
        image = _mirrored(wide, flip, places.centre)
        starts = [np.zeros(6), np.array([*(off * flip).clip(-_REACH[:3], _REACH[:3]), 0, 0, 0])]
        start = max(starts, key=lambda moves: score(image, few, moves))
        found[flip] = climb(image, few, start, reach=_REACH, ftol=1e-3)
    rival = max(found.keys() - {stored}, key=lambda flip: (found[flip].score, flip))
    own, best = (
        climb(
            _mirrored(narrow, flip, places.centre),
            many,
            found[flip].moves,
            reach=_REACH,
            ftol=1e-5,
        ).score
        for flip in (stored, rival)
    )
    return FlipMargin(own / max(best, 1e-12) - 1.0, _in_words(rival))


def _mirrored(mr: Moving, flip: Flip, centre: Floats) -> Moving:
    mirror = np.diag([*flip, 1.0])
    mirror[:3, 3] = centre - centre * flip
    return replace(mr, to_voxel=mr.to_voxel @ mirror)


def _in_words(flip: Flip) -> str:
    return " and ".join(name for name, sign in zip(_AXES, flip, strict=True) if sign < 0)
