"""THE CONTRACT between data preparation and everything after it: files, columns, records.

DATA/manifest.json           versions, grid, settings, sha256 of every file; written last
DATA/cases.parquet           one row a case, taken or refused, with the reason
DATA/splits.json             case id -> train | val | test
DATA/slices/ID.parquet       2D slice pairs on the network's grid (train and val cases)
DATA/volumes/ID.parquet      whole volumes: MR and CT, each on its own grid (val and test cases)
DATA/contact/ID.png          a contact sheet a case
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_prep.volume import Volume

SCHEMA_VERSION = 3
"""Raised when a column or the metadata changes meaning; another is refused on reading."""

PREP = 3
"""Raised when the numbers in a shard change for the same input (kept by a golden-shard test)."""

Split = Literal["train", "val", "test"]
Arm = Literal["resize", "crop"]


SHARD_SETTINGS = (
    "arm", "size", "pixel_mm", "crop_at", "max_slices", "masks", "segmenter", "fast", "seed",
)  # fmt: skip
"""Settings that decide which numbers a shard holds, by their names in `Manifest.settings`."""


def config_hash(settings: Mapping[str, Any]) -> str:
    """Start of a sha256 over `SHARD_SETTINGS`, stored in each shard as `pct.config`."""
    facts = {name: settings.get(name) for name in SHARD_SETTINGS}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


MASKS = ("head", "skull", "valid")
"""The masks of a slice."""


@dataclass(frozen=True)
class SliceGrid:
    """The grid that training sees and prediction must resample to."""

    arm: Arm
    size: int
    """Pixels along each side of a slice."""
    pixel_mm: float
    """Median of training slices: `--pixel-mm native` and `fov` differ by patient."""
    slice_mm: float
    """Median distance of training slices."""


@dataclass(frozen=True)
class PackedMasks:
    """n masks of `size` x `size` pixels, eight pixels a byte, unpacked when rows are asked for."""

    bits: NDArray[np.uint8]
    """(n, bytes), each row padded with zeros to a whole byte."""
    size: int

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.bits)

    def __getitem__(self, rows: int | slice | NDArray[Any]) -> NDArray[np.bool_]:
        """Unpack one mask (y, x), or several (n, y, x)."""
        bits = self.bits[rows]
        flat = np.unpackbits(bits, axis=-1, count=self.size**2)
        return flat.view(np.bool_).reshape(*bits.shape[:-1], self.size, self.size)


@dataclass(frozen=True)
class Slices:
    """Slice pairs of one split, n of them, y to anterior, x to the right; arrays may be read-only.

    `pixel_mm` is the width of a slice's pixels, which may differ by patient.
    `mr_codes` are uint16, (n, channels, y, x), channels in the order of `Manifest.mr_channels`;
    raw MR = codes * slope + intercept, (n, channels), with one slope and intercept a volume,
    repeated for each of its slices. The windows, (n, channels, 2), are raw MR values that become
    -1 and 1: of the head (`mr_head_window`) and of the whole volume (`mr_volume_window`).
    `ct_hu` and the masks are (n, y, x).
    """

    subject: NDArray[np.str_]
    z: NDArray[np.int32]
    pixel_mm: NDArray[np.float64]
    mr_codes: NDArray[np.uint16]
    mr_slope: NDArray[np.float64]
    mr_intercept: NDArray[np.float64]
    mr_head_window: NDArray[np.float64]
    mr_volume_window: NDArray[np.float64]
    ct_hu: NDArray[np.int16]
    head: PackedMasks
    skull: PackedMasks
    valid: PackedMasks
    """Head that lies inside the MR's field of view."""

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.z)


def slices_from(columns: Mapping[str, NDArray[Any]]) -> Slices:
    """Slices from their columns by name, masks as packed bits (n, bytes)."""
    size = columns["ct_hu"].shape[-1]
    whole: dict[str, Any] = dict(columns)
    whole |= {name: PackedMasks(columns[name], size) for name in MASKS}
    return Slices(**whole)


@dataclass(frozen=True)
class MrChannel:
    """One MR of a patient, raw units on its own grid, and the values that become -1 and 1."""

    volume: Volume
    head_window: tuple[float, float]
    volume_window: tuple[float, float]


