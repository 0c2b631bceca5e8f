"""What the command line asks of a pseudo-CT, or of each of many."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["dicom", "nifti"]
"""A CT series in a folder, or a file."""

GridName = Literal["axial", "mr"]

Where = Literal["axial", "mr", "onto"]


@dataclass(frozen=True)
class Asked:
    """None, or an empty text, leaves it to what the MR is."""

    kind: Kind | None = None
    """Of many, what each is to be; of one the target's name says it."""
    grid: GridName | None = None
    onto: Path | None = None
    """A volume whose grid it shall have."""
    series: str = ""
    """Part of the description of the MR series to take."""
    keep: bool = False
    """Leave one alone that is whole and was made from this MR by this model in this way."""
