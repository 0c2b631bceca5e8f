"""The gate: what is measured on a pair before it may train anything, and what that means.

Nothing is repaired in silence: a doubtful pair is flagged, a wrong one refused with the numbers.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.flips import flip_margin, thinned
from data_prep.masks import Masks
from data_prep.slices import field_of_view
from data_prep.volume import Volume, resample

Status = Literal["taken", "flagged", "refused"]

MIN_HEAD_IN_MR = 0.8
FLIP_MARGIN = 0.02
"""Another flip that fits better by this much is a mirrored pair; a win by less decides nothing."""
AIR_HU_RANGE = (-3100.0, -850.0)
"""Of the median around the head. Scanners pad with -1024, -2000 or -3024."""
HEAD_HU_RANGE = (-150.0, 200.0)
"""Of the median inside the head, where soft tissue is the most."""
MIN_HEAD_LITRES = 0.3

_COARSE_MM = 3.0


@dataclass(frozen=True)
class Findings:
    """What was measured on one pair. Shares in [0, 1]; NaN where it could not be measured."""

    constant: tuple[str, ...]
    """Which of "MR", "CT" holds one value only."""
    head_litres: float
    head_in_mr: float = float("nan")
    """Share of the CT's head inside the MR's field of view."""
    flip_margin: float = float("nan")
    best_other_flip: str = ""
    air_hu: float = float("nan")
    head_hu: float = float("nan")


@dataclass(frozen=True)
class Verdict:
    """`reason` is empty for a case taken without remark."""

    status: Status
    reason: str


def examine(mr: Volume, ct: Volume, masks: Masks) -> Findings:
    """Measure a pair: `mr` raw and `ct` in HU, each on its own grid, RAS, masks on the CT's.

    All values are finite (`load_pair` sees to it). Where an image is constant or there is no head,
    the rest stays NaN.
    """
    images = {"MR": mr.array, "CT": ct.array}
    constant = tuple(name for name, array in images.items() if array.min() == array.max())
    litres = float(masks.head.array.sum() * np.prod(ct.spacing_mm) / 1e6)
    if constant or litres < MIN_HEAD_LITRES:
        return Findings(constant, litres)
    coarse = thinned(ct, _COARSE_MM)
    head = resample(masks.head, coarse.grid, order=0).array
    with_mr = resample(field_of_view(mr), coarse.grid, order=0).array
    flips = flip_margin(mr, ct, masks.head)
    return Findings(
        constant,
        litres,
        head_in_mr=float(with_mr[head].mean()),
        flip_margin=flips.margin,
        best_other_flip=flips.best_other,
        air_hu=_median(coarse.array, ~ndimage.binary_dilation(head, iterations=3)),
        head_hu=_median(coarse.array, head),
    )


def verdict(found: Findings) -> Verdict:
    """Refuse, flag or take a case; every reason that applies is given, with its number."""
    refusals = [*_broken(found), *_implausible(found)]
    if refusals:
        return Verdict("refused", "; ".join(refusals))
    if abs(found.flip_margin) <= FLIP_MARGIN:
        return Verdict(
            "flagged",
            f"orientation undecided: as stored and flipped {found.best_other_flip} fit equally "
            f"well (margin {found.flip_margin:+.1%}); look at the contact sheet",
        )
    return Verdict("taken", "")


def _broken(found: Findings) -> list[str]:
    reasons = [f"{name} is constant; export it anew" for name in found.constant]
    if not reasons and found.head_litres < MIN_HEAD_LITRES:
        reasons.append(
            f"no head in the CT: {found.head_litres:.2f} litres of tissue, expected at least "
            f"{MIN_HEAD_LITRES}; are its values in HU?"
        )
    return reasons


def _implausible(found: Findings) -> list[str]:
    reasons = []
    if found.head_in_mr < MIN_HEAD_IN_MR:
        reasons.append(
            f"only {found.head_in_mr:.0%} of the head lies in the MR's field of view, expected "
            f"{MIN_HEAD_IN_MR:.0%}; wrong pair, or not registered"
        )
    if found.flip_margin < -FLIP_MARGIN:
        reasons.append(
            f"MR and CT are mirrored: flipped {found.best_other_flip} they fit better (margin "
            f"{found.flip_margin:+.1%}); check the export's orientation"
        )
    for what, value, (low, high) in (
        ("around the head", found.air_hu, AIR_HU_RANGE),
        ("in the head", found.head_hu, HEAD_HU_RANGE),
    ):
        if value < low or value > high:
            reasons.append(
                f"the CT's median {what} is {value:.0f}, expected {low:.0f} to {high:.0f} HU; "
                "rescale slope and intercept lost?"
            )
    return reasons


def _median(image: NDArray[Any], where: NDArray[np.bool_]) -> float:
    values = image[where]
    return float(np.median(values)) if values.size else float("nan")
