"""One pair from its files to work files and a record: load, mask, judge, cut, draw."""

import hashlib
import math
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data_prep.errors import PctError
from data_prep.intensity import mr_window
from data_prep.masks import Backend, Masks, head_and_skull, head_from_mr, skull_in
from data_prep.parquet import read_json, write_json, write_table
from data_prep.picture import contact_sheet
from data_prep.privacy import IdPolicy
from data_prep.quality import Findings, Status, examine, verdict
from data_prep.schema import Arm, CaseVolumes, Split
from data_prep.slices import SliceStack, build_slices, slice_table
from data_prep.sources import Case, load_head, load_pair
from data_prep.volume import Volume
from data_prep.volume_shards import encode_volumes

MIN_HEAD_KEPT = 0.98

LOWEST_HU = -1024
"""Scanners pad outside the scan circle with -2000 HU or less; clipping makes padding equal air."""


class PrepConfig(BaseModel):
    """Settings of one data folder; all of them are part of what makes a case's files stale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arm: Arm = "resize"
    size: int = Field(128, ge=32, le=1024)
    pixel_mm: float | None = Field(None, gt=0.0)
    """None: 256 mm across the slice, 1 mm at size 256."""
    max_slices: int = Field(30, ge=1)
    """Training slices a patient."""
    allow_cut: bool = False
    """Take cases of which the grid holds less than 98 % of the head."""
    masks: Backend = "auto"
    """For cases that bring no head mask of their own."""
    seed: int = 0
    ids: IdPolicy = "hash"

    @property
    def pixel(self) -> float:
        """Pixel size of the slices in mm."""
        return self.pixel_mm or 256.0 / self.size


@dataclass(frozen=True)
class CaseRecord:
    """What became of a case. `key` tells inputs and settings; another key makes it stale."""

    subject: str
    key: str
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
    head_in_mr: float | None = None
    head_kept: float | None = None
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
    split: Split | None = None
    """That of the files in place; None before they are."""


@dataclass(frozen=True)
class Job:
    """All that preparing one case needs, small enough to be sent to another process."""

    case: Case
    subject: str
    key: str
    data: Path
    work: Path
    config: PrepConfig


def prepare_case(job: Job) -> CaseRecord:
    """Leave ID.slices.parquet, ID.volume.parquet and ID.json in `work`, a contact sheet in DATA.

    Both of the first hold what either split may need; a refused case leaves neither. What goes
    wrong with the case's data comes back as a refused record, its reason without the patient's id.
    """
    try:
        record = _prepare(job, CaseRecord(job.subject, job.key))
    except PctError as error:
        record = CaseRecord(job.subject, job.key, reason=_without_names(str(error), job.case))
    save_record(record, job.work)
    return record


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


def _prepare(job: Job, record: CaseRecord) -> CaseRecord:
    mr, ct = load_pair(job.case)
    ct = ct.with_array(np.maximum(ct.array, LOWEST_HU).astype(np.int16))
    given = load_head(job.case)
    masks = head_and_skull(ct, backend=job.config.masks) if given is None else skull_in(ct, given)
    found = examine(mr, ct, masks)
    judged = verdict(found)
    record = replace(
        record,
        status=judged.status,
        reason=judged.reason,
        mask_backend=masks.backend,
        ct_sha=_sha_of(ct),
        mr_sha=_sha_of(mr),
        **_measured(found),
        **_geometry(mr, ct),
    )
    if found.flip_margin != found.flip_margin:  # NaN: too broken to measure or to draw
        return record
    volumes = _with_windows(job.subject, mr, ct, masks)
    stack = build_slices(volumes, size=job.config.size, pixel_mm=job.config.pixel)
    chosen = stack.qualifying()
    record = replace(
        _judge_cut(record, stack, allow_cut=job.config.allow_cut),
        num_slices=len(chosen),
        mr_head_window=list(volumes.mr_head_window),
        files=_draw(job, stack, judged.status),
    )
    if record.status != "refused":
        write_table(slice_table(volumes, stack, chosen), slices_at(job.work, job.subject))
        write_table(encode_volumes(volumes), volume_at(job.work, job.subject))
    return record


def slices_at(work: Path, subject: str) -> Path:
    """The work file with all qualifying slices."""
    return work / f"{subject}.slices.parquet"


def volume_at(work: Path, subject: str) -> Path:
    """The work file with the whole volumes."""
    return work / f"{subject}.volume.parquet"


def _measured(found: Findings) -> dict[str, Any]:
    values = {
        "head_in_mr": found.head_in_mr,
        "flip_margin": found.flip_margin,
        "offset_mm": found.offset.mm,
        "offset_deg": found.offset.turn_deg,
        "head_dice": found.head_dice,
        "dense_outside": found.dense_outside,
    }
    return {name: _number(value) for name, value in values.items()}


def _geometry(mr: Volume, ct: Volume) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, volume in (("ct", ct), ("mr", mr)):
        facts[f"{name}_shape"] = list(volume.array.shape)
        facts[f"{name}_spacing_mm"] = [round(one, 6) for one in volume.spacing_mm]
    return facts


def _with_windows(subject: str, mr: Volume, ct: Volume, masks: Masks) -> CaseVolumes:
    return CaseVolumes(
        subject=subject,
        split="train",  # provisional: the split is known once all cases are
        mr=mr,
        mr_head_window=mr_window(mr.array, head_from_mr(mr).array),
        mr_volume_window=mr_window(mr.array),
        ct=ct,
        head=masks.head,
        skull=masks.skull,
        mask_backend=masks.backend,
    )


def _judge_cut(record: CaseRecord, stack: SliceStack, *, allow_cut: bool) -> CaseRecord:
    record = replace(record, head_kept=stack.head_kept)
    reasons = [record.reason] if record.reason else []
    refused = record.status == "refused"
    if stack.head_kept < MIN_HEAD_KEPT and not allow_cut:
        refused = True
        reasons.append(
            f"the slice grid holds {stack.head_kept:.1%} of the head, expected {MIN_HEAD_KEPT:.0%}:"
            " take a larger --size or --pixel-mm, or --allow-cut"
        )
    if len(stack.qualifying()) == 0:
        refused = True
        reasons.append("no slice holds head with MR on 5 % of its pixels")
    status: Status = "refused" if refused else record.status
    return replace(record, status=status, reason="; ".join(reasons))


def _draw(job: Job, stack: SliceStack, status: Status) -> dict[str, str]:
    if not stack.head.any():
        return {}
    name = f"contact/{job.subject}.png"
    path = job.data / name
    title = f"{job.subject}: {status}"
    contact_sheet(
        stack.mr.raw(), stack.ct_hu, stack.head, stack.skull, title=title, path=path
    )
    return {name: hashlib.sha256(path.read_bytes()).hexdigest()}


def _without_names(reason: str, case: Case) -> str:
    """Our own reasons hold no name; other libraries' words may quote a path or the patient's id.

    Ids and names of files and folders below 4 letters say too little, and would cut up numbers.
    """
    paths = [path for path in (case.mr, case.ct, case.head) if path is not None]
    words = {case.subject, *(word for one in paths for word in (str(one), *one.parts[-3:]))}
    for word in sorted((word for word in words if len(word) > 3), key=len, reverse=True):
        reason = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "(hidden)", reason)
    return reason


def _sha_of(volume: Volume) -> str:
    return hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).hexdigest()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