@dataclass(frozen=True)
class CaseVolumes:
    """One patient in 3D: MR on its own grid, CT and masks on the CT's own grid, all RAS."""

    subject: str
    split: Split
    mr: Volume
    """Raw units, float32."""
    mr_head_window: tuple[float, float]
    mr_volume_window: tuple[float, float]
    ct: Volume
    """int16 HU."""
    head: Volume
    skull: Volume
    mask_backend: str
    further_mr: tuple[MrChannel, ...] = ()
    """MR channels beside the first, each on its own grid."""

    @property
    def channels(self) -> tuple[MrChannel, ...]:
        """All MR channels, `mr` first."""
        first = MrChannel(self.mr, self.mr_head_window, self.mr_volume_window)
        return (first, *self.further_mr)


def slice_schema(size: int) -> pa.Schema:
    """Arrow columns of a slice shard; pixels as fixed-size binary, masks as packed bits.

    What belongs to an MR is a list, an entry a channel.
    """
    packed = pa.binary((size * size + 7) // 8)
    windows = pa.list_(pa.list_(pa.float64(), 2))
    return pa.schema(
        [
            pa.field("subject", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("z", pa.int32(), nullable=False),
            pa.field("spacing_mm", pa.list_(pa.float64(), 3), nullable=False),
            pa.field("affine", pa.list_(pa.float64(), 16), nullable=False),
            pa.field("mr_codes", pa.list_(pa.binary(size * size * 2)), nullable=False),
            pa.field("mr_slope", pa.list_(pa.float64()), nullable=False),
            pa.field("mr_intercept", pa.list_(pa.float64()), nullable=False),
            pa.field("mr_head_window", windows, nullable=False),
            pa.field("mr_volume_window", windows, nullable=False),
            pa.field("ct_hu", pa.binary(size * size * 2), nullable=False),
            *(pa.field(name, packed, nullable=False) for name in MASKS),
        ]
    )


CASE_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # taken | flagged | refused
        pa.field("reason", pa.string(), nullable=False),
        pa.field("mask_backend", pa.string()),
        pa.field("num_slices", pa.int32(), nullable=False),
        pa.field("ct_shape", pa.list_(pa.int32())),
        pa.field("ct_spacing_mm", pa.list_(pa.float64())),
        pa.field("mr_shape", pa.list_(pa.int32())),
        pa.field("mr_spacing_mm", pa.list_(pa.float64())),
        pa.field("mr_head_window", pa.list_(pa.float64())),
        pa.field("mr_median", pa.float64()),  # raw, in the MR's head
        pa.field("hu_histogram", pa.list_(pa.int64())),  # air, soft, bone, outside: 64 bins each
        pa.field("hu_median", pa.list_(pa.float64())),  # of air, soft, bone, outside
        pa.field("head_in_mr", pa.float64()),  # share of the head inside the MR's field of view
        pa.field("pixel_mm", pa.float64()),  # of the slices
        pa.field("head_kept", pa.float64()),  # share of the head inside the slice grid
        pa.field("skull_kept", pa.float64()),
        pa.field("flip_margin", pa.float64()),  # (NMI - 1) of the identity over the best other flip
        pa.field("offset_mm", pa.float64()),  # residual shift of the MR's head against the CT's
        pa.field("offset_deg", pa.float64()),  # residual turn about the head's centre
        pa.field("head_dice", pa.float64()),  # of the MR's head and the CT's, where there is MR
        pa.field("dense_outside", pa.float64()),  # share of the CT outside the head above 2500 HU
        pa.field("site", pa.string()),
        pa.field("scanner", pa.string()),  # maker and model of the MR's
        pa.field("field_t", pa.float64()),  # its field strength in tesla
        pa.field("sequence", pa.string()),  # for example 3D GR SP TR8.2 TE3.4
        pa.field("diagnosis", pa.string()),
        pa.field("registration", pa.string(), nullable=False),  # who aligned MR and CT
    ]
)


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`: what a data folder holds. Neither time nor host, so equal data are equal."""

    schema_version: int
    prep: int
    grid: SliceGrid
    settings: dict[str, Any]
    files: dict[str, str]
    """Path inside DATA -> sha256 of the file."""
    num_cases: dict[str, int]
    """Taken cases a split."""
    num_slices: dict[str, int]
    mask_backends: tuple[str, ...]
    split_sha: str
    digest: str
    """Identity of the data: sha256 over versions, grid, channels, hashes of shards and splits."""
    mr_channels: tuple[str, ...] = ("t1",)
    """What the MR channels are, in their order in every shard."""
