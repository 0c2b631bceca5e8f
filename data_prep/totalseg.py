"""TotalSegmentator at arm's length: loaded only when asked for, sends and downloads nothing."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np

from data_prep.errors import PctError
from data_prep.volume import Volume

Segmenter = Literal["craniofacial", "total"]

_COARSE = "Dataset298_TotalSegmentator_total_6mm_1559subj"
"""Of the whole body: by it every task first crops to the skull (task 298)."""

WEIGHTS: dict[tuple[Segmenter, bool], dict[str, str]] = {
    ("craniofacial", False): {
        "Dataset115_mandible": "craniofacial_structures",
        _COARSE: "total_fast",
    },
    ("total", False): {
        "Dataset291_TotalSegmentator_part1_organs_1559subj": "total",
        "Dataset292_TotalSegmentator_part2_vertebrae_1532subj": "total",
        "Dataset293_TotalSegmentator_part3_cardiac_1559subj": "total",
        "Dataset294_TotalSegmentator_part4_muscles_1559subj": "total",
        "Dataset295_TotalSegmentator_part5_ribs_1559subj": "total",
        _COARSE: "total",
    },
    ("total", True): {
        "Dataset297_TotalSegmentator_total_3mm_1559subj": "total_fast",
        _COARSE: "total_fast",
    },
}
"""By segmenter and `fast`: folders without which the package would start a download -> the name to
fetch each by. The skull comes from one part of `total`, but all five are asked for."""

_CRANIOFACIAL_SKULL, _TOTAL_SKULL = 3, 91

_FAILURES = (SystemExit, ImportError, OSError, RuntimeError, ValueError)
"""requests.ConnectionError is an OSError; a missing licence ends in sys.exit."""


class SegmentationFailed(PctError):
    """TotalSegmentator is not installed, lacks weights, a licence or the device, or stopped."""


@dataclass(frozen=True)
class Setup:
    """Which task draws the masks, and where it runs."""

    segmenter: Segmenter = "craniofacial"
    """`craniofacial`: head and skull at 0.5 mm (open licence). `total`: the skull at 1.5 mm."""
    fast: bool = False
    """`total` at 3 mm; `craniofacial` has no such model."""
    device: str | None = None
    """`cpu`, `gpu`, `gpu:N` or `mps`; None: a GPU where there is one, else the CPU."""
    weights: Path | None = None
    """Folder of the models; None: where the package looks."""


def name(setup: Setup) -> str:
    """The task as stored with masks: `totalsegmentator-2.18.0-total-fast`."""
    version = metadata.version("TotalSegmentator")
    return f"totalsegmentator-{version}-{setup.segmenter}{'-fast' if setup.fast else ''}"


def refuse_missing(setup: Setup) -> None:
    """Raise `SegmentationFailed` unless the package, the models and the device are there.

    The models are looked for before the package is called: it would download what it lacks.
    """
    _refuse_missing_weights(setup)
    with _arranged(setup), _explained(setup):
        _load()
        if setup.device is not None and setup.device.startswith("gpu"):
            from totalsegmentator.python_api import select_device

            if str(select_device(setup.device)) == "cpu":
                raise SegmentationFailed(
                    f"there is no {setup.device} for TotalSegmentator here. Leave --device out, or "
                    "name one that PyTorch sees."
                )


def segment(ct: Volume, setup: Setup) -> tuple[Volume | None, Volume]:
    """Head (None from `total`, which has none) and skull of a CT in HU, on its grid.

    Any way to fail raises `SegmentationFailed`.
    """
    _refuse_missing_weights(setup)
    with _arranged(setup), _explained(setup):
        labels = _run(nib.Nifti1Image(ct.array.astype(np.int16), ct.affine), setup)
        found = np.asarray(labels.dataobj)
        if found.shape != ct.array.shape or not np.allclose(labels.affine, ct.affine, atol=1e-3):
            raise ValueError(f"labels on grid {found.shape}, the CT is {ct.array.shape}")
    if setup.segmenter == "total":
        return None, ct.with_array(found == _TOTAL_SKULL)
    return ct.with_array(found > 0), ct.with_array(found == _CRANIOFACIAL_SKULL)


def weights_folder(setup: Setup) -> Path:
    """Where the models lie: as told, else TOTALSEG_WEIGHTS_PATH, else below the package's home."""
    if setup.weights is not None or "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return setup.weights or Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = Path(os.environ.get("TOTALSEG_HOME_DIR", Path.home() / ".totalsegmentator"))
    return home / "nnunet" / "results"


def _refuse_missing_weights(setup: Setup) -> None:
    try:
        metadata.version("TotalSegmentator")
    except metadata.PackageNotFoundError as error:
        raise SegmentationFailed(
            "TotalSegmentator is not installed. Install it with `pip install "
            "'pct-sweeps[totalseg]'`, or use `--masks threshold`."
        ) from error
    folder = weights_folder(setup)
    known = WEIGHTS[setup.segmenter, setup.fast]
    if missing := [one for one in known if not (folder / one).is_dir()]:
        tasks = dict.fromkeys(known[one] for one in missing)
        commands = " and ".join(f"`totalseg_download_weights -t {task}`" for task in tasks)
        raise SegmentationFailed(
            f"TotalSegmentator's weights {', '.join(missing)} are not in {folder}; nothing is "
            f"downloaded while patients are prepared. Fetch them with {commands} on a machine with "
            "network, name their folder with --weights, or use `--masks threshold`."
        )


@contextlib.contextmanager
def _arranged(setup: Setup) -> Iterator[None]:
    """TOTALSEG_WEIGHTS_PATH set for the while; what the package prints is swallowed."""
    before = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(weights_folder(setup))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.environ.pop("TOTALSEG_WEIGHTS_PATH")
        if before is not None:
            os.environ["TOTALSEG_WEIGHTS_PATH"] = before


@contextlib.contextmanager
def _explained(setup: Setup) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise SegmentationFailed(
            f"TotalSegmentator stopped ({type(error).__name__}: {error}). Try its own command "
            f"`TotalSegmentator --task {_task(setup)}` on one CT, or use `--masks threshold`."
        ) from error


def _task(setup: Setup) -> str:
    return "total" if setup.segmenter == "total" else "craniofacial_structures"


def _load() -> Any:
    """The package's one function, after its usage statistics were switched off."""
    from totalsegmentator.config import set_config_key, setup_totalseg
    from totalsegmentator.python_api import totalsegmentator

    setup_totalseg()
    set_config_key("send_usage_stats", False)
    return totalsegmentator


def _run(image: Any, setup: Setup) -> Any:
    only = {"roi_subset": ["skull"]} if setup.segmenter == "total" else {}
    # "gpu" falls back to the CPU where there is no GPU.
    return _load()(
        image,
        task=_task(setup),
        fast=setup.fast,
        device=setup.device or "gpu",
        quiet=True,
        **only,
    )
