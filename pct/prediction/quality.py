"""How far a pseudo-CT may be trusted: checks that need its MR and its model, and no CT.

Limits are those that held-out patients keep to and broken input does not, as measured on models
of 14 real heads and of 10 phantoms; each says beside it what set it.
"""

import math
from collections.abc import Iterator

from data_prep.intensity import percentiles
from data_prep.volume import Volume, to_ras
from pct.metrics.background import background
from pct.model import Model
from pct.prediction import familiar, measures
from pct.prediction.check import Check, held
from pct.prediction.volume import Prepared

__all__ = ["Check", "look_over"]

DENSE_HU = 900.0
"""Least HU of the densest thousandth of a head: 1147 to 1480 in pCTs of whole MRs."""
MOST_FOG = 0.05
"""Up to 0.024 from whole MRs; 0.10 and more from other kinds of image, or weights."""
MOST_JITTER = 2.0
"""0.2 to 1.3 in pCTs of whole MRs; with offsets from slice to slice of 25 HU (SD) 3.1 at slices of
2 mm, with 100 HU 2.8 at 4.2 mm."""
MOST_OUTSIDE = 0.01
"""Of the head beyond the model's field of view, or the written grid: none in any MR of a head's
true size on a grid that holds it."""
MOST_CUT = 0.2
"""Some 10 mm of a head's radius gone; ears, nose and crown of a whole head reach 0.09."""
SCALE = (0.8, 1.25)
"""Pixel of the network's grid to training's; 0.7 costs 30 HU."""
MOST_SLAB = 0.2
"""Up to 0.02 in pCTs of whole MRs, 0.06 in those of phantoms, 0.11 in CTs;
1 where 13 mm of the MR are blank."""
MOST_POCKET_MM = 28.0
"""Sinuses and airways of 20 CTs are 14 to 20 mm wide; a void of 44 mm in the MR becomes one of 36.
Phantoms have sinuses of 31 to 36 mm, which lie in the face."""
LEAST_FRONT = 0.0
"""0.18 to 0.30 in pCTs of whole MRs, 0.06 and more in CTs; -0.23 to 0.13 where front and back are
turned, so a third of those is not seen."""
LEAST_BELOW = 0.0
"""0.22 to 0.30 in pCTs of whole MRs and in CTs, 0.04 where the MR begins at the base of the skull;
-0.23 and less where top and bottom are turned."""
PROPORTION = (1.0, 1.6)
"""1.04 to 1.52 in 20 heads, less than 1 where two axes are swapped."""
HEAD_SIZE = {
    "litres": ("litres", 2.0, 6.5, "holds {:.2f} litres"),
    "breadth": ("mm", 120.0, 220.0, "is {:.0f} mm wide"),
    "length": ("mm", 150.0, 260.0, "is {:.0f} mm long from front to back"),
    "height": ("mm", 110.0, 300.0, "is seen over {:.0f} mm from top to bottom"),
}
"""Unit, limits and words: from a child's of two to a large adult's with ears, nose and neck.

Measured 2.9 to 4.5 litres; 147 to 212, 190 to 235, 152 to 193 mm. A height below is less than a
brain's: more of the head lies beyond the MR.
"""


def look_over(model: Model, prepared: Prepared, pct: Volume) -> list[Check]:
    """All checks of a prediction; `pct` in int16 HU on any grid.

    A model of an earlier version has no fingerprint of its training data: one check says so, and
    those that need it are left out.
    """
    pct = to_ras(pct)
    head = measures.head_on(prepared.head, pct.grid)
    trained = model.card.get("fingerprint")
    checks = [*_pct_alone(model, head, pct), *_field_of_view(model, prepared, head)]
    checks += _head_size(prepared.head)
    if not trained:
        return [*checks, _no_fingerprint()]
    checks += familiar.tissues(trained, head, pct)
    checks += familiar.spacings(trained, prepared.mr)
    checks += familiar.intensities(trained, prepared.mr, prepared.head)
    return checks


def _pct_alone(model: Model, head: Volume, pct: Volume) -> Iterator[Check]:
    dense = percentiles(pct.array[head.array], (99.9,))[0]
    words = (
        f"the densest thousandth of the head begins at {dense:.0f} HU (expected {DENSE_HU:g} up)"
    )
    yield held("dense_hu", dense, words, unit="HU", low=DENSE_HU)
    yield _fog(model, head, pct)
    yield from _air(head, pct)
    ratio = measures.jitter(pct.array, head.array, pct.spacing_mm)
    words = (
        "the head is too thin for HU to be compared from slice to slice"
        if math.isnan(ratio)
        else f"HU vary {ratio:.2f} times as much from slice to slice as within slices (expected up "
        f"to {MOST_JITTER:g})"
    )
    yield held("jitter", ratio, words, high=MOST_JITTER)


