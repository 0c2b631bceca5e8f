"""One pair from its files to work files and a record: load, mask, judge, cut, draw."""

import hashlib
import math
import re
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.content import content_of
from data_prep.errors import PctError
from data_prep.histograms import count_hu
from data_prep.intensity import mr_window
from data_prep.masks import FROM_FILE, Masks, head_and_skull, head_from_mr, skull_in
from data_prep.parquet import sha256_of, write_table
from data_prep.picture import contact_sheet, planes_sheet
from data_prep.quality import Findings, Status, Verdict, examine, verdict
from data_prep.records import CaseRecord, Job, PrepConfig, save_record, slices_at, volume_at
from data_prep.rtstruct import RTSTRUCT
from data_prep.schema import CaseVolumes
from data_prep.slices import SliceStack, build_slices, slice_table
from data_prep.sources import Case, load_head, load_pair, load_readable
from data_prep.volume import Volume
from data_prep.volume_shards import encode_volumes
from data_prep.windows import pixel_in_mm
from data_prep.words import apart

MIN_HEAD_KEPT = 0.98

LOWEST_HU = -1024
"""Scanners pad outside the scan circle with -2000 HU or less; clipping makes padding equal air."""


def prepare_case(job: Job) -> CaseRecord:
    """Leave ID.slices.parquet, ID.volume.parquet and ID.json in `work`, a contact sheet in DATA.

    Both of the first hold what either split may need; a refused case leaves neither. What goes
    wrong with the case's data comes back as a refused record, its reason without the patient's id.
    """
    facts = asdict(job.case.about)
    record = CaseRecord(job.subject, job.key, job.stamps, content_of(job.case), **facts)
    try:
        record = _prepare(job, record)
    except PctError as error:
        record = replace(record, reason=_without_names(str(error), job.case))
    if not record.files:
        record = replace(record, files=_draw_unprepared(job))
    save_record(record, job.work)
    return record


def _prepare(job: Job, record: CaseRecord) -> CaseRecord:
    mr, ct = load_pair(job.case)
    ct = ct.with_array(np.maximum(ct.array, np.int16(LOWEST_HU)))
    masks = _masks(job, ct)
    record = _judge_pair(record, mr, ct, masks, remark=job.case.remark)
    if record.flip_margin is None:  # too broken to measure or to draw
        return record
    mr_head = head_from_mr(mr).array
    volumes = _with_windows(job.subject, mr, ct, masks, mr_head)
    stack = _stack(volumes, job.config)
    record = _judge_cut(record, stack, allow_cut=job.config.allow_cut)
    record = replace(
        record,
        num_slices=len(chosen := stack.qualifying()),
        pixel_mm=round(stack.grid.spacing_mm[0], 6),
        mr_head_window=list(volumes.mr_head_window),
        mr_median=float(np.median(mr.array[mr_head])),
        files=_draw(job, stack, record.status),
    )
    if record.status != "refused":
        made_with = job.config.shard_hash
        slices = slice_table(volumes, stack, chosen)
        write_table(slices, slices_at(job.work, job.subject), config=made_with)
        write_table(encode_volumes(volumes), volume_at(job.work, job.subject), config=made_with)
    return record


def _judge_pair(
    record: CaseRecord, mr: Volume, ct: Volume, masks: Masks, *, remark: str
) -> CaseRecord:
    found = examine(mr, ct, masks)
    judged = _with_remark(verdict(found), remark)
    return replace(
        record,
        status=judged.status,
        reason=judged.reason,
        mask_backend=masks.backend,
        ct_sha=_sha_of(ct),
        mr_sha=_sha_of(mr),
        **_measured(found),
        **_image_facts(mr, ct, masks),
    )


def _masks(job: Job, ct: Volume) -> Masks:
    given = load_head(job.case, ct.grid)
    if given is None:
        return head_and_skull(ct, backend=job.config.masks, setup=job.config.setup)
    drawn_by = RTSTRUCT if job.case.head_kind == "rtstruct" else FROM_FILE
    return skull_in(ct, given, drawn_by=drawn_by)


