"""Histograms by tissue (DIR/histograms) of a trial's errors and HU, summed over its cases."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dashboards.pictures.looks import BadLooks

TISSUES = {"air": "Air, CT below \N{MINUS SIGN}400 HU", "soft": "Soft tissue",
           "bone": "Bone, CT above 250 HU"}  # fmt: skip
COLUMNS = ("case", "tissue", "quantity", "low", "width", "voxels")


@dataclass(frozen=True)
class Histogram:
    """Voxels by value: `share` sums to 1 over bins of `width` HU around `middle`."""

    middle: NDArray[np.float64]
    width: float
    share: NDArray[np.float64]
    voxels: int

    @property
    def mean(self) -> float:
        """The mean of the bins' middles in HU, weighted by voxels."""
        return float((self.middle * self.share).sum())

    @property
    def mean_absolute(self) -> float:
        """The mean of the bins' distances from 0 in HU, weighted by voxels."""
        return float((np.abs(self.middle) * self.share).sum())


def read_histograms(sweep_folder: Path, trial: str) -> pd.DataFrame | None:
    """The table of a trial; None where it wrote none. Raises `BadLooks` where it is damaged."""
    path = sweep_folder / "histograms" / f"{trial}.parquet"
    if not path.exists():
        return None
    try:
        table: pd.DataFrame = pq.read_table(path, columns=list(COLUMNS)).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise BadLooks(
            f"{path} cannot be used: {error}. Expected columns {', '.join(COLUMNS)}. Move it away "
            "to leave this trial out of the histograms."
        ) from error
    return table


def histogram(table: pd.DataFrame, quantity: str, *, tissue: str | None) -> Histogram | None:
    """The shares of a quantity over all cases, in one tissue or (None) in the whole head.

    From one empty bin before the first that holds a voxel to one after the last, whether the table
    holds empty ones or not. None without voxels.
    """
    rows = table[(table["quantity"] == quantity) & (table["voxels"] > 0)]
    rows = rows if tissue is None else rows[rows["tissue"] == tissue]
    total = int(rows["voxels"].sum())
    if not total:
        return None
    width = float(rows["width"].iloc[0])
    place = ((rows["low"] - rows["low"].min()) / width).round().astype(int)
    voxels = np.pad(np.bincount(place, weights=rows["voxels"]), 1)
    middle = rows["low"].min() + width * (np.arange(len(voxels)) - 0.5)
    return Histogram(middle, width, voxels / total, total)
