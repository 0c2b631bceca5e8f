"""What a model must beat: a pseudo-CT that knows where the head is, and not what is in it."""

import numpy as np

from data_prep.errors import PctError
from data_prep.intensity import AIR_HU
from data_prep.masks import head_from_mr
from data_prep.schema import CaseVolumes, Slices
from data_prep.volume import Volume, resample, to_ras

PART = 64
"""Slices worked on at a time: they may be mapped from a file larger than memory."""


class NoHead(PctError):
    """Training slices from which no mean of the head can be taken."""


def mean_head_hu(slices: Slices) -> float:
    """Mean HU of all head pixels of these slices; none at all is `NoHead`."""
    total, count = 0.0, 0
    for start in range(0, len(slices), PART):
        rows = slice(start, start + PART)
        inside = slices.ct_hu[rows][slices.head[rows]]
        total, count = total + float(inside.sum(dtype=np.float64)), count + inside.size
    if not count:
        raise NoHead(
            f"{len(slices)} training slices without a pixel of head: there is no mean HU. Prepare "
            "the data again: pct prep."
        )
    return total / count


def fill_head(case: CaseVolumes, hu: float) -> Volume:
    """`hu` in the head, air outside, int16 on the CT's grid; the outline is drawn from the MR."""
    head = resample(head_from_mr(to_ras(case.mr)), case.ct.grid, order=0)
    return head.with_array(np.where(head.array, round(hu), round(AIR_HU)).astype(np.int16))
