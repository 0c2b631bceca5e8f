"""TotalSegmentator at arm's length: loaded only when asked for, sends and downloads nothing."""

import os
from importlib import metadata
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from data_prep.errors import PctError
from data_prep.volume import Volume

TASK = "craniofacial_structures"
"""Open licence; its labels hold the head with scalp and the skull."""

WEIGHTS = {
    "Dataset115_mandible": TASK,
    "Dataset298_TotalSegmentator_total_6mm_1559subj": "total_fast",
}
"""Folders that the task needs -> the name to download each by: the task's own model, and the coarse
one of the whole body by which it first crops to the skull (task 298)."""

_SKULL = 3


class SegmentationFailed(PctError):
    """TotalSegmentator is not installed, lacks weights or a licence, or stopped."""


def name() -> str:
    """Back end and version, as stored with masks: `totalsegmentator-2.18.0`."""
    return f"totalsegmentator-{metadata.version('TotalSegmentator')}"


def has_weights() -> bool:
    """Whether the package is installed and all that the task needs lies on this machine."""
    return _is_installed() and not _missing()


def refuse_missing() -> None:
    """Raise `SegmentationFailed` unless `has_weights`: the package would download what it lacks."""
    if not _is_installed():
        raise SegmentationFailed(
            "TotalSegmentator is not installed. Install it with `pip install "
            "'pct-sweeps[totalseg]'`, or use `--masks threshold`."
        )
    if missing := _missing():
        commands = " and ".join(f"`totalseg_download_weights -t {WEIGHTS[one]}`" for one in missing)
        raise SegmentationFailed(
            f"TotalSegmentator's weights {', '.join(missing)} are not in {weights_folder()}; "
            f"nothing is downloaded while patients are prepared. Fetch them with {commands} on a "
            "machine with network, or use `--masks threshold`."
        )


def _is_installed() -> bool:
    try:
        metadata.version("TotalSegmentator")
    except metadata.PackageNotFoundError:
        return False
    return True


def _missing() -> list[str]:
    return [one for one in WEIGHTS if not (weights_folder() / one).is_dir()]


def weights_folder() -> Path:
    """Where TotalSegmentator looks: TOTALSEG_WEIGHTS_PATH, else below its home folder."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = Path(os.environ.get("TOTALSEG_HOME_DIR", Path.home() / ".totalsegmentator"))
    return home / "nnunet" / "results"


def segment(ct: Volume) -> tuple[Volume, Volume]:
    """Head and skull of a CT in HU, on its grid. Any way to fail raises `SegmentationFailed`."""
    refuse_missing()
    try:
        labels = _run(nib.Nifti1Image(ct.array.astype(np.int16), ct.affine))
    except (SystemExit, ImportError, OSError, RuntimeError) as error:
        # requests.ConnectionError is an OSError; a missing licence ends in sys.exit.
        raise SegmentationFailed(
            f"TotalSegmentator stopped ({type(error).__name__}: {error}). Try its own command "
            f"`TotalSegmentator --task {TASK}` on one CT, or use `--masks threshold`."
        ) from error
    found = np.asarray(labels.dataobj)
    return ct.with_array(found > 0), ct.with_array(found == _SKULL)


def _run(image: Any) -> Any:
    from totalsegmentator.config import set_config_key, setup_totalseg
    from totalsegmentator.python_api import totalsegmentator

    setup_totalseg()
    set_config_key("send_usage_stats", False)
    return totalsegmentator(image, task=TASK, quiet=True, device="gpu")
