"""A pseudo-CT as a DICOM CT series: patient, study and frame of its MR, UIDs of its own."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_prep.dicom_census import SeriesCensus
from data_prep.dicom_grid import Upright, axial_grid_of, series_grid, upright
from data_prep.dicom_header import Maker, header_of
from data_prep.errors import PctError
from data_prep.volume import Volume

__all__ = [
    "BadTarget", "CtSeries", "Maker", "Sheared", "axial_grid_of", "series_grid", "write_ct",
]  # fmt: skip

RANGE_HU = (-1024, 3071)
"""What a CT's 12 bits hold; values beyond are clipped."""

STRAIGHT_MM = 0.05
"""The farthest a voxel may lie from where upright slices put it: rounding in an MR's header."""


class BadTarget(PctError):
    """The folder to write to holds something else."""


class Sheared(PctError):
    """A pseudo-CT whose axes are not at right angles, so that no series can hold it."""


@dataclass(frozen=True)
class CtSeries:
    """A series that is there, whole."""

    folder: Path
    series_uid: str
    num_slices: int
    already: bool
    """Whether it was there before."""


@dataclass(frozen=True)
class _Slice:
    """What is one slice's own."""

    number: int
    uid: UID
    frame: NDArray[np.int16]
    """Rows, columns."""

    @property
    def name(self) -> str:
        return f"ct-{self.number:04d}.dcm"


def write_ct(
    pct_hu: Volume, to: Path, *, like: SeriesCensus, maker: Maker, frame_uid: str | None = None
) -> CtSeries:
    """Write int16 HU, array axes (column, row, slice), as a CT series to the folder `to`.

    Patient, study, position and frame of reference are those of the MR `like`; `frame_uid` is
    another frame, of a planning CT. Series and instance UIDs follow from the MR's series, pixels,
    grid, frame and model: the same again has the same UIDs. A left-handed grid's slices are
    written in reverse; no voxel moves by more than `STRAIGHT_MM`, else `Sheared`.

    The folder appears when complete. One that is empty is used, one that holds this series is left
    as it is, and one that holds anything else raises `BadTarget`.
    """
    assert pct_hu.array.dtype == np.int16
    volume = _right_handed(pct_hu)
    grid = _straightened(volume, to)
    frames = np.clip(volume.array.T, *RANGE_HU).astype("<i2", order="C")
    header = header_of(like, maker, frame_uid)
    names = (like.slices[0].series_uid, str(header.FrameOfReferenceUID), maker.digest)
    series_uid = _series_uid(frames, grid, *names)
    slices = _slices(frames, series_uid)
    already = _is_there(to, slices)
    if not already:
        _describe(header, frames, grid, series_uid)
        with _renamed_folder(to) as folder:
            for item in slices:
                _become(header, item, grid)
                header.save_as(folder / item.name, enforce_file_format=True)
    return CtSeries(to, str(series_uid), len(slices), already)


def _right_handed(volume: Volume) -> Volume:
    """Slices in reverse where they run against the normal by which DICOM orders them."""
    if np.linalg.det(volume.affine[:3, :3]) > 0:
        return volume
    affine = volume.affine.copy()
    affine[:3, 3] += (volume.array.shape[2] - 1) * affine[:3, 2]
    affine[:3, 2] *= -1
    return Volume(volume.array[:, :, ::-1], affine)


def _straightened(volume: Volume, to: Path) -> Upright:
    grid, moved_mm = upright(volume.grid)
    if moved_mm > STRAIGHT_MM:
        raise Sheared(
            f"{to}: the pseudo-CT's axes are not at right angles: in upright slices a voxel would "
            f"move by {moved_mm:.2f} mm, expected at most {STRAIGHT_MM} mm. Write it on an axial "
            "grid, or as NIfTI."
        )
    return grid


def _series_uid(frames: NDArray[np.int16], grid: Upright, *names: str) -> UID:
    numbers = np.concatenate([grid.cosines.ravel(), grid.spacing_mm, grid.corner_mm])
    place = [*map(str, frames.shape), *(f"{one:.5f}" for one in np.round(numbers, 5) + 0.0)]
    pixels = hashlib.sha256(frames.data).hexdigest()
    return generate_uid(entropy_srcs=["/".join([*names, pixels, *place])])


def _slices(frames: NDArray[np.int16], series_uid: UID) -> list[_Slice]:
    return [
        _Slice(number, generate_uid(entropy_srcs=[series_uid, str(number)]), frame)
        for number, frame in enumerate(frames, start=1)
    ]


def _describe(
    header: pydicom.Dataset, frames: NDArray[np.int16], grid: Upright, series_uid: UID
) -> None:
    """Add what the volume says to what all slices share."""
    header.SeriesInstanceUID = series_uid
    header.Rows, header.Columns = frames.shape[1:]
    if not grid.is_axial:  # DICOM has a term for axial images and for localisers only
        header.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    grid.describe(header)
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = CTImageStorage
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _become(header: pydicom.Dataset, item: _Slice, grid: Upright) -> None:
    """Make the header that of one slice, with its pixels."""
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = item.uid
    header.InstanceNumber = item.number
    grid.place(header, item.number - 1)
    header.PixelData = item.frame.tobytes()


def _is_there(to: Path, slices: list[_Slice]) -> bool:
    """Whether the folder holds just these slices, whole. Anything else in it is `BadTarget`."""
    if not to.exists():
        return False
    found = set(to.iterdir()) if to.is_dir() else {to}
    if not found:
        return False
    wanted = {to / item.name: item for item in slices}
    if found == set(wanted) and all(_is_slice(file, item) for file, item in wanted.items()):
        return True
    raise BadTarget(
        f"{to}: holds something else, expected an absent or empty folder, or this very series "
        "complete. Write to another folder."
    )


def _is_slice(file: Path, item: _Slice) -> bool:
    """Whether a file bears the slice's UID and ends in its pixels, as all that we write do."""
    data = file.read_bytes() if file.is_file() else b""
    return item.uid.encode() in data and data.endswith(item.frame.tobytes())


@contextmanager
def _renamed_folder(to: Path) -> Iterator[Path]:
    """Give the block a folder beside `to`, made `to` when the block succeeds; else nothing."""
    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if to.exists():  # empty; who may look into it has been decided
            shutil.copymode(to, partial)
        partial.replace(to)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
