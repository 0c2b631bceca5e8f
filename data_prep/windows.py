"""Where the network's window lies on each slice: how wide a pixel is, and on what it is centred."""

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.volume import Grid, Volume, centre_of, slice_grid

Pixel = float | Literal["native", "fov"]
"""mm, or of each CT its own pixel, or its field of view over the window's size (the thesis)."""

At = Literal["head", "centre", "random"]
"""The head's bounding box, the CT's field of view (the thesis), or anywhere on the head."""

CROP_PIXEL_MM = 0.9
"""256 pixels then hold 230 mm: an adult head from nose to occiput."""

RESIZE_FIELD_MM = 256.0


def pixel_in_mm(pixel: Pixel, ct: Grid, size: int) -> float:
    """Pixel size of a window of `size` pixels on a CT grid in RAS order, in mm."""
    if pixel == "native":
        return round(ct.spacing_mm[0], 6)
    if pixel == "fov":
        return round(float(np.max(np.array(ct.shape[:2]) * ct.spacing_mm[:2])) / size, 6)
    return float(pixel)


def window_grid(head: Volume, *, size: int, pixel_mm: float, at: At) -> Grid:
    """The grid of `size` x `size` pixels a slice; `head` lies on the CT's grid, in RAS order.

    A window in the CT's own pixels is moved by less than half of one onto them, so that nothing is
    interpolated in-plane. `random` has the grid of `head`; its windows are moved over it.
    """
    ct = head.grid
    middle = np.append((np.array(ct.shape) - 1) / 2, 1.0)
    centre = (ct.affine @ middle)[:3] if at == "centre" else centre_of(head)
    grid = slice_grid(ct, centre, pixel_mm=pixel_mm, size=size)
    if np.allclose(ct.spacing_mm[:2], pixel_mm, atol=1e-5):
        first = np.round((np.linalg.inv(ct.affine) @ grid.affine)[:3, 3])
        grid.affine[:3, 3] = ct.affine[:3, :3] @ first + ct.affine[:3, 3]
    return grid


def widened(grid: Grid, margin: int) -> Grid:
    """`margin` more pixels on all four sides of each slice."""
    i, j, k = grid.shape
    affine = grid.affine.copy()
    affine[:3, 3] -= affine[:3, :2] @ np.array([margin, margin])
    return Grid((i + 2 * margin, j + 2 * margin, k), affine)


def moved(grid: Grid, shift: NDArray[Any]) -> NDArray[np.float64]:
    """Affine of a slice whose window is moved by `shift` pixels (x, y)."""
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :2] @ np.asarray(shift, np.float64)
    return affine


def random_shifts(
    head: Volume, *, size: int, pixel_mm: float, subject: str, seed: int
) -> NDArray[np.int64]:
    """How far each slice's window is moved off the head's centre: (n, 2), pixels along x and y.

    Along each axis the window stays on the box around the slice's head or, where it is the wider
    one, holds all of it; the place is uniform. Fixed by `seed` and `subject`.
    """
    digest = hashlib.sha256(f"pct-windows-1:{seed}:{subject}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    steps = np.array(head.spacing_mm[:2])
    middle = (np.linalg.inv(head.affine) @ np.append(centre_of(head), 1.0))[:2]
    shifts = np.zeros((head.array.shape[2], 2), np.int64)
    for k, draw in enumerate(rng.uniform(-0.5, 0.5, shifts.shape)):
        where = np.argwhere(head.array[:, :, k])
        if len(where):
            low, high = where.min(axis=0), where.max(axis=0)
            room_mm = np.abs((high - low + 1) * steps - size * pixel_mm)
            off_mm = ((low + high) / 2 - middle) * steps + draw * room_mm
            shifts[k] = np.rint(off_mm / pixel_mm)
    return shifts