def _air(head: Volume, pct: Volume) -> Iterator[Check]:
    """Where the head's air is: in sinuses and airways, which lie in front and below."""
    change = measures.slab(pct.array, head.array)
    words = (
        "the head is too thin for its air to be compared from layer to layer"
        if math.isnan(change)
        else f"the share of air in the head changes by {change:.1%} from one layer to the next "
        f"(expected up to {MOST_SLAB:.0%}; more is a blank slab)"
    )
    yield held("slab", change, words, unit="share", high=MOST_SLAB)
    wide_mm = measures.pocket_mm(pct, head)
    words = (
        f"the widest pocket of air in the head but for its face is {wide_mm:.0f} mm across "
        f"(expected up to {MOST_POCKET_MM:g})"
    )
    yield held("pocket", wide_mm, words, unit="mm", high=MOST_POCKET_MM)
    front, up = measures.air_place(pct, head)
    none = "the head holds no air deeper than 10 mm, so its place cannot be compared"
    words = (
        f"the head's air lies {front:.2f} of its length in front of its centre (expected "
        f"{LEAST_FRONT} up)"
    )
    yield held("air_front", front, none if math.isnan(front) else words, low=LEAST_FRONT)
    words = (
        f"the head's air lies {-up:.2f} of its height below its centre (expected {LEAST_BELOW} up)"
    )
    yield held("air_below", -up, none if math.isnan(up) else words, low=LEAST_BELOW)


def _fog(model: Model, head: Volume, pct: Volume) -> Check:
    if model.run.background == "air":
        words = "the model's settings make air beyond 5 mm from the head: no fog can be there"
        return Check("fog", None, "share", None, MOST_FOG, True, words)
    x, y, z = pct.spacing_mm
    zyx = (pct.array.transpose(2, 1, 0), head.array.transpose(2, 1, 0))
    share = background(*zyx, (z, y, x))["fog_share"]
    words = (
        "the image ends within 5 mm of the head: fog cannot be measured"
        if math.isnan(share)
        else f"{share:.1%} of what lies further than 5 mm from the head is not air (expected "
        f"up to {MOST_FOG:.0%})"
    )
    return held("fog", share, words, unit="share", high=MOST_FOG)


def _field_of_view(model: Model, prepared: Prepared, head: Volume) -> Iterator[Check]:
    grid = head.grid
    outside = measures.share_outside(head, prepared.grid)
    words = (
        f"{outside:.1%} of the head lies beyond the model's field of view and becomes air "
        f"(expected up to {MOST_OUTSIDE:.0%})"
    )
    yield held("outside_grid", outside, words, unit="share", high=MOST_OUTSIDE)
    unwritten = measures.share_outside(prepared.head, grid)
    words = (
        f"{unwritten:.1%} of the MR's head lies beyond the written grid (expected up to "
        f"{MOST_OUTSIDE:.0%})"
    )
    yield held("unwritten", unwritten, words, unit="share", high=MOST_OUTSIDE)
    faces = measures.cut_faces(prepared.head.array)
    faces.pop("bottom")  # Any head goes on in a neck: how much of it is there is its height.
    side = max(faces, key=faces.__getitem__)
    words = (
        f"at its {side} the MR's head ends in {faces[side]:.1%} of its largest cross-section "
        f"(expected up to {MOST_CUT:.0%}; more is a head cut by the field of view)"
    )
    yield held("cut", faces[side], words, unit="share", high=MOST_CUT)
    if model.run.geometry == "native_tiles":
        pixel_mm, trained_mm = prepared.grid.spacing_mm[0], model.grid.pixel_mm
        low, high = (trained_mm * factor for factor in SCALE)
        words = (
            f"the model sees pixels of {pixel_mm:.2f} mm, in training {trained_mm:.2f} (expected "
            f"{low:.2f} to {high:.2f}; it knows anatomy at that scale)"
        )
        yield held("pixel", pixel_mm, words, unit="mm", low=low, high=high)


def _head_size(head: Volume) -> Iterator[Check]:
    breadth, length, height = measures.extent_mm(head)
    ratio, (low, high) = length / breadth, PROPORTION
    words = f"the MR's head is {ratio:.2f} times as long as wide (expected {_to(low, high)})"
    yield held("head_proportion", ratio, words, low=low, high=high)
    found = (measures.litres(head), breadth, length, height)
    for (name, (unit, low, high, told)), value in zip(HEAD_SIZE.items(), found, strict=True):
        words = f"the MR's head {told.format(value)} (expected {_to(low, high)})"
        yield held(f"head_{name}", value, words, unit=unit, low=low, high=high)


def _no_fingerprint() -> Check:
    words = (
        "the model is of an earlier version and does not say what it was trained on: tissue "
        "shares, MR spacing and intensities are not compared"
    )
    return Check("fingerprint", None, "", None, None, None, words)


def _to(low: float, high: float) -> str:
    return f"{low:g} to {high:g}"
