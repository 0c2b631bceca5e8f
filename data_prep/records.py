"""Settings of a data folder, what became of a case, and where its unfinished files lie."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from data_prep.content import Stamps
from data_prep.masks import Backend
from data_prep.pairing import Case
from data_prep.parquet import read_json, write_json
from data_prep.privacy import IdPolicy
from data_prep.quality import Status
from data_prep.schema import Arm, Split, config_hash
from data_prep.split_rules import RANKED, SplitRule
from data_prep.totalseg import Segmenter, Setup
from data_prep.windows import CROP_PIXEL_MM, RESIZE_FIELD_MM, At, Pixel

PixelMm = Annotated[float, Field(gt=0.0)] | Literal["native", "fov"]


class PrepConfig(BaseModel):
    """Settings of one data folder; all that can change a case's files make them stale.

    `device` and `weights` say where TotalSegmentator runs and are not kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arm: Arm = "resize"
    size: int = Field(128, ge=32, le=1024)
    pixel_mm: PixelMm | None = None
    """None: resize 256 mm across the slice, 1 mm at size 256; crop 0.9 mm."""
    crop_at: At = "head"
    max_slices: int = Field(30, ge=1)
    """Training slices a patient."""
    allow_cut: bool = False
    """Take cases of which the grid holds less than 98 % of the head."""
    masks: Backend = "auto"
    """For cases that bring no head mask of their own; `prepare` settles `auto` once for all."""
    segmenter: Segmenter = "craniofacial"
    fast: bool = False
    device: str | None = Field(None, pattern=r"^(cpu|mps|gpu(:\d+)?)$", exclude=True)
    weights: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(None, exclude=True)
    seed: int = 0
    ids: IdPolicy = "hash"
    split: SplitRule = Field(RANKED, exclude=True)
    """No part of a case's files before they are in place, so another rule makes none stale."""

    @model_validator(mode="after")
    def _fits_arm(self) -> Self:
        wrong = {"resize": ("native", "random"), "crop": ("fov",)}[self.arm]
        for option, value in (("pixel_mm", self.pixel_mm), ("crop_at", self.crop_at)):
            if value in wrong:
                raise ValueError(f"{option} {value} does not go with arm {self.arm}")
        return self

    @field_validator("fast")
    @classmethod
    def _fast_is_there(cls, fast: bool, info: ValidationInfo) -> bool:
        if fast and info.data.get("segmenter") == "craniofacial":
            raise ValueError("craniofacial has no fast model; take --segmenter total or no --fast")
        return fast

    @property
    def setup(self) -> Setup:
        """How TotalSegmentator is to run."""
        return Setup(self.segmenter, self.fast, self.device, self.weights)

    @property
    def pixel(self) -> Pixel:
        """Pixel size of the slices in mm, or the word that says whose."""
        default = RESIZE_FIELD_MM / self.size if self.arm == "resize" else CROP_PIXEL_MM
        return self.pixel_mm or default

    @property
    def shard_hash(self) -> str:
        """The hash that this folder's shards hold, of the settings that decide their numbers."""
        return config_hash({**self.model_dump(), "pixel_mm": self.pixel})


@dataclass(frozen=True)
class CaseRecord:
    """What became of a case. `key` tells the settings; another key makes it stale."""

    subject: str
    key: str
    stamps: Stamps = field(default_factory=list)
    content: str = ""
    """Of its files; another one makes it stale."""
    status: Status = "refused"
    reason: str = ""
    mask_backend: str | None = None
    num_slices: int = 0
    """Qualifying ones while at work, stored ones in the case table."""
    ct_shape: list[int] | None = None
    ct_spacing_mm: list[float] | None = None
    mr_shape: list[int] | None = None
    mr_spacing_mm: list[float] | None = None
    mr_head_window: list[float] | None = None
    mr_median: float | None = None
    hu_histogram: list[int] | None = None
    hu_median: list[float | None] | None = None
    head_in_mr: float | None = None
    pixel_mm: float | None = None
    """Of the slices."""
    head_kept: float | None = None
    skull_kept: float | None = None
    flip_margin: float | None = None
    offset_mm: float | None = None
    offset_deg: float | None = None
    head_dice: float | None = None
    dense_outside: float | None = None
    ct_sha: str = ""
    """Of the voxels, as `mr_sha`: equal images under two ids are one patient."""
    mr_sha: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Below DATA, path -> sha256: the contact sheet, then also what the case's split keeps."""
    site: str | None = None
    """This and the next five: `About`, kept up to date without doing the case anew."""
    scanner: str | None = None
    field_t: float | None = None
    sequence: str | None = None
    diagnosis: str | None = None
    registration: str = "source"
    split: Split | None = None
    """That of the files in place; None before they are."""


@dataclass(frozen=True)
class Job:
    """All that preparing one case needs, small enough to be sent to another process."""

    case: Case
    subject: str
    key: str
    stamps: Stamps
    data: Path
    work: Path
    config: PrepConfig


def save_record(record: CaseRecord, work: Path) -> None:
    """Write WORK/ID.json."""
    write_json(asdict(record), work / f"{record.subject}.json")


def load_record(path: Path) -> CaseRecord | None:
    """Read WORK/ID.json; None where it is absent or of another version."""
    if not path.is_file():
        return None
    content = read_json(path, remedy="Remove this file and run `pct prep` again.")
    if set(content) != {item.name for item in fields(CaseRecord)}:
        return None
    return CaseRecord(**content)


def slices_at(work: Path, subject: str) -> Path:
    """The work file with all qualifying slices."""
    return work / f"{subject}.slices.parquet"


def volume_at(work: Path, subject: str) -> Path:
    """The work file with the whole volumes."""
    return work / f"{subject}.volume.parquet"
