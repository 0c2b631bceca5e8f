"""From prepared cases to a finished data folder: splits, shards in place, case table, manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.parquet import read_json, read_table, write_json, write_table
from data_prep.records import CaseRecord, PrepConfig, save_record, slices_at, volume_at
from data_prep.schema import (
    CASE_SCHEMA,
    PREP,
    SCHEMA_VERSION,
    Manifest,
    SliceGrid,
    Split,
    slice_schema,
)
from data_prep.shards import manifest_digest
from data_prep.slices import pick_slices
from data_prep.split_rules import SPLITS, STRATA
from data_prep.splits import BadSplit, split_patients
from data_prep.words import counted


@dataclass(frozen=True)
class SliceFiles:
    """Where finished files go and unfinished ones lie."""

    data: Path
    work: Path
    config: PrepConfig


def finish(
    records: Sequence[CaseRecord],
    *,
    patient_of: Mapping[str, str],
    known: Mapping[str, Split],
    files: SliceFiles,
    settings: Mapping[str, Any],
) -> Manifest:
    """Split the usable cases, put their shards in place, write the manifest last.

    Training keeps a random pick of slices, validation all that qualify and the volumes, test the
    volumes alone. Files of an earlier run that no longer belong are removed.
    """
    records = _without_twins(records, known)
    usable = [record for record in records if record.status != "refused"]
    refused = {one.subject: one.reason for one in records if one.status == "refused"}
    refuse_too_few(len(usable), refused)
    splits = split_patients(
        {one.subject: patient_of[one.subject] for one in usable},
        known,
        rule=files.config.split,
        facts={one.subject: {n: getattr(one, n, None) for n in STRATA} for one in usable},
    )
    split_sha = write_json(splits, files.data / "splits.json")
    placed = [_place(record, splits[record.subject], files) for record in usable]
    table = [*placed, *(record for record in records if record.status == "refused")]
    listed = {name: sha for record in table for name, sha in record.files.items()}
    listed["cases.parquet"] = _write_cases(table, splits, files.data / "cases.parquet")
    listed["splits.json"] = split_sha
    manifest = _manifest(placed, splits, listed, settings)
    write_json(asdict(manifest), files.data / "manifest.json")
    _remove_others(files.data, listed)
    return manifest


def refuse_too_few(num_usable: int, refused: Mapping[str, str]) -> None:
    """Raise `BadSplit` for fewer than 3 usable cases, with some of those `refused` (id, reason)."""
    if num_usable >= 3:
        return
    reasons = "; ".join(f"{subject}: {reason}" for subject, reason in list(refused.items())[:5])
    more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
    whole = counted(num_usable + len(refused), "case")
    raise BadSplit(
        f"{num_usable} usable of {whole}, expected at least 3: one each to train, validate and "
        f"test. Refused: {reasons or 'none'}{more}. Mend these or add patients."
    )


def read_splits(data: Path) -> dict[str, Split]:
    """The stored splits; empty on the first run. Another word than a split's is a `BadSplit`."""
    path = data / "splits.json"
    if not path.is_file():
        return {}
    splits: dict[str, Split] = read_json(path, remedy="Restore it: splits must not be drawn anew.")
    if wrong := [f"{case}: {split!r}" for case, split in splits.items() if split not in SPLITS]:
        raise BadSplit(
            f"{path}: {'; '.join(wrong)}. Expected one of {', '.join(SPLITS)} a case. Correct it."
        )
    return splits


def _place(record: CaseRecord, split: Split, files: SliceFiles) -> CaseRecord:
    """Put the shards that the split keeps into DATA, unless they are there."""
    subject, config = record.subject, files.config.shard_hash
    if record.split == split:
        return record
    listed, num_slices = dict(record.files), 0
    if split != "test":
        table = read_table(slices_at(files.work, subject), config=config)
        table = _for_split(table, split, files.config)
        name, num_slices = f"slices/{subject}.parquet", table.num_rows
        listed[name] = write_table(table, files.data / name, config=config)
    if split != "train":
        table = read_table(volume_at(files.work, subject), config=config)
        name = f"volumes/{subject}.parquet"
        listed[name] = write_table(table, files.data / name, config=config)
    record = replace(record, files=listed, num_slices=num_slices, split=split)
    save_record(record, files.work)
    slices_at(files.work, subject).unlink()
    volume_at(files.work, subject).unlink()
    return record


