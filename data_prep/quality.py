"""The gate: what is measured on a pair before it may train anything, and what that means.

Nothing is repaired in silence: a doubtful pair is flagged, a wrong one refused with the numbers.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.flips import FlipMargin, flip_margin
from data_prep.masks import Masks, head_from_mr
from data_prep.mutual import thinned
from data_prep.offset import SEARCHED_DEG, SEARCHED_MM, Offset, offset_of
from data_prep.slices import field_of_view
from data_prep.volume import Volume, resample
from data_prep.words import apart

Status = Literal["taken", "flagged", "refused"]

MIN_HEAD_IN_MR = 0.8
FLIP_MARGIN = 0.02
"""Another flip that fits better by this much is a mirrored pair; a win by less decides nothing."""
AIR_HU_RANGE = (-3100.0, -850.0)
"""Of the median around the head. Scanners pad with -1024, -2000 or -3024."""
HEAD_HU_RANGE = (-150.0, 200.0)
"""Of the median inside the head, seven tenths of which are soft tissue; beyond, no CT in HU."""
SOFT_HU_RANGE = (0.0, 80.0)
"""Of the same median in a calibrated CT: 25 to 43 HU were measured in heads and phantoms."""
MIN_HEAD_LITRES = 0.3
MAX_OFFSET_MM = 1.5
MAX_TURN_DEG = 2.0
"""Moves the scalp by some 2.8 mm, its centre not at all."""
MIN_HEAD_DICE = 0.7
"""Aligned pairs reach 0.97 to 0.985; 45 mm off leaves 0.65, and then little else can be said."""
GOOD_HEAD_DICE = 0.9
"""Some 10 to 20 mm off, or one patient's MR laid on another's CT, leaves less."""
MAX_DENSE_OUTSIDE = 0.1
"""A frame with its fiducials fills some 2 % of the room around a head, but corners that a scanner
pads with a lost sign fill a fifth of a slice."""
DENSE_HU = 2500

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
    offset: Offset = field(default_factory=Offset)
    head_dice: float = float("nan")
    """Of the heads that MR and CT show, within the MR's field of view and the CT head's slices."""
    dense_outside: float = float("nan")
    """Share of the CT outside the head above 2500 HU: metal, as of a stereotactic frame."""


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
    outline = resample(head_from_mr(thinned(mr, _COARSE_MM)), coarse.grid, order=0).array
    unknown = FlipMargin(float("nan"), "")
    flips = flip_margin(mr, ct, masks.head) if with_mr[head].any() else unknown
    return Findings(
        constant,
        litres,
        head_in_mr=float(with_mr[head].mean()),
        flip_margin=flips.margin,
        best_other_flip=flips.best_other,
        air_hu=_air(coarse.array, head),
        head_hu=_median(coarse.array, head),
        offset=offset_of(mr, ct, masks.head),
        head_dice=_dice(outline, head, where=with_mr & head.any(axis=(0, 1))),
        dense_outside=_share(ct.array > DENSE_HU, ~masks.head.array),
    )


def verdict(found: Findings) -> Verdict:
    """Refuse, flag or take a case; every reason that applies is given, with its number."""
    refusals = [*_broken(found), *_implausible(found)]
    doubts = [*_misplaced(found), *_unusual(found)]
    status: Status = "refused" if refusals else "flagged" if doubts else "taken"
    return Verdict(status, "; ".join([*refusals, *doubts]))


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
        share, least = apart(found.head_in_mr, MIN_HEAD_IN_MR, "%")
        reasons.append(
            f"only {share} of the head lies in the MR's field of view, expected {least}; a slab "
            "that shows part of the head, a wrong pair, or not registered"
        )
    if found.flip_margin < -FLIP_MARGIN:
        reasons.append(
            f"MR and CT are mirrored: flipped {found.best_other_flip} they fit better (margin "
            f"{found.flip_margin:+.1%}); check the export's orientation"
        )
    elif is_beyond(found.offset):
        reasons.append(
            f"{_place(found.offset)}; the search ends at {SEARCHED_MM:.0f} mm and "
            f"{SEARCHED_DEG:.0f} degrees, so it may be more; register it anew"
        )
    if found.head_dice < MIN_HEAD_DICE:
        reasons.append(
            f"{_overlap(found)}; wrong pair, not registered, or a mask that is no head's outline"
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


def _misplaced(found: Findings) -> list[str]:
    """Doubts about where the MR lies; a mirrored one has another remedy."""
    if found.flip_margin < -FLIP_MARGIN:
        return []
    reasons = []
    if found.flip_margin <= FLIP_MARGIN:
        reasons.append(
            f"orientation undecided: as stored and flipped {found.best_other_flip} fit equally "
            f"well (margin {found.flip_margin:+.1%}); look at the contact sheet"
        )
    if is_off(found.offset) and not is_beyond(found.offset):
        _, most_mm = apart(found.offset.mm, MAX_OFFSET_MM, places=1)
        reasons.append(
            f"{_place(found.offset)}, expected at most {most_mm} mm and {MAX_TURN_DEG:.0f} "
            "degrees; register it anew"
        )
    if MIN_HEAD_DICE <= found.head_dice < GOOD_HEAD_DICE:
        reasons.append(
            f"{_overlap(found)}; look at the contact sheet for another patient or a poor mask"
        )
    return reasons


def is_off(offset: Offset) -> bool:
    """Whether an offset is worth a flag, or more."""
    return offset.mm > MAX_OFFSET_MM or offset.turn_deg > MAX_TURN_DEG


def is_beyond(offset: Offset) -> bool:
    """Whether an offset reaches the end of the search, so that it is not even measured."""
    return offset.mm >= SEARCHED_MM or offset.turn_deg >= SEARCHED_DEG


def _place(offset: Offset) -> str:
    x, y, z = offset.shift_mm
    length_mm, _ = apart(offset.mm, MAX_OFFSET_MM, places=1)
    return (
        f"MR lies {length_mm} mm ({x:+.1f}, {y:+.1f}, {z:+.1f} to the right, front and top) and "
        f"{offset.turn_deg:.1f} degrees off the CT"
    )


def _overlap(found: Findings) -> str:
    dice, good = apart(found.head_dice, GOOD_HEAD_DICE, places=2)
    return f"the heads in MR and CT overlap by a Dice of {dice}, expected {good}"


def _unusual(found: Findings) -> list[str]:
    """Doubts about the CT's values."""
    reasons = []
    low, high = SOFT_HU_RANGE
    plausible = HEAD_HU_RANGE[0] <= found.head_hu <= HEAD_HU_RANGE[1]
    if plausible and not low <= found.head_hu <= high:
        reasons.append(
            f"the CT's median in the head is {found.head_hu:.0f}, expected {low:.0f} to {high:.0f} "
            "HU of soft tissue; is the CT calibrated, the head mask the head's?"
        )
    if found.dense_outside > MAX_DENSE_OUTSIDE:
        share, most = apart(found.dense_outside, MAX_DENSE_OUTSIDE, "%")
        reasons.append(
            f"{share} of the CT outside the head lie above {DENSE_HU} HU, expected {most} at most "
            "even with a frame; padding with a lost sign?"
        )
    return reasons


def _dice(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, where: NDArray[np.bool_]
) -> float:
    whole = int(first[where].sum() + second[where].sum())
    return 2.0 * int((first & second)[where].sum()) / whole if whole else float("nan")


def _air(image: NDArray[Any], head: NDArray[np.bool_]) -> float:
    """The median around the head; of an image all of which passes for head, its darkest voxel."""
    around = ~ndimage.binary_dilation(head, iterations=3)
    return _median(image, around) if around.any() else float(image.min())


def _share(chosen: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    return float(chosen[where].mean()) if where.any() else float("nan")


def _median(image: NDArray[Any], where: NDArray[np.bool_]) -> float:
    values = image[where]
    return float(np.median(values)) if values.size else float("nan")
