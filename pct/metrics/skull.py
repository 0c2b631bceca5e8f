"""The skull's scores (thesis 2.6.3), where the pCT's skull is drawn by what drew the CT's."""

import logging
import re
from functools import cache
from typing import Literal, cast

import numpy as np

from data_prep import totalseg
from data_prep.totalseg import SegmentationFailed, Setup
from data_prep.volume import Volume
from pct.metrics.hu_errors import dice
from pct.metrics.surfaces import surface_distances

log = logging.getLogger(__name__)


def skull_scores(pct: Volume, head: Volume, skull: Volume, *, backend: str) -> dict[str, float]:
    """`dice_skull` and `hd95_skull` of a pCT in HU; all on the CT's grid, RAS, both inside `head`.

    `backend` drew the CT's `skull`. Nothing where that was a threshold (see `dice_hu250`), or
    where the same TotalSegmentator is not here, with a warning that says what is missing. NaN
    where it stops at this pCT. It takes a GPU seconds, a CPU minutes.
    """
    setup = _setup_named(backend)
    if setup is None:
        return {}
    try:
        found = totalseg.segment(pct, setup)[1].array & head.array
    except SegmentationFailed as failed:
        log.warning("no dice_skull: %s", failed)
        return {"dice_skull": float("nan"), "hd95_skull": float("nan")}
    expected = skull.array & head.array
    x, y, z = pct.spacing_mm
    distances = surface_distances(np.asarray(found), np.asarray(expected), (x, y, z))
    return {"dice_skull": dice(found, expected), "hd95_skull": distances.hd95_mm}


@cache  # to warn once, not at every case
def _setup_named(backend: str) -> Setup | None:
    """The TotalSegmentator that is called `backend`, if it is here."""
    drawn = backend.partition("+")[0]
    parts = re.fullmatch(r"totalsegmentator-.+?-(craniofacial|total)(-fast)?", drawn)
    if parts is None:
        return None
    setup = Setup(cast(Literal["craniofacial", "total"], parts[1]), fast=parts[2] is not None)
    try:
        totalseg.refuse_missing(setup)
    except SegmentationFailed as missing:
        log.warning("no dice_skull, the CT's skull is by %s: %s", drawn, missing)
        return None
    if (here := totalseg.name(setup)) != drawn:
        log.warning("no dice_skull: the CT's skull is by %s, here is %s", drawn, here)
        return None
    return setup
