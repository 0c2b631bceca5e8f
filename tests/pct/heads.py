"""A head for predictions: smooth, so that interpolation does no harm; in DICOM's axis orders."""

from functools import cache

import numpy as np
from scipy import ndimage

from data_prep.intensity import mr_window
from data_prep.masks import head_from_mr
from data_prep.phantom import make_head
from data_prep.volume import Volume, resample, to_ras


@cache
def smooth_mr() -> Volume:
    """An MR in RAS order, 46 x 48 x 24 voxels of 5, 5 and 8 mm."""
    mr = make_head(3, size=48, num_slices=24, spacing_mm=(5.0, 5.0, 8.0)).mr
    blurred = ndimage.gaussian_filter(mr.array, (1.6, 1.6, 1.0))[1:-1]
    affine = mr.affine.copy()
    affine[:3, 3] += affine[:3, 0]
    return Volume(np.rint(blurred).astype(np.float32), affine)


def laid(mr: Volume, how: str) -> Volume:
    """The head with the axes (column, row, slice) of an axial, oblique or sagittal series.

    An oblique one is turned with its patient by 12 degrees about x, then 7 about y.
    """
    order, flips = ((1, 2, 0), (0, 1)) if how == "sagittal" else ((0, 1, 2), (0, 1))
    swap = np.zeros((4, 4))
    swap[list(order), range(3)] = swap[3, 3] = 1
    array, affine = mr.array.transpose(order), mr.affine @ swap
    for axis in flips:
        affine[:3, 3] += (array.shape[axis] - 1) * affine[:3, axis]
        affine[:3, axis] *= -1
        array = np.flip(array, axis)
    return Volume(
        array, (_turn(1, 2, 12.0) @ _turn(0, 2, 7.0) if how == "oblique" else np.eye(4)) @ affine
    )


def _turn(first: int, second: int, degrees: float) -> np.ndarray:
    angle, turn = np.deg2rad(degrees), np.eye(4)
    turn[np.ix_((first, second), (first, second))] = [
        [np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]
    ]  # fmt: skip
    return turn


def identity_errors(pct: Volume, mr: Volume) -> tuple[float, list[float]]:
    """Mean |pct - mr in HU| in the head, in place and with the pseudo-CT mirrored along an axis.

    The pseudo-CT is sampled, through both affines, at the voxels of the MR.
    """
    truth = to_ras(mr)
    head = head_from_mr(truth).array
    low, high = mr_window(truth.array, head)
    expected = np.clip((truth.array - low) / (high - low), 0, 1) * 4000 - 1000
    inside = ndimage.binary_erosion(head, iterations=3)
    found = resample(to_ras(pct), truth.grid, fill=-1000).array
    in_place, *mirrored = (
        float(np.abs(array - expected)[inside].mean())
        for array in (found, *(np.flip(found, axis) for axis in range(3)))
    )
    return in_place, mirrored
