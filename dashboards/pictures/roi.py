"""Regions to zoom into: given in mm by hand, or where the CT's own bone edges are densest.

No pseudo-CT and no error is looked at: a region chosen by the error would choose the verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dashboards.pictures.looks import Look
from data_prep.errors import PctError
from data_prep.picture import Slice

SIZE_MM = 40.0
MOST_ROIS = 2
BONE_HU = 250.0
NEAR_MM = 2.0
"""How far from the CT's bone surface a gradient counts, as for the score `edge_bone`."""


class BadRoi(PctError):
    """A region that cannot be zoomed into."""


@dataclass(frozen=True)
class Roi:
    """A square, by its centre in mm from the slice's middle: x to the patient's right, y to front.

    Pictures show the patient's right on the left, so x grows to the left there and y upwards.
    """

    x_mm: float
    y_mm: float
    size_mm: float = SIZE_MM


@dataclass(frozen=True)
class Box:
    """A square of pixels: the lowest row (y) and column (x) in it, and how many it spans."""

    y: int
    x: int
    size: int

    def cut(self, image: Slice) -> Slice:
        """What of the image lies in the box."""
        return image[self.y : self.y + self.size, self.x : self.x + self.size]


def parse_roi(text: str) -> tuple[str, Roi]:
    """Read `CASE:x_mm,y_mm[,size_mm]`, as given to `--roi`, into the case and the region."""
    case, _, numbers = text.rpartition(":")
    try:
        x_mm, y_mm, *size = (float(number) for number in numbers.split(","))
        (size_mm,) = size or [SIZE_MM]
    except ValueError:
        case = ""
    if not case or not np.isfinite([x_mm, y_mm, size_mm]).all() or size_mm <= 0:
        raise BadRoi(
            f"--roi {text}: expected CASE:x_mm,y_mm or CASE:x_mm,y_mm,size_mm with the centre in "
            "mm from the slice's middle, x to the patient's right (left in the picture) and y to "
            "the front, as in p07:-35,42,40."
        )
    return case, Roi(x_mm, y_mm, size_mm)


def rois_of(look: Look, by_hand: Iterable[tuple[str, Roi]]) -> tuple[Roi, ...]:
    """The regions given by hand for this case, else the default ones."""
    given = tuple(roi for case, roi in by_hand if case == look.case)
    return given or densest_bone_edges(look.ct_hu, look.head, pixel_mm=look.pixel_mm)


def refuse_unknown(looks: Mapping[str, Look], by_hand: Sequence[tuple[str, Roi]]) -> None:
    """Raise `BadRoi` where a region was given for a case that is not shown, or lies outside it."""
    kept = ", ".join(looks) or "no case at all: the sweep is older than such slices"
    for case, roi in by_hand:
        if case not in looks:
            raise BadRoi(f"--roi {case}: no slice of it was kept, but of {kept}.")
        box_of(roi, looks[case])


def densest_bone_edges(
    ct_hu: Slice, head: NDArray[np.bool_], *, pixel_mm: float, size_mm: float = SIZE_MM
) -> tuple[Roi, ...]:
    """Up to two squares that hold most of |grad CT| within 2 mm of its bone surface in the head.

    They do not overlap and lie within the slice. None where the slice shows no bone edge or is
    smaller than a square.
    """
    size = max(1, round(size_mm / pixel_mm))
    height, width = ct_hu.shape
    if size > min(height, width):
        return ()
    held = _sums(_edges(ct_hu, head, pixel_mm=pixel_mm), size)
    found: list[Roi] = []
    while len(found) < MOST_ROIS and held.max() > 0:
        y, x = (int(i) for i in np.unravel_index(np.argmax(held), held.shape))
        y_mm = (y + (size - 1) / 2 - (height - 1) / 2) * pixel_mm
        x_mm = (x + (size - 1) / 2 - (width - 1) / 2) * pixel_mm
        found.append(Roi(x_mm, y_mm, size_mm))
        held[max(0, y - size + 1) : y + size, max(0, x - size + 1) : x + size] = 0.0
    return tuple(found)


def box_of(roi: Roi, look: Look) -> Box:
    """The region in pixels; one that reaches over the slice's border is moved inside.

    Raises `BadRoi` where its centre lies outside or it is larger than the slice.
    """
    size = max(1, round(roi.size_mm / look.pixel_mm))
    starts = []
    for pixels, at_mm in zip(look.ct_hu.shape, (roi.y_mm, roi.x_mm), strict=True):
        centre = at_mm / look.pixel_mm + (pixels - 1) / 2
        if size > pixels or not -0.5 <= centre <= pixels - 0.5:
            y_mm, x_mm = (n * look.pixel_mm / 2 for n in look.ct_hu.shape)
            raise BadRoi(
                f"--roi {look.case}:{roi.x_mm:g},{roi.y_mm:g},{roi.size_mm:g}: outside the slice, "
                f"which reaches to x = +-{x_mm:g} mm and y = +-{y_mm:g} mm from its middle."
            )
        starts.append(min(max(0, round(centre - (size - 1) / 2)), pixels - size))
    return Box(starts[0], starts[1], size)


def _edges(ct_hu: Slice, head: NDArray[np.bool_], *, pixel_mm: float) -> NDArray[np.float64]:
    """|grad CT| in HU/mm near the surface of bone inside the head, 0 elsewhere."""
    bone = (ct_hu > BONE_HU) & head
    surface = bone & ~ndimage.binary_erosion(bone)
    if not surface.any():
        return np.zeros(ct_hu.shape)
    near = ndimage.distance_transform_edt(~surface) * pixel_mm <= NEAR_MM
    along_y, along_x = np.gradient(np.asarray(ct_hu, np.float64), pixel_mm)
    return np.asarray(np.hypot(along_y, along_x) * (near & head))


def _sums(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sums over all squares of `size` pixels that fit, by their lowest row and column.

    Rounded to 1e-6, so that empty squares are 0 and equal ones equal whatever was summed before.
    """
    total = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[size:, size:] - total[:-size, size:] - total[size:, :-size]
    return np.asarray((inside + total[:-size, :-size]).round(6))
