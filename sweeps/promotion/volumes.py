"""What `mlflow.pyfunc.load_model` makes of a promoted model: MR volumes to pseudo-CTs in HU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from data_prep.errors import PctError
from data_prep.volume import Volume, save_nifti
from pct.model import Model, choose_device, load_model
from pct.prediction.check import warnings
from pct.prediction.quality import look_over
from pct.prediction.sources import ENDS, find_mr, read_mr
from pct.prediction.volume import CHUNK, predict_prepared, predict_volume, prepare

TABLE = ("mr", "to")
"""The columns of a table of volumes."""
DONE = ("to", "shape", "low_hu", "high_hu", "warnings", "reason")
"""Those of what comes back."""


class BadInput(PctError):
    """What `predict` of a promoted model does not take."""


def _load_pyfunc(path: str) -> "PseudoCt":
    """MLflow's hook: the model folder at `path`, on the GPU if there is one. Unpickles nothing."""
    return PseudoCt(load_model(Path(path), device=choose_device("auto")))


class PseudoCt:
    """A promoted model behind MLflow's `predict`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any) -> Any:
        """Pseudo-CT of what is given; anything else is a `BadInput` that says what may be.

        - The path of an MR, a NIfTI or MetaImage file or a folder with one DICOM series: int16 HU
          (i, j, k), on the file's own voxels in its own order; of DICOM in RAS order.
        - A table with columns `mr` and `to`, such paths and NIfTI files to write: a row each of
          `to`, `shape`, `low_hu`, `high_hu`, `warnings` (how many of the checks of `pct predict`
          do not hold) and `reason` (in words). It stops at the first MR that fails.
        - {"mr": array (i, j, k), "affine": 4x4 to RAS mm}: {"pct_hu", "affine"} on its voxels.
        - Slices as floats in [-1, 1], (n, 1, y, x), sides as the exported program has them: their
          pseudo-CT in [-1, 1], -1 for -1000 HU and 1 for 3000, of the same shape.

        Only a table runs the checks.
        """
        if isinstance(model_input, str | Path):
            return self._of(_read(Path(model_input))).array
        if isinstance(model_input, pd.DataFrame):
            return self._of_table(model_input)
        if isinstance(model_input, Mapping):
            pct = self._of(_volume(model_input))
            return {"pct_hu": pct.array, "affine": pct.affine}
        if isinstance(model_input, np.ndarray):
            return self._of_slices(model_input)
        raise BadInput(f"found {type(model_input).__name__}. {_EXPECTED}")

    def _of(self, mr: Volume) -> Volume:
        return predict_volume(self.model, mr)

    def _of_table(self, rows: pd.DataFrame) -> pd.DataFrame:
        _refuse_odd_table(rows)
        done = [self._row(str(mr), str(to)) for mr, to in zip(rows["mr"], rows["to"], strict=True)]
        return pd.DataFrame(done, columns=list(DONE))

    def _row(self, mr: str, to: str) -> dict[str, Any]:
        volume = _read(Path(mr))
        prepared = prepare(self.model, volume)
        pct = predict_prepared(self.model, prepared, volume.grid)
        found = warnings(look_over(self.model, prepared, pct))
        save_nifti(pct, Path(to))
        low, high = int(pct.array.min()), int(pct.array.max())
        facts = (to, pct.array.shape, low, high, len(found), "; ".join(found))
        return dict(zip(DONE, facts, strict=True))

    @torch.no_grad()
    def _of_slices(self, mr_unit: NDArray[Any]) -> NDArray[np.float32]:
        generator = self.model.generator
        _refuse_odd_slices(mr_unit, generator.stride)
        device = next(generator.parameters()).device
        chunks = torch.split(torch.from_numpy(mr_unit.astype(np.float32)), CHUNK)
        pct: NDArray[np.float32] = torch.cat(
            [generator(c.to(device)).cpu() for c in chunks]
        ).numpy()
        return pct


_EXPECTED = (
    "Expected the path of an MR (NIfTI or MetaImage file, DICOM folder), a DataFrame with columns "
    "mr and to, a dict with mr and affine, or an array of slices (n, 1, y, x) in [-1, 1]."
)


def _read(path: Path) -> Volume:
    return read_mr(find_mr(path)).volume


def _volume(given: Mapping[Any, Any]) -> Volume:
    if set(given) != {"mr", "affine"}:
        raise BadInput(f"found a dict with {', '.join(map(str, given)) or 'nothing'}. {_EXPECTED}")
    array, affine = np.asarray(given["mr"]), np.asarray(given["affine"])
    if array.ndim != 3 or array.dtype.kind not in "iufb":
        raise BadInput(f"mr is {array.dtype} {array.shape}, expected real numbers (i, j, k).")
    if affine.shape != (4, 4) or affine.dtype.kind not in "iuf" or not _places(affine):
        raise BadInput("affine must be a finite, invertible 4x4 matrix from indices to RAS mm.")
    return Volume(array, affine.astype(np.float64))


def _places(affine: NDArray[Any]) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9)


def _refuse_odd_table(rows: pd.DataFrame) -> None:
    """Before any work is done."""
    if missing := [name for name in TABLE if name not in rows]:
        raise BadInput(f"the table lacks {' and '.join(missing)}. {_EXPECTED}")
    targets = [str(to) for to in rows["to"]]
    if odd := [to for to in targets if not to.endswith((".nii", ".nii.gz"))]:
        raise BadInput(f"to: {odd[0]}: expected a name that ends in .nii or .nii.gz.")
    if own := _targets_in_mrs(rows):
        raise BadInput(f"to: {own[0]} is an MR of the table. Name a file that is none of them.")
    places = [Path(to).resolve() for to in targets]
    if twice := [to for to, at in zip(targets, places, strict=True) if places.count(at) > 1]:
        raise BadInput(f"to: {twice[0]} is there twice. Give every MR a file of its own.")


def _targets_in_mrs(rows: pd.DataFrame) -> list[str]:
    """Targets that are an MR's file, or would be taken for the MR of a folder."""
    mrs = {Path(mr).resolve() for mr in rows["mr"]}
    named = {f"mr{end}" for end in ENDS}

    def is_mr(to: Path) -> bool:
        return to in mrs or (to.name in named and to.parent in mrs)

    return [str(to) for to in rows["to"] if is_mr(Path(to).resolve())]


def _refuse_odd_slices(mr_unit: NDArray[Any], stride: int) -> None:
    if mr_unit.dtype.kind != "f" or mr_unit.ndim != 4 or mr_unit.shape[1] != 1 or not mr_unit.size:
        raise BadInput(
            f"slices are {mr_unit.dtype} {mr_unit.shape}, expected float32 (n, 1, y, x). A volume "
            "comes as a dict with mr and affine."
        )
    sides = mr_unit.shape[2:]
    if any(side % stride or side < 2 * stride for side in sides):
        raise BadInput(
            f"slices of {sides[0]} x {sides[1]} pixels: expected sides that are multiples of "
            f"{stride}, from {2 * stride} on. Pad them with -1."
        )
    low, high = mr_unit.min(), mr_unit.max()
    if not (low >= -1 and high <= 1):  # also where one of them is NaN
        raise BadInput(f"slices hold {low:g} to {high:g}, expected -1 to 1 (-1 is air).")
