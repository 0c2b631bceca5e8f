"""A 3D image with its place in the patient, and the few moves we make with it."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray
from scipy import ndimage, sparse

from data_prep.atomic import renamed
from data_prep.errors import PctError

Affine = NDArray[np.float64]
"""4x4, voxel index (i, j, k) to RAS millimetres."""


class BadVolume(PctError):
    """A file that is no 3D image with a usable affine."""


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: `shape` (i, j, k) and `affine` to RAS mm."""

    shape: tuple[int, int, int]
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along i, j, k, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True)
class Volume:
    """`array` indexed (i, j, k) as in NIfTI, with the 4x4 `affine` from index to RAS mm."""

    array: NDArray[Any]
    affine: Affine

    @property
    def grid(self) -> Grid:
        """The grid alone."""
        i, j, k = self.array.shape
        return Grid((i, j, k), self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k in mm."""
        return self.grid.spacing_mm

    def with_array(self, array: NDArray[Any]) -> "Volume":
        """The same place, other values."""
        return replace(self, array=array)


def load_nifti(path: Path) -> Volume:
    """Read a .nii or .nii.gz as float32 (or its stored integer type where it has no scaling).

    Anything but one 3D image of real numbers with a usable affine raises `BadVolume`.
    """
    try:
        image = nib.load(path)
        array = np.asanyarray(image.dataobj)
    except (OSError, ImageFileError, EOFError, ValueError, zlib.error) as error:
        raise BadVolume(f"{path}: cannot be read as NIfTI ({error}). Convert it anew.") from error
    if array.dtype.kind not in "iufb":
        raise BadVolume(
            f"{path}: holds {array.dtype} (colours or complex numbers), expected one real number a "
            "voxel. Export the magnitude or grey values."
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise BadVolume(f"{path}: has {array.ndim} axes {array.shape}, expected one 3D volume.")
    codes = ("sform_code", "qform_code")  # of 0 nibabel makes an affine up
    if isinstance(image, nib.Nifti1Pair) and not any(int(image.header[code]) for code in codes):
        raise BadVolume(
            f"{path}: does not say where it lies (sform_code and qform_code are 0), expected one "
            "of them above 0. Which side is left cannot be known: convert it anew from DICOM."
        )
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise BadVolume(f"{path}: its affine is singular or not finite. Convert it anew.")
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return Volume(array, affine)


def load_image(path: Path) -> Volume:
    """Read a .nii, .nii.gz or MetaImage (.mha, .mhd) file; what is no 3D image is `BadVolume`."""
    return _load_metaimage(path) if path.suffix in (".mha", ".mhd") else load_nifti(path)


def _load_metaimage(path: Path) -> Volume:
    """As `load_nifti`; ITK's LPS becomes RAS."""
    import SimpleITK as sitk  # noqa: N813  SimpleITK's own abbreviation

    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # to standard error, with the path
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:  # ITK's text quotes the path and ITK's own sources
        raise BadVolume(f"{path}: cannot be read as MetaImage. Convert it anew.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise BadVolume(
            f"{path}: has {image.GetDimension()} axes {image.GetSize()} and "
            f"{image.GetNumberOfComponentsPerPixel()} values a voxel, expected one 3D volume."
        )
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image).T
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def save_nifti(volume: Volume, path: Path, *, description: str = "") -> None:
    """Write a NIfTI file, `description` (up to 79 bytes of ASCII) in its header, whole or not."""
    image = nib.Nifti1Image(volume.array, volume.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    with renamed(path, suffix=".nii.gz" if path.name.endswith(".gz") else ".nii") as temporary:
        nib.save(image, temporary)


def description_of(path: Path) -> str:
    """The description in a NIfTI file's header; empty for one that cannot be read."""
    try:
        return str(nib.load(path).header["descrip"].item().decode("ascii", "replace"))
    except (OSError, ImageFileError, EOFError, ValueError, zlib.error):
        return ""


def to_ras(volume: Volume) -> Volume:
    """Flip and permute axes to the nearest RAS order; no interpolation, the patient stays put."""
    moves = io_orientation(volume.affine)
    affine = volume.affine @ inv_ornt_aff(moves, volume.array.shape)
    return Volume(apply_orientation(volume.array, moves), np.asarray(affine, np.float64))


def from_ras(volume: Volume, grid: Grid) -> Volume:
    """The inverse of `to_ras`: axes in the order and direction of `grid`, on which it lies."""
    moves = io_orientation(grid.affine).astype(int)
    steps = tuple(slice(None, None, int(flip)) for flip in moves[:, 1])
    return Volume(volume.array.transpose(moves[:, 0])[steps], grid.affine)


def ras_grid(grid: Grid) -> Grid:
    """The same voxels with axes in the nearest RAS order."""
    return to_ras(Volume(np.broadcast_to(np.uint8(0), grid.shape), grid.affine)).grid


def resample(
    volume: Volume,
    grid: Grid,
    *,
    order: Literal[0, 1] = 1,
    fill: float = 0.0,
    antialias: bool = False,
) -> Volume:
    """Sample `volume` at the voxel centres of `grid`; `fill` outside its field of view.

    `order` 0 for masks, 1 for images (float32 out). `antialias` first blurs each axis that `grid`
    samples more coarsely, by the Gaussian of sigma (factor - 1) / 2 that scikit-image uses.
    """
    # Rounded, so that a voxel centre on the rim is not taken for one outside it.
    mapping = np.round(np.linalg.inv(volume.affine) @ grid.affine, 9)
    array = volume.array if order == 0 else volume.array.astype(np.float32, copy=False)
    matrix, first = mapping[:3, :3], mapping[:3, 3]
    steps = np.abs(matrix).max(axis=1)
    sigmas = np.maximum(0.0, (steps - 1.0) / 2.0) if antialias else np.zeros(3)
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-7):
        for axis, count in enumerate(grid.shape):
            at = first[axis] + matrix[axis, axis] * np.arange(count)
            array = _along(array, axis, at, order=order, fill=fill, sigma=float(sigmas[axis]))
        return Volume(array, grid.affine)
    whole = array.astype(np.uint8) if array.dtype == np.bool_ else array
    for blurred in np.flatnonzero(sigmas):
        weights = _blur(whole.shape[blurred], sigmas[blurred])
        whole = _weighed(weights, whole, int(blurred))
    out: NDArray[Any] = ndimage.affine_transform(
        whole, matrix, first, grid.shape, order=order, mode="constant", cval=fill
    )
    return Volume(out.astype(array.dtype, copy=False), grid.affine)


