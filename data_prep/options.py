"""The options of `pct prep`: types and helps. typer reads Optional[...] in every version."""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

Source = Annotated[Literal["tcia", "synthrad", "nifti"], typer.Argument(help="its layout")]
From = Annotated[Path, typer.Option("--from", help="download or folder; nifti: a CSV table")]
DataFolder = Annotated[Path, typer.Option(help="data folder to write; again resumes")]
ArmName = Annotated[Literal["resize", "crop"], typer.Option(help="how slices are fit")]
SIZES = {"resize": 128, "crop": 256}
"""Pixels along a side where `--size` is not given: laptop's, and what holds a head at 0.9 mm."""

Size = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="pixels along a side; else 128 as laptop wants, or 256 with --arm crop"),
]
PixelMm = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="pixel size in mm, fov or native; resize 256 / size, crop 0.9"),
]
CropAt = Annotated[
    Literal["head", "centre", "random"], typer.Option(help="what a slice is centred on")
]
MaxSlices = Annotated[int, typer.Option(help="training slices a patient")]
MasksBy = Annotated[
    Literal["auto", "totalsegmentator", "threshold"], typer.Option(help="who draws the masks")
]
SegmenterName = Annotated[
    Literal["craniofacial", "total"],
    typer.Option(help="TotalSegmentator's head and skull, or its skull alone"),
]
Fast = Annotated[bool, typer.Option("--fast", help="total at 3 mm")]
Device = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="TotalSegmentator's: cpu, gpu, gpu:N or mps; default: gpu, else cpu"),
]
Weights = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="folder of TotalSegmentator's models; nothing is downloaded"),
]
Ids = Annotated[Literal["hash", "keep"], typer.Option(help="hide ids; keep: public data only")]
Seed = Annotated[int, typer.Option(help="of the choice of slices")]
AllowCut = Annotated[bool, typer.Option(help="take heads the grid cuts by over 2 %")]
Strict = Annotated[bool, typer.Option(help="stop at the first case refused")]
SplitBy = Annotated[str, typer.Option(help="ranked (70/20/10), kfold:1/5, or site:A (A tests)")]
Strata = Annotated[str, typer.Option(help="facts shared out evenly to the splits: site,diagnosis")]
SplitsFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="splits made by hand: JSON, patient or case id -> train, val or test"),
]
PairingFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--pairing", help="tcia: a pairing.csv with its column `taken` corrected"),
]
AboutFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="CSV: subject, and site, scanner, field_t, sequence, diagnosis"),
]
Workers = Annotated[int, typer.Option(min=0, help="Ray tasks at a time; 0: this process")]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="a running Ray cluster, or auto; else Ray is started on this machine"),
]
