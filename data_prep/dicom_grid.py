"""Where the voxels of a DICOM series lie: a grid in RAS mm, and the same in DICOM's terms."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.valuerep import format_number_as_ds

from data_prep.dicom_census import SeriesCensus
from data_prep.dicom_faults import COSINE_TOLERANCE
from data_prep.volume import Affine, Grid, ras_grid

RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM's x grows to the patient's left and y to the back, ours to the right and the front."""


def series_grid(series: SeriesCensus) -> Grid:
    """The series' own voxels: axes (column, row, slice), slices in the order of the census.

    `from_ras(read_series(folder), series_grid(census(folder)))` is the series as it is stored.
    Expects a series that has passed `check`.
    """
    first, last, num = series.slices[0], series.slices[-1], len(series.slices)
    rows_mm, columns_mm = first.pixel_mm
    rows, columns = first.shape
    lps = np.eye(4)
    lps[:3, 0] = np.multiply(first.cosines[:3], columns_mm)
    lps[:3, 1] = np.multiply(first.cosines[3:], rows_mm)
    lps[:3, 2] = np.subtract(last.position_mm, first.position_mm) / (num - 1)
    lps[:3, 3] = first.position_mm
    return Grid((columns, rows, num), RAS_OF_LPS @ lps)


def axial_grid_of(grid: Grid) -> Grid:
    """A grid's voxels in the order of an axial CT: columns to the patient's left, rows to the back.

    Slices go upwards. The voxels stay where they are; an oblique grid stays oblique.
    """
    grid = ras_grid(grid)
    flips = np.diag([-1.0, -1.0, 1.0, 1.0])
    flips[:2, 3] = np.subtract(grid.shape[:2], 1)
    return Grid(grid.shape, grid.affine @ flips)


@dataclass(frozen=True)
class Upright:
    """A grid with axes at right angles, as the slices of a series need it; in LPS mm."""

    cosines: NDArray[np.float64]
    """3x3: a row's direction, a column's, and across the slices, in columns; right-handed."""
    spacing_mm: NDArray[np.float64]
    """Distance of neighbours along (column, row, slice)."""
    corner_mm: NDArray[np.float64]
    """Centre of the first voxel."""

    @property
    def is_axial(self) -> bool:
        """Whether the slices are truly axial, however they are turned within their planes."""
        return bool(np.abs(self.cosines[:2, 2]).max() <= COSINE_TOLERANCE)

    def position_mm(self, k: int) -> NDArray[np.float64]:
        """Centre of the first voxel of slice `k`."""
        step_mm: NDArray[np.float64] = self.cosines[:, 2] * self.spacing_mm[2]
        return self.corner_mm + k * step_mm

    def describe(self, dataset: pydicom.Dataset) -> None:
        """Set what all slices of a series share."""
        dataset.ImageOrientationPatient = _decimals(self.cosines[:, :2].T.ravel())
        dataset.PixelSpacing = _decimals(self.spacing_mm[[1, 0]])  # of rows, then of columns
        dataset.SliceThickness, dataset.SpacingBetweenSlices = _decimals(self.spacing_mm[[2, 2]])

    def place(self, dataset: pydicom.Dataset, k: int) -> None:
        """Set where slice `k` lies."""
        position_mm = self.position_mm(k)
        dataset.ImagePositionPatient = _decimals(position_mm)
        dataset.SliceLocation = _decimals(position_mm @ self.cosines[:, 2:])[0]


def upright(grid: Grid) -> tuple[Upright, float]:
    """The nearest grid at right angles, and the farthest that a voxel moves to it, in mm.

    The middle stays. Its axes keep the handedness of `grid`; its spacing is rounded to nanometres.
    """
    lps = RAS_OF_LPS @ grid.affine
    left, _, right = np.linalg.svd(lps[:3, :3] / grid.spacing_mm)
    cosines = left @ right
    spacing_mm = np.round(np.einsum("xi,xi->i", cosines, lps[:3, :3]), 6)
    half = np.subtract(grid.shape, 1) / 2
    corner_mm = lps[:3, :3] @ half + lps[:3, 3] - cosines @ (spacing_mm * half)
    straight = np.eye(4)
    straight[:3, :3], straight[:3, 3] = cosines * spacing_mm, corner_mm
    return Upright(cosines, spacing_mm, corner_mm), _farthest_mm(lps, straight, grid.shape)


def _farthest_mm(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """The largest distance of two affines, which lies in a corner."""
    corners = [(*corner, 1) for corner in product(*((0, count - 1) for count in shape))]
    return float(np.linalg.norm(((one - other) @ np.transpose(corners))[:3], axis=0).max())


def _decimals(values: NDArray[np.float64]) -> list[str]:
    """Numbers in at most 16 characters; nothing of a float's noise around 0 is left."""
    return [format_number_as_ds(float(np.round(value, 9)) + 0.0) for value in values]