def _along(
    array: NDArray[Any],
    axis: int,
    at: NDArray[np.float64],
    *,
    order: Literal[0, 1],
    fill: float,
    sigma: float,
) -> NDArray[Any]:
    """Sample one axis at the places `at`, in voxels: what is left where axes run parallel.

    Images through a matrix that blurs and interpolates in one product, faster than one after the
    other over the whole volume.
    """
    num = array.shape[axis]
    inside = (at >= 0.0) & (at <= num - 1.0)
    low = np.clip(np.floor(at + (0.5 if order == 0 else 0.0)), 0, num - 1).astype(np.intp)
    share = np.where(inside, at - low, 0.0) * order
    if sigma or share.any():
        rows, above = np.arange(len(at)), np.minimum(low + 1, num - 1)
        weights = np.zeros((len(at), num))
        weights[rows, low] = 1.0 - share
        weights[rows, above] += share
        if sigma:
            weights = weights @ _blur(num, sigma)
        array = _weighed(weights, array, axis)
    elif not np.array_equal(low, np.arange(num)):
        array = np.take(array, low, axis)
    if not inside.all():
        array = array.copy()
        array[(slice(None),) * axis + (~inside,)] = fill
    return array


def _blur(num: int, sigma: float) -> NDArray[np.float64]:
    """A Gaussian over `num` voxels as a matrix, the outermost voxels repeated beyond the ends."""
    matrix: NDArray[np.float64] = ndimage.gaussian_filter1d(np.eye(num), sigma, 0, mode="nearest")
    return matrix


def _weighed(weights: NDArray[np.float64], array: NDArray[Any], axis: int) -> NDArray[Any]:
    """The product of `weights` (m, n) with one axis of n, which then has m.

    A sparse product adds in one order whatever the threads: a case must give the same bytes in
    every process. It is also several times as fast as a filter along a distant axis.
    """
    band = sparse.csr_array(weights.astype(np.float32))
    shape = (*array.shape[:axis], len(weights), *array.shape[axis + 1 :])
    out = np.empty(shape, array.dtype)
    if axis == 0:
        out.reshape(len(weights), -1)[...] = band @ array.reshape(len(array), -1)
        return out
    for block, place in zip(array, out, strict=True):
        place[...] = band @ block if axis == 1 else (band @ block.T).T
    return out


def slice_grid(
    grid: Grid,
    centre_mm: NDArray[Any],
    *,
    pixel_mm: float,
    size: int,
    slice_mm: float | None = None,
) -> Grid:
    """The network's grid: `size` x `size` pixels of `pixel_mm`, centred in-plane on `centre_mm`.

    `grid` is in RAS order; its axes' directions are kept. Slices stay where they are, or are laid
    anew every `slice_mm` over the same extent. `centre_mm` is a point in RAS mm (of the head).
    """
    step = np.array([pixel_mm, pixel_mm, slice_mm or grid.spacing_mm[2]])
    axes = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    depth = (grid.shape[2] - 1) * grid.spacing_mm[2]
    num_slices = grid.shape[2] if slice_mm is None else int(np.ceil(depth / slice_mm - 1e-6)) + 1
    along = np.linalg.inv(axes) @ (np.asarray(centre_mm, np.float64) - grid.affine[:3, 3])
    first = np.array(
        [
            along[0] - pixel_mm * (size - 1) / 2,
            along[1] - pixel_mm * (size - 1) / 2,
            (depth - step[2] * (num_slices - 1)) / 2,
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    affine[:3, 3] = grid.affine[:3, 3] + axes @ first
    return Grid((size, size, num_slices), affine)


def pad_ends(volume: Volume, num_slices: int) -> Volume:
    """Repeat the first and the last slice along k `num_slices` times; the patient stays put."""
    array = np.pad(volume.array, ((0, 0), (0, 0), (num_slices, num_slices)), mode="edge")
    affine = volume.affine.copy()
    affine[:3, 3] -= num_slices * affine[:3, 2]
    return Volume(array, affine)


def centre_of(mask: Volume) -> NDArray[np.float64]:
    """Centre of a mask's bounding box, in RAS mm. An empty mask raises `BadVolume`."""
    others = ((1, 2), (0, 2), (0, 1))
    where = [np.flatnonzero(mask.array.any(axis=axes)) for axes in others]
    if where[0].size == 0:
        raise BadVolume("the head mask is empty: no voxel looks like a head. Check the input.")
    middle = np.array([(axis[0] + axis[-1]) / 2 for axis in where])
    return np.asarray(mask.affine[:3, :3] @ middle + mask.affine[:3, 3], np.float64)