def _for_split(table: pa.Table, split: Split, config: PrepConfig) -> pa.Table:
    if split == "train":
        subject = table["subject"][0].as_py()
        found = table["z"].to_numpy()
        kept = pick_slices(found, subject=subject, max_slices=config.max_slices, seed=config.seed)
        table = table.filter(pa.array(np.isin(found, kept)))
    column = table.schema.get_field_index("split")
    named = pa.array([split] * table.num_rows, pa.string())
    return table.set_column(column, "split", named).cast(slice_schema(config.size))


def _without_twins(records: Sequence[CaseRecord], known: Mapping[str, Split]) -> list[CaseRecord]:
    """Refuse a case whose CT or MR equals another's voxel for voxel: one patient under two ids."""
    first: dict[tuple[str, str], str] = {}
    kept = []
    for record in sorted(records, key=lambda one: (one.subject not in known, one.subject)):
        if record.status != "refused":
            images = {"CT": record.ct_sha, "MR": record.mr_sha}
            twins = {name: first[name, sha] for name, sha in images.items() if (name, sha) in first}
            if twins:
                record = _refused_twin(record, twins)
            else:
                first |= dict.fromkeys(images.items(), record.subject)
        kept.append(record)
    return kept


def _refused_twin(record: CaseRecord, twins: Mapping[str, str]) -> CaseRecord:
    """`twins` says which of its images equals that of which case."""
    same = " and ".join(f"its {name} equals that of case {twin}" for name, twin in twins.items())
    pictures = {name: sha for name, sha in record.files.items() if name.startswith("contact/")}
    reason = f"{same}: one patient under two ids; keep one"
    return replace(record, status="refused", reason=reason, files=pictures)


def _write_cases(records: Sequence[CaseRecord], splits: Mapping[str, Split], path: Path) -> str:
    rows = []
    for record in sorted(records, key=lambda one: one.subject):
        refused = record.status == "refused"
        row = {name: getattr(record, name, None) for name in CASE_SCHEMA.names}
        row["split"] = None if refused else splits[record.subject]
        row["num_slices"] = 0 if refused else record.num_slices
        rows.append(row)
    return write_table(pa.Table.from_pylist(rows, schema=CASE_SCHEMA), path)


def _remove_others(data: Path, listed: Mapping[str, str]) -> None:
    """Patients who left, and what an interrupted run left half-written."""
    for pattern in ("slices/*.parquet", "volumes/*.parquet", "contact/*.png", "*/.*.tmp"):
        for path in sorted(data.glob(pattern)):
            if str(path.relative_to(data)) not in listed:
                path.unlink()


def _manifest(
    placed: Sequence[CaseRecord],
    splits: Mapping[str, Split],
    listed: dict[str, str],
    settings: Mapping[str, Any],
) -> Manifest:
    in_split = {name: [one for one in placed if splits[one.subject] == name] for name in SPLITS}
    train = [one for one in in_split["train"] for _ in range(one.num_slices)]
    grid = SliceGrid(
        arm=settings["arm"],
        size=settings["size"],
        pixel_mm=_median([one.pixel_mm for one in train]),
        slice_mm=_median([one.ct_spacing_mm[2] for one in train if one.ct_spacing_mm]),
    )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        prep=PREP,
        grid=grid,
        settings=dict(settings),
        files=dict(sorted(listed.items())),
        num_cases={name: len(ones) for name, ones in in_split.items()},
        num_slices={name: sum(one.num_slices for one in ones) for name, ones in in_split.items()},
        mask_backends=tuple(sorted({str(one.mask_backend) for one in placed})),
        split_sha=listed["splits.json"],
        digest=manifest_digest(grid, listed),
    )


def _median(values: Sequence[float | None]) -> float:
    return round(float(np.median([value for value in values if value is not None])), 6)
