"""What a leaf leaves behind for people to look at: slices, volumes and histograms."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.atomic import renamed
from data_prep.picture import error_tile, grid_png, hu_tile, mr_tile
from data_prep.schema import CaseVolumes
from data_prep.volume import Volume, save_nifti
from pct.preview import preview_case, preview_hu
from pct.scoring.histograms import hu_histograms
from pct.scoring.score import masks_in_view
from pct.validate import Look
from sweeps.job import Job


def looks_of(looks: Iterable[Look], stem: str) -> dict[str, bytes]:
    """Files of a look by their names: a panel a case, and all pCTs as npz."""
    looks = list(looks)
    panels = {f"{stem}_{seen.case}.png": _panel(seen) for seen in looks}
    return panels | {f"{stem}.npz": _npz({seen.case: _hu(seen.pct_hu) for seen in looks})}


def write_shown_cases(job: Job, looks: Iterable[Look]) -> None:
    """`looks/cases.npz`: MR, CT, head, pixel size and z of the slices looked at, once a sweep."""
    path = job.cases_looked_at
    if path.exists():
        return
    arrays: dict[str, NDArray[Any]] = {}
    for seen in looks:
        arrays |= {
            f"{seen.case}/mr": seen.mr_unit.astype(np.float16),
            f"{seen.case}/ct_hu": _hu(seen.ct_hu),
            f"{seen.case}/head": seen.head,
            f"{seen.case}/pixel_mm": np.array(seen.pixel_mm),
            f"{seen.case}/z": np.array(seen.z),
        }
    with renamed(path, suffix=f".{job.leaf}") as temporary:  # another leaf may be at it too
        temporary.write_bytes(_npz(arrays))


class Keeper:
    """Keeps, of cases and their pseudo-CTs, histograms of all and a preview of the first."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._histograms: list[pd.DataFrame] = []

    def __call__(self, case: CaseVolumes, pct: Volume) -> None:
        """Take note of one case."""
        if not self._histograms:
            save_nifti(preview_hu(pct), self._job.volumes / f"{case.subject}.nii.gz")
            _write_preview(self._job, case)
        head = masks_in_view(case)[0].array
        rows = hu_histograms(pct.array, case.ct.array, head)
        self._histograms.append(rows.assign(case=case.subject))

    def write(self) -> None:
        """`histograms/LEAF.parquet`."""
        with renamed(self._job.histograms) as temporary:
            pd.concat(self._histograms, ignore_index=True).to_parquet(temporary)


def _write_preview(job: Job, case: CaseVolumes) -> None:
    """`volumes/CASE_ct.nii.gz` and the like, once a sweep."""
    paths = {name: job.case_volume(case.subject, name) for name in ("ct", "mr", "head", "skull")}
    if not all(path.exists() for path in paths.values()):
        for name, volume in preview_case(case).items():
            own = paths[name].with_name(f".{job.leaf}.{paths[name].name}")
            save_nifti(volume, own)  # another leaf may be at it too
            own.replace(paths[name])


def _panel(seen: Look) -> bytes:
    error = np.where(seen.head, seen.pct_hu - seen.ct_hu, 0.0)
    tiles = [
        [mr_tile(seen.mr_unit, window=(-1.0, 1.0)), hu_tile(seen.ct_hu)],
        [error_tile(error), hu_tile(seen.pct_hu)],
    ]  # the pseudo-CT below its CT; square, for MLflow shows square thumbnails
    return grid_png(tiles, labels=[["MR", "CT"], ["pCT - CT in the head", "pCT"]])


def _hu(image: NDArray[Any]) -> NDArray[np.int16]:
    rounded: NDArray[np.int16] = np.round(np.clip(image, -32768, 32767)).astype(np.int16)
    return rounded


def _npz(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
