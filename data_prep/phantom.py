"""Analytic heads with MR, CT and true masks, for demonstrations and tests.

They have what makes the task a task: bone and air are both dark in MR, thicknesses and sinuses
vary with the subject, the MR has a coil's shading and Rician noise, the CT shows a couch and a
stereotactic frame that the MR does not. No patient looks like this: a phantom supports no claim.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.phantom_anatomy import Anatomy, draw_anatomy, label_tissues
from data_prep.phantom_fixtures import PLAIN, Fixtures, add_fixtures, add_rods
from data_prep.phantom_tissues import BONE, CT_HU, MR_SIGNAL, Tissue
from data_prep.volume import Grid, Volume

Array = NDArray[np.float32]

HU_LIMITS = (-1024, 3071)
"""What a 12-bit CT can hold."""

_SHARPNESS_MM = 0.55
"""Sigma of both scanners' in-plane point spread."""


@dataclass(frozen=True)
class Phantom:
    """A head on one grid, in RAS order. Both masks are those of the anatomy, not of a threshold."""

    mr: Volume
    """float32, raw units of no meaning, 0 to some thousands."""
    ct: Volume
    """int16 HU in [-1024, 3071]."""
    head: Volume
    """bool: everything inside the skin, cavities too."""
    skull: Volume
    """bool: all bone, jaw and vertebrae too."""


def make_head(
    seed: int,
    *,
    size: int = 256,
    num_slices: int = 48,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 4.0),
    asymmetry: float = 1.0,
    fixtures: Fixtures = PLAIN,
) -> Phantom:
    """The head of subject `seed`, the same for the same seed, MR and CT exactly aligned.

    The grid is centred at 0 mm and `size` x `size` x `num_slices`. The head is about 155 x 215 mm
    in-plane and reaches from the vertex, some 88 mm above, down through the grid's lowest slice.
    `asymmetry` scales what tells left from right (0: the anatomy equals its mirror image);
    `fixtures` adds what stands around the head.
    """
    grid = centred_grid((size, size, num_slices), spacing_mm)
    anatomy = draw_anatomy(seed, asymmetry=asymmetry)
    labels = label_tissues(anatomy, grid)
    return Phantom(
        mr=scan_mr(labels, grid, seed=seed, fixtures=fixtures),
        ct=scan_ct(labels, grid, anatomy=anatomy, seed=seed, fixtures=fixtures),
        head=Volume(labels != Tissue.AIR, grid.affine),
        skull=Volume(np.isin(labels, BONE), grid.affine),
    )


def centred_grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """An axial RAS grid whose middle lies at 0 mm."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -0.5 * (np.array(shape) - 1) * spacing_mm
    return Grid(shape, affine)


def scan_mr(
    labels: NDArray[np.uint8], grid: Grid, *, seed: int, fixtures: Fixtures = PLAIN
) -> Volume:
    """A T1 image of tissue labels: subject's gain and contrast, shading, blur, Rician noise."""
    rng = np.random.default_rng([seed, 2])
    gain = rng.uniform(350, 1100)
    signal = MR_SIGNAL * rng.normal(1.0, 0.04, MR_SIGNAL.size).astype(np.float32) * gain
    image = signal.astype(np.float32)[labels]
    if fixtures.rods:
        add_rods(image, grid, signal=float(signal[Tissue.FAT]), outside=labels == Tissue.AIR)
    image = _blurred(image, grid)
    for axis in range(3):
        image *= _shading(grid, axis, rng)
    noise = np.float32(gain * rng.uniform(0.012, 0.022))
    image += noise * rng.standard_normal(image.shape, np.float32)
    image **= 2
    image += (noise * rng.standard_normal(image.shape, np.float32)) ** 2
    return Volume(np.sqrt(image, out=image), grid.affine)


def scan_ct(
    labels: NDArray[np.uint8],
    grid: Grid,
    *,
    anatomy: Anatomy,
    seed: int,
    fixtures: Fixtures = PLAIN,
) -> Volume:
    """A CT of tissue labels with couch and frame outside the head, blur and noise of 10-15 HU."""
    rng = np.random.default_rng([seed, 3])
    hu = CT_HU + rng.normal(0, 3, CT_HU.size).astype(np.float32)
    hu[list(BONE)] *= rng.uniform(0.9, 1.12)
    image = hu[labels]
    outside, centre_mm = labels == Tissue.AIR, anatomy.affine[:3, 3]
    add_fixtures(image, grid, centre_mm=centre_mm, outside=outside, fixtures=fixtures)
    image = _blurred(image, grid)
    image += np.float32(rng.uniform(10, 15)) * rng.standard_normal(image.shape, np.float32)
    np.rint(np.clip(image, *HU_LIMITS, out=image), out=image)
    return Volume(image.astype(np.int16), grid.affine)


def _blurred(image: Array, grid: Grid) -> Array:
    for axis in (0, 1):
        sigma = _SHARPNESS_MM / grid.spacing_mm[axis]
        image = ndimage.gaussian_filter1d(image, sigma, axis, truncate=2.0)
    return image


def _shading(grid: Grid, axis: int, rng: np.random.Generator) -> Array:
    """A coil's sensitivity along one index axis: a parabola of some +-15 % over 100 mm."""
    n = grid.shape[axis]
    along = (np.arange(n) - (n - 1) / 2) * grid.spacing_mm[axis] / 100.0
    curve = 1.0 + rng.normal(0, 0.06) * along - rng.uniform(0.0, 0.12) * along**2
    shape = [1, 1, 1]
    shape[axis] = n
    return np.asarray(np.maximum(curve, 0.2), np.float32).reshape(shape)
