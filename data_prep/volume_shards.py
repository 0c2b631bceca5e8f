"""One patient in 3D as a one-row Parquet file, and raw MR as uint16 codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_prep.intensity import AT_A_TIME
from data_prep.parquet import ShardError, pack, unpack
from data_prep.schema import CaseVolumes, MrChannel, Split
from data_prep.volume import Volume

_SHAPE = pa.list_(pa.int32(), 3)
_AFFINE = pa.list_(pa.float64(), 16)

VOLUME_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("mr_slope", pa.list_(pa.float64()), nullable=False),
        pa.field("mr_intercept", pa.list_(pa.float64()), nullable=False),
        pa.field("mr_head_window", pa.list_(pa.list_(pa.float64(), 2)), nullable=False),
        pa.field("mr_volume_window", pa.list_(pa.list_(pa.float64(), 2)), nullable=False),
        pa.field("mr_shape", pa.list_(_SHAPE), nullable=False),
        pa.field("mr_affine", pa.list_(_AFFINE), nullable=False),
        pa.field("mr_codes", pa.list_(pa.large_binary()), nullable=False),
        pa.field("mask_backend", pa.string(), nullable=False),
        pa.field("ct_shape", _SHAPE, nullable=False),
        pa.field("ct_affine", _AFFINE, nullable=False),
        pa.field("ct_hu", pa.large_binary(), nullable=False),
        pa.field("head", pa.large_binary(), nullable=False),
        pa.field("skull", pa.large_binary(), nullable=False),
    ]
)
"""Pixels are little-endian in C order of (i, j, k); masks are packed bits on the CT's grid.

What belongs to an MR is a list, an entry a channel.
"""


@dataclass(frozen=True)
class MrCodes:
    """Raw MR as uint16: raw = codes * slope + intercept, off by at most range / 131070."""

    codes: NDArray[np.uint16]
    slope: float
    intercept: float

    def raw(self) -> NDArray[np.float32]:
        """Back to raw units."""
        return (self.codes * self.slope + self.intercept).astype(np.float32)


def encode_mr(mr_raw: NDArray[Any]) -> MrCodes:
    """Spread the volume's own range over all 65536 codes; a constant volume gets slope 1."""
    slope, intercept = mr_scale(mr_raw)
    return code_mr(mr_raw, slope=slope, intercept=intercept)


def mr_scale(mr_raw: NDArray[Any]) -> tuple[float, float]:
    """Slope and intercept by which `encode_mr` codes a volume."""
    low, high = float(mr_raw.min()), float(mr_raw.max())
    return ((high - low) / 65535.0 if high > low else 1.0), low


def code_mr(mr_raw: NDArray[Any], *, slope: float, intercept: float) -> MrCodes:
    """Code with a given scale, clipped to it; finite values only."""
    raw = mr_raw.reshape(-1)
    codes = np.empty(raw.shape, np.uint16)
    for start in range(0, raw.size, AT_A_TIME):
        some = slice(start, start + AT_A_TIME)
        values = raw[some].astype(np.float64)
        values -= intercept
        values /= slope
        np.rint(values, out=values)
        codes[some] = np.clip(values, 0, 65535, out=values)
    return MrCodes(codes.reshape(mr_raw.shape), slope, intercept)


def encode_volumes(case: CaseVolumes) -> pa.Table:
    """One row; the split is left out, for `splits.json` alone says it."""
    channels = case.channels
    coded = [encode_mr(one.volume.array) for one in channels]
    row = {
        "subject": case.subject,
        "mr_slope": [one.slope for one in coded],
        "mr_intercept": [one.intercept for one in coded],
        "mr_head_window": [list(one.head_window) for one in channels],
        "mr_volume_window": [list(one.volume_window) for one in channels],
        "mr_shape": [list(one.volume.array.shape) for one in channels],
        "mr_affine": [one.volume.affine.ravel().tolist() for one in channels],
        "mr_codes": [one.codes.astype("<u2").tobytes() for one in coded],
        "mask_backend": case.mask_backend,
        "ct_shape": list(case.ct.array.shape),
        "ct_affine": case.ct.affine.ravel().tolist(),
        "ct_hu": case.ct.array.astype("<i2").tobytes(),
        "head": pack(case.head.array[None]).tobytes(),
        "skull": pack(case.skull.array[None]).tobytes(),
    }
    return pa.Table.from_pylist([row], schema=VOLUME_SCHEMA)


def decode_volumes(table: pa.Table, split: Split, *, path: Path) -> CaseVolumes:
    """Undo `encode_volumes`; `path` names the file in a `ShardError` for other columns."""
    if not table.schema.equals(VOLUME_SCHEMA, check_metadata=False) or table.num_rows != 1:
        raise ShardError(f"{path}: not one row of volume columns. Run `pct prep` again.")
    row = {name: table[name][0] for name in table.schema.names}
    facts = {name: row[name].as_py() for name in row if name not in _PIXELS}
    ct_shape, ct_affine = tuple(facts["ct_shape"]), np.array(facts["ct_affine"]).reshape(4, 4)
    channels = [_channel(facts, cell, at) for at, cell in enumerate(row["mr_codes"].values)]
    masks = {
        name: Volume(unpack(_pixels(row[name], "u1")[None], ct_shape)[0], ct_affine)
        for name in ("head", "skull")
    }
    return CaseVolumes(
        subject=facts["subject"],
        split=split,
        mr=channels[0].volume,
        mr_head_window=channels[0].head_window,
        mr_volume_window=channels[0].volume_window,
        ct=Volume(_pixels(row["ct_hu"], "<i2").reshape(ct_shape).copy(), ct_affine),
        mask_backend=facts["mask_backend"],
        further_mr=tuple(channels[1:]),
        **masks,
    )


_PIXELS = ("mr_codes", "ct_hu", "head", "skull")


def _channel(facts: dict[str, Any], cell: pa.Scalar, at: int) -> MrChannel:
    codes = _pixels(cell, "<u2").reshape(facts["mr_shape"][at])
    raw = MrCodes(codes, facts["mr_slope"][at], facts["mr_intercept"][at]).raw()
    return MrChannel(
        Volume(raw, np.array(facts["mr_affine"][at]).reshape(4, 4)),
        head_window=_pair(facts["mr_head_window"][at]),
        volume_window=_pair(facts["mr_volume_window"][at]),
    )


def _pixels(cell: pa.Scalar, dtype: str) -> NDArray[Any]:
    return np.frombuffer(cell.as_buffer(), dtype)


def _pair(values: list[float]) -> tuple[float, float]:
    low, high = values
    return low, high
