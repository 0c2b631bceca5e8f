"""TotalSegmentator at arm's length: loaded only when asked for, told to send no statistics."""

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

_DATASET = "Dataset115_*"
_SKULL = 3


class SegmentationFailed(PctError):
    """TotalSegmentator is not installed, lacks weights or a licence, or stopped."""


def name() -> str:
    """Back end and version, as stored with masks: `totalsegmentator-2.18.0`."""
    return f"totalsegmentator-{metadata.version('TotalSegmentator')}"


def has_weights() -> bool:
    """Whether the package is installed and the task's weights lie on this machine."""
    try:
        metadata.version("TotalSegmentator")
    except metadata.PackageNotFoundError:
        return False
    return any(weights_folder().glob(_DATASET))


def weights_folder() -> Path:
    """Where TotalSegmentator looks: TOTALSEG_WEIGHTS_PATH, else below its home folder."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = Path(os.environ.get("TOTALSEG_HOME_DIR", Path.home() / ".totalsegmentator"))
    return home / "nnunet" / "results"


def segment(ct: Volume) -> tuple[Volume, Volume]:
    """Head and skull of a CT in HU, on its grid. Any way to fail raises `SegmentationFailed`."""
    try:
        labels = _run(nib.Nifti1Image(ct.array.astype(np.int16), ct.affine))
    except ImportError as error:
        raise SegmentationFailed(
            f"TotalSegmentator cannot be loaded ({error}). Install it with "
            "`pip install 'pct-sweeps[totalseg]'`, or use `--masks threshold`."
        ) from error
    except (SystemExit, OSError, RuntimeError) as error:
        # requests.ConnectionError is an OSError; a missing licence ends in sys.exit.
        raise SegmentationFailed(
            f"TotalSegmentator stopped ({type(error).__name__}: {error}). Its weights belong in "
            f"{weights_folder()} (`totalseg_download_weights -t {TASK}` on a machine with network)."
            " Or use `--masks threshold`."
        ) from error
    found = np.asarray(labels.dataobj)
    return ct.with_array(found > 0), ct.with_array(found == _SKULL)


def _run(image: Any) -> Any:
    from totalsegmentator.config import set_config_key, setup_totalseg
    from totalsegmentator.python_api import totalsegmentator

    setup_totalseg()
    set_config_key("send_usage_stats", False)
    return totalsegmentator(image, task=TASK, quiet=True, device="gpu")
