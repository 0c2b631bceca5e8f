"""Does a model know such an MR? What prediction sees, held to the training data's fingerprint."""

import math
from collections.abc import Iterator
from typing import Any

from data_prep.histograms import TISSUES
from data_prep.intensity import percentiles
from data_prep.volume import Volume
from pct.prediction import measures
from pct.prediction.check import Check, held, span

TISSUE_TOLERANCE = {"air": 0.04, "soft": 0.08, "bone": 0.08}
"""Beyond training's shares: held-out pCTs go 0.061 beyond, those of inverted MRs 0.095 or more."""
COARSER = 1.5
"""Times training's coarsest spacing. Twice lost nothing in HU, thrice up to a fifth; finer MRs
are resampled and lose nothing, so there is no lowest."""
GAIN = 2.0
"""Times training's middle and highest percentiles: a scanner's gain alone changes no pseudo-CT."""
DARK_TOLERANCE = 0.1
"""Of training's span, beyond its lowest percentile, which may be 0 or below."""
CONTRAST_TOLERANCE = 0.08
"""Held-out T1 heads go 0.02 beyond training's range."""

PERCENTILES = {"p1": 1.0, "p50": 50.0, "p99.9": 99.9}

_TISSUES = {"air": "air", "soft": "soft tissue", "bone": "bone"}
_AXES = {"R": "from left to right", "A": "from back to front", "S": "from bottom to top"}

Fingerprint = dict[str, Any]
"""As `data_prep.fingerprint.training_fingerprint` gives it: [lowest, middle, highest]."""


def tissues(trained: Fingerprint, head: Volume, pct: Volume) -> Iterator[Check]:
    """Shares of air, soft tissue and bone in the head, both volumes on one grid."""
    shares = measures.tissue_shares(pct.array, head.array)
    for name in TISSUES[:-1]:
        least, _, most = trained["hu_share"][name]
        low, high = max(0.0, least - TISSUE_TOLERANCE[name]), most + TISSUE_TOLERANCE[name]
        words = (
            f"{shares[name]:.1%} of the head is {_TISSUES[name]}, in training's CTs "
            f"{span(least, most, '.1%')} (expected {low:.1%} to {high:.1%})"
        )
        yield held(f"share_{name}", shares[name], words, unit="share", low=low, high=high)


def spacings(trained: Fingerprint, mr: Volume) -> Iterator[Check]:
    """Distances of the MR's voxels, `mr` in RAS order."""
    for axis, mm, (least, _, most) in zip(
        _AXES, mr.spacing_mm, trained["mr_spacing_mm"], strict=True
    ):
        high = COARSER * most
        words = (
            f"the MR's voxels are {mm:.3g} mm apart {_AXES[axis]}, training's "
            f"{span(least, most, '.3g')} (expected up to {high:.3g})"
        )
        yield held(f"spacing_{axis}", mm, words, unit="mm", high=high)


def intensities(trained: Fingerprint, mr: Volume, head: Volume) -> Iterator[Check]:
    """Raw percentiles in the head and the contrast they make, both volumes on one grid."""
    found = percentiles(mr.array[head.array], PERCENTILES.values())
    known = [trained["mr_percentiles"][name] for name in PERCENTILES]
    more = DARK_TOLERANCE * (known[2][1] - known[0][1])
    for name, value, (least, _, most) in zip(PERCENTILES, found, known, strict=True):
        low, high = least - more, most + more
        if name != "p1":
            low, high = min(low, least / GAIN), max(high, most * GAIN)
        words = (
            f"percentile {PERCENTILES[name]:g} of the raw MR in the head is {value:.4g}, in "
            f"training {span(least, most, '.4g')} (expected {low:.4g} to {high:.4g}; raw units are "
            "each scanner's own, and another gain alone does no harm)"
        )
        yield held(f"mr_{name}", value, words, unit="raw", low=low, high=high)
    yield _contrast(trained, measures.contrast(*found))


def _contrast(trained: Fingerprint, value: float) -> Check:
    least, _, most = trained["mr_contrast"]
    low, high = least - CONTRAST_TOLERANCE, most + CONTRAST_TOLERANCE
    words = (
        "the MR has one value in its head: it has no contrast to compare"
        if math.isnan(value)
        else f"the median of the MR's head lies at {value:.2f} between its darkest (0) and "
        f"brightest (1), in training {span(least, most, '.2f')} (expected {low:.2f} to {high:.2f}; "
        "beyond, it is likely another sequence)"
    )
    return held("mr_contrast", value, words, low=low, high=high)