def _with_remark(judged: Verdict, remark: str) -> Verdict:
    """Flag a case of which its source has something to say."""
    if not remark:
        return judged
    status: Status = "flagged" if judged.status == "taken" else judged.status
    return Verdict(status, "; ".join(filter(None, (judged.reason, remark))))


def _measured(found: Findings) -> dict[str, Any]:
    """Rounded: the last bits of an optimum differ with the number of threads."""
    values = {
        "head_in_mr": found.head_in_mr,
        "flip_margin": found.flip_margin,
        "offset_mm": found.offset.mm,
        "offset_deg": found.offset.turn_deg,
        "head_dice": found.head_dice,
        "dense_outside": found.dense_outside,
    }
    return {name: _number(round(value, 4)) for name, value in values.items()}


def _image_facts(mr: Volume, ct: Volume, masks: Masks) -> dict[str, Any]:
    facts: dict[str, Any] = count_hu(ct.array, masks.head.array)
    for name, volume in (("ct", ct), ("mr", mr)):
        facts[f"{name}_shape"] = list(volume.array.shape)
        facts[f"{name}_spacing_mm"] = [round(one, 6) for one in volume.spacing_mm]
    return facts


def _with_windows(
    subject: str, mr: Volume, ct: Volume, masks: Masks, mr_head: NDArray[np.bool_]
) -> CaseVolumes:
    return CaseVolumes(
        subject=subject,
        split="train",  # provisional: the split is known once all cases are
        mr=mr,
        mr_head_window=mr_window(mr.array, mr_head),
        mr_volume_window=mr_window(mr.array),
        ct=ct,
        head=masks.head,
        skull=masks.skull,
        mask_backend=masks.backend,
    )


def _stack(volumes: CaseVolumes, config: PrepConfig) -> SliceStack:
    pixel_mm = pixel_in_mm(config.pixel, volumes.ct.grid, config.size)
    return build_slices(
        volumes, size=config.size, pixel_mm=pixel_mm, at=config.crop_at, seed=config.seed
    )


def _judge_cut(record: CaseRecord, stack: SliceStack, *, allow_cut: bool) -> CaseRecord:
    record = replace(record, head_kept=stack.head_kept, skull_kept=stack.skull_kept)
    reasons = [record.reason] if record.reason else []
    refused = record.status == "refused"
    kept = {"head": stack.head_kept, "skull": stack.skull_kept if stack.skull.any() else 1.0}
    for what, share in kept.items():
        if share < MIN_HEAD_KEPT and not allow_cut:
            refused = True
            kept_share, least = apart(share, MIN_HEAD_KEPT, "%", places=1)
            reasons.append(
                f"the slice grid holds {kept_share} of the {what}, expected {least}: "
                "take a larger --size or --pixel-mm, or --allow-cut"
            )
    if len(stack.qualifying()) == 0:
        refused = True
        reasons.append("no slice holds head with MR on 5 % of its pixels")
    status: Status = "refused" if refused else record.status
    return replace(record, status=status, reason="; ".join(reasons))


def _draw(job: Job, stack: SliceStack, status: Status) -> dict[str, str]:
    if not stack.head.any():
        return {}
    path = job.data / (name := f"contact/{job.subject}.png")
    # A case that is taken now may turn out another's twin; one that is refused stays so.
    title = f"{job.subject}: refused" if status == "refused" else job.subject
    contact_sheet(stack.mr.raw(), stack.ct_hu, stack.head, stack.skull, title=title, path=path)
    return {name: sha256_of(path)}


def _draw_unprepared(job: Job) -> dict[str, str]:
    """A picture of what can be read of a case that did not get as far as slices."""
    if not (images := load_readable(job.case)):
        return {}
    path = job.data / (name := f"contact/{job.subject}.png")
    planes_sheet(images, title=f"{job.subject}: refused", path=path)
    return {name: sha256_of(path)}


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
