"""A pseudo-CT as a DICOM CT series: patient, study and frame of its MR, UIDs of its own."""

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_prep.atomic import renamed_folder
from data_prep.dicom_census import SeriesCensus
from data_prep.dicom_grid import Upright, axial_grid_of, series_grid, upright
from data_prep.dicom_header import Maker, differing, header_of
from data_prep.errors import PctError
from data_prep.volume import Grid, Volume

__all__ = [
    "BadTarget", "CtSeries", "Maker", "Sheared", "axial_grid_of", "is_clutter",
    "refuse_unwritable", "series_grid", "write_ct",
]  # fmt: skip

RANGE_HU = (-1024, 3071)
"""What a CT's 12 bits hold; values beyond are clipped."""

STRAIGHT_MM = 0.05
"""The farthest a voxel may lie from where upright slices put it: rounding in an MR's header."""

_JUNK = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Of file managers, which make it anew."""

_UIDS = ("SeriesInstanceUID", "SOPInstanceUID")
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


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
    frame: NDArray[np.int16] | None
    """Rows, columns; None before the pixels are known, on which UIDs depend."""

    @property
    def name(self) -> str:
        return f"ct-{self.number:04d}.dcm"


@dataclass(frozen=True)
class _Series:
    """A series to write: what its slices share, and what is each one's own."""

    header: pydicom.Dataset
    grid: Upright
    slices: list[_Slice]

    def header_of(self, item: _Slice) -> pydicom.Dataset:
        """The header that all share made that of one slice, with its pixels if they are known."""
        header = self.header
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = item.uid
        header.InstanceNumber = item.number
        self.grid.place(header, item.number - 1)
        if item.frame is not None:
            header.PixelData = item.frame.tobytes()
        return header


def write_ct(
    pct_hu: Volume, to: Path, *, like: SeriesCensus, maker: Maker, frame_uid: str | None = None
) -> CtSeries:
    """Write int16 HU, array axes (column, row, slice), as a CT series to the folder `to`.

    Patient, study, position and frame of reference are those of the MR `like`; `frame_uid` is
    another frame, of a planning CT. Series and instance UIDs follow from the MR's series, pixels,
    grid, frame and model: the same again has the same UIDs. A left-handed grid's slices are
    written in reverse; no voxel moves by more than `STRAIGHT_MM`, else `Sheared`.

    The folder appears when complete. One that is empty is used, one that holds this series is left
    as it is, and one that holds anything else raises `BadTarget`; so it is too where another run
    is the first to write there.
    """
    assert pct_hu.array.dtype == np.int16
    volume = _right_handed(pct_hu)
    grid = _straightened(volume, to)
    frames = np.clip(volume.array.T, *RANGE_HU).astype("<i2", order="C")
    header = header_of(like, maker, frame_uid)
    names = (like.slices[0].series_uid, str(header.FrameOfReferenceUID), maker.digest)
    series_uid = _series_uid(frames, grid, *names)
    _describe(header, frames.shape, grid, series_uid)
    series = _Series(header, grid, _slices(frames, series_uid))
    already = _is_there(to, series) or not _is_written(to, series)
    return CtSeries(to, str(series_uid), len(series.slices), already)


def refuse_unwritable(
    grid: Grid, to: Path, *, like: SeriesCensus, maker: Maker, frame_uid: str | None
) -> None:
    """Raise what `write_ct` would of a pseudo-CT on this grid, as far as it follows from no pixel.

    It leaves alone a folder that holds the series of the same MR, model and grid.
    """
    volume = _right_handed(Volume(np.broadcast_to(np.int16(0), grid.shape), grid.affine))
    upright_grid, header = _straightened(volume, to), header_of(like, maker, frame_uid)
    nobody = generate_uid(entropy_srcs=["not known yet"])
    _describe(header, volume.array.T.shape, upright_grid, nobody)
    slices = [_Slice(number, nobody, None) for number in range(1, grid.shape[2] + 1)]
    _is_there(to, _Series(header, upright_grid, slices))


def is_clutter(path: Path) -> bool:
    """Whether a file in a series' folder is none of ours and does no harm there."""
    return path.name.startswith(".") or path.name in (*_JUNK, "DICOMDIR")


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
    header: pydicom.Dataset, shape: tuple[int, ...], grid: Upright, series_uid: UID
) -> None:
    """Add what the volume says to what all slices share."""
    header.SeriesInstanceUID = series_uid
    header.Rows, header.Columns = shape[1:]
    if not grid.is_axial:  # DICOM has a term for axial images and for localisers only
        header.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    grid.describe(header)
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = CTImageStorage
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _is_there(to: Path, series: _Series) -> bool:
    """Whether the folder holds just this series, whole. Anything else in it is `BadTarget`."""
    if not to.exists():
        return False
    if not to.is_dir():
        raise _bad_target(to, "a file")
    found = {path for path in to.iterdir() if not is_clutter(path)}
    if not found:
        others = sorted(path.name for path in to.iterdir() if path.name not in _JUNK)
        if others:
            raise _bad_target(to, others[0])
        return False
    wanted = {to / item.name: item for item in series.slices}
    if foreign := sorted(path.name for path in found - set(wanted)):
        raise _bad_target(to, foreign[0])
    for file in sorted(found):
        _expect_same(to, file, wanted[file], series)
    if len(found) < len(wanted):
        raise BadTarget(
            f"{to}: incomplete: {len(found)} of {len(wanted)} slices, expected all or none. "
            "Remove it, or write to another folder."
        )
    return True


def _expect_same(to: Path, file: Path, item: _Slice, series: _Series) -> None:
    """Raise `BadTarget` for a file that is not this slice of this series, whole."""
    but = _UIDS if item.frame is None else ()
    odd = differing(series.header_of(item), file, but=but) if file.is_file() else None
    if odd is None:
        raise _bad_target(to, f"{file.name}, which is no slice of it")
    if odd and set(odd) <= set(_UIDS):
        raise _bad_target(to, "a series of other pixels")
    if odd:
        raise _bad_target(to, f"a series whose header differs in {', '.join(odd)}")
    if item.frame is not None and not file.read_bytes().endswith(item.frame.tobytes()):
        raise _bad_target(to, f"{file.name}, whose pixels were changed or cut")


def _bad_target(to: Path, what: str) -> BadTarget:
    return BadTarget(
        f"{to}: holds something else ({what}), expected an absent or empty folder, or this very "
        "series complete. Write to another folder."
    )


def _is_written(to: Path, series: _Series) -> bool:
    """Write a series; False where another run has just written this very one."""
    try:
        with renamed_folder(to) as folder:
            for item in series.slices:
                series.header_of(item).save_as(folder / item.name, enforce_file_format=True)
            for name in _JUNK:
                (to / name).unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _NOT_EMPTY or not _is_there(to, series):
            raise
        return False
    return True
