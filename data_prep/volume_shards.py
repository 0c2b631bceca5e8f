"""One patient in 3D as a one-row Parquet file, and raw MR as uint16 codes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_prep.parquet import ShardError, pack, unpack
from data_prep.schema import CaseVolumes, Split
from data_prep.volume import Volume

_IMAGES = ("mr", "ct")

VOLUME_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("mr_slope", pa.float64(), nullable=False),
        pa.field("mr_intercept", pa.float64(), nullable=False),
        pa.field("mr_head_window", pa.list_(pa.float64(), 2), nullable=False),
        pa.field("mr_volume_window", pa.list_(pa.float64(), 2), nullable=False),
        pa.field("mask_backend", pa.string(), nullable=False),
        *(pa.field(f"{name}_shape", pa.list_(pa.int32(), 3), nullable=False) for name in _IMAGES),
        *(
            pa.field(f"{name}_affine", pa.list_(pa.float64(), 16), nullable=False)
            for name in _IMAGES
        ),
        pa.field("mr_codes", pa.large_binary(), nullable=False),
        pa.field("ct_hu", pa.large_binary(), nullable=False),
        pa.field("head", pa.large_binary(), nullable=False),
        pa.field("skull", pa.large_binary(), nullable=False),
    ]
)
"""Pixels are little-endian in C order of (i, j, k); masks are packed bits on the CT's grid."""


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
    codes = mr_raw.astype(np.float64)
    codes -= intercept
    codes /= slope
    np.rint(codes, out=codes)
    return MrCodes(np.clip(codes, 0, 65535, out=codes).astype(np.uint16), slope, intercept)


def encode_volumes(case: CaseVolumes) -> pa.Table:
    """One row; the split is left out, for `splits.json` alone says it."""
    coded = encode_mr(case.mr.array)
    row = {
        "subject": case.subject,
        "mr_slope": coded.slope,
        "mr_intercept": coded.intercept,
        "mr_head_window": list(case.mr_head_window),
        "mr_volume_window": list(case.mr_volume_window),
        "mask_backend": case.mask_backend,
        "mr_shape": list(case.mr.array.shape),
        "ct_shape": list(case.ct.array.shape),
        "mr_affine": case.mr.affine.ravel().tolist(),
        "ct_affine": case.ct.affine.ravel().tolist(),
        "mr_codes": coded.codes.astype("<u2").tobytes(),
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
    mr_shape, ct_shape = tuple(facts["mr_shape"]), tuple(facts["ct_shape"])
    mr_affine = np.array(facts["mr_affine"]).reshape(4, 4)
    ct_affine = np.array(facts["ct_affine"]).reshape(4, 4)
    codes = _pixels(row["mr_codes"], "<u2").reshape(mr_shape)
    masks = {
        name: Volume(unpack(_pixels(row[name], "u1")[None], ct_shape)[0], ct_affine)
        for name in ("head", "skull")
    }
    mr = MrCodes(codes, facts["mr_slope"], facts["mr_intercept"]).raw()
    return CaseVolumes(
        subject=facts["subject"],
        split=split,
        mr=Volume(mr, mr_affine),
        mr_head_window=_pair(facts["mr_head_window"]),
        mr_volume_window=_pair(facts["mr_volume_window"]),
        ct=Volume(_pixels(row["ct_hu"], "<i2").reshape(ct_shape).copy(), ct_affine),
        mask_backend=facts["mask_backend"],
        **masks,
    )


_PIXELS = ("mr_codes", "ct_hu", "head", "skull")


def _pixels(cell: pa.Scalar, dtype: str) -> NDArray[Any]:
    return np.frombuffer(cell.as_buffer(), dtype)


def _pair(values: list[float]) -> tuple[float, float]:
    low, high = values
    return low, high
