"""What stands around a phantom's head: couch, frame posts and pins in CT, marker rods in MR."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.volume import Grid

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_POST_MM = 6.0
"""Radius of a frame post."""
_ROD_MM = 3.5
"""Radius of a marker rod."""
_BOX_MM = (98.0, 115.0, 70.0)
"""Half the marker box: rods left and right, in front, and their half length."""


@dataclass(frozen=True)
class Fixtures:
    """What to add to couch, posts and pins, which every CT has; as radiosurgery in a frame does."""

    touching_post: bool = False
    """CT: a fifth post lies against the scalp, left at the head's widest, without a gap of air."""
    streaks: bool = False
    """CT: the pins' level shows dark and bright bands from pin to pin, of up to 700 HU."""
    rods: bool = False
    """MR: three N-shaped sets of fluid-filled rods, bright as fat, around the head."""


PLAIN = Fixtures()


def add_fixtures(
    image: Array,
    grid: Grid,
    *,
    centre_mm: NDArray[np.float64],
    outside: Mask,
    fixtures: Fixtures,
) -> None:
    """Draw couch, frame posts and pins into an axial CT, in HU, wherever `outside` allows.

    Posts (1600 HU) stand along z; pins (2900 HU) run from them to the scalp through three slices.
    """
    x, y, z = _axes(grid, centre_mm)
    x, y = x[:, None], y[None, :]
    couch = np.abs(y + 110 - x**2 / 900)
    plane = np.where((couch < 7) & (np.abs(x) < 100), -930.0, np.nan)
    plane[(couch < 7) & (couch > 5) & (np.abs(x) < 100)] = -180.0
    pins = np.zeros(plane.shape, bool)
    for side_x, side_y in ((-1, 1), (1, 1), (-1, -1), (1, -1)):
        post_x, post_y = 86.0 * side_x, 84.0 * side_y
        plane[np.hypot(x - post_x, y - post_y) < _POST_MM] = 1600.0
        along = (x * post_x + y * post_y) / np.hypot(post_x, post_y)
        across = (x * post_y - y * post_x) / np.hypot(post_x, post_y)
        pins |= (np.abs(across) < 2.5) & (along > 60) & (along < np.hypot(post_x, post_y))
    if fixtures.touching_post:
        at_x, at_y = _left_of_the_head(x, y, outside)
        plane[np.hypot(x - at_x, y - at_y) < _POST_MM] = 1600.0
    posts = np.isfinite(plane)[:, :, None] & outside
    np.copyto(image, plane[:, :, None], where=posts, casting="same_kind")
    level = np.flatnonzero(np.abs(z - 20) <= max(3.0, grid.spacing_mm[2]))
    reach = pins[:, :, None] & outside[:, :, level]
    image[:, :, level] = np.where(reach, np.float32(2900), image[:, :, level])
    if fixtures.streaks:
        image[:, :, level] += _streaks(x, y)[:, :, None]


def add_rods(image: Array, grid: Grid, *, signal: float, outside: Mask) -> None:
    """Draw marker rods into an axial MR: two upright and a slanting one left, right, in front.

    Their box is centred at 0 mm; they have the value `signal`.
    """
    x, y, z = np.ix_(*_axes(grid, np.zeros(3)))
    side, front, half = _BOX_MM
    slant = 60.0 * np.clip(z / half, -1, 1)
    rods = np.zeros(image.shape, bool)
    for at in (-60.0, 60.0, slant):
        for across, along in ((x - side, y - at), (x + side, y - at), (y - front, x - at)):
            rods |= (np.hypot(across, along) < _ROD_MM) & (np.abs(z) < half)
    image[rods & outside] = signal


def _axes(grid: Grid, centre_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Distance in mm of voxel centres from `centre_mm` along an axial grid's three axes."""
    steps = [np.arange(n) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    return [step + grid.affine[i, 3] - centre_mm[i] for i, step in enumerate(steps)]


def _left_of_the_head(
    x: NDArray[np.float64], y: NDArray[np.float64], outside: Mask
) -> tuple[float, float]:
    """Centre of a post that presses 1 mm into the head's leftmost point of all slices."""
    i, j = np.nonzero(~outside.all(axis=2))
    return float(x[i.min(), 0]) + 1.0 - _POST_MM, float(y[0, j[i == i.min()]].mean())


def _streaks(x: NDArray[np.float64], y: NDArray[np.float64]) -> Array:
    """HU that beam hardening between opposite pins adds: dark on their line, bright beside it."""
    bands = np.zeros(np.broadcast(x, y).shape)
    for side in (-1.0, 1.0):
        across = (x * 84.0 + side * y * 86.0) / np.hypot(84.0, 86.0)
        bands += 700 * (0.6 * np.exp(-((np.abs(across) - 7) ** 2) / 8) - np.exp(-(across**2) / 18))
    return np.asarray(bands, np.float32)
