"""The one function that turns a collection into a data folder, resumable case by case."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from filelock import FileLock, Timeout

from data_prep import masks
from data_prep.by_hand import was_edited
from data_prep.content import content_of, stamps_of
from data_prep.errors import PctError
from data_prep.finish import SliceFiles, finish, read_splits, refuse_too_few
from data_prep.pairing import Candidate, Case, Pairing
from data_prep.parquet import sha256_of
from data_prep.privacy import (
    open_pseudonyms,
    private_folder,
    private_folder_of,
    store_ids,
    write_table,
)
from data_prep.records import (
    CaseRecord,
    Job,
    PrepConfig,
    load_record,
    save_record,
    slices_at,
    volume_at,
)
from data_prep.schema import PREP, SCHEMA_VERSION, Manifest, Split
from data_prep.split_rules import SplitRule, keep_rule, splits_by_hand
from data_prep.splits import split_patients
from data_prep.tasks import HERE, Tasks, refuse_dead, run_jobs

__all__ = ["BadPrep", "CaseRecord", "PrepConfig", "RefusedCase", "prepare"]

OnCase = Callable[[CaseRecord], None]


class BadPrep(PctError):
    """Settings or a state of the folder with which preparation cannot start."""


class RefusedCase(PctError):
    """With `strict`: a case that was refused."""


def prepare(
    cases: Sequence[Case] | Pairing,
    to: Path,
    config: PrepConfig,
    *,
    on_case: OnCase | None = None,
    tasks: Tasks = HERE,
    strict: bool = False,
) -> Manifest:
    """Prepare `cases` into the data folder `to` and return its manifest.

    A case that cannot be used becomes a refused row of cases.parquet and the rest go on; with
    `strict` it raises `RefusedCase`. Cases whose files and settings are unchanged and whose
    results are intact are not done again; a run with nothing to do leaves every byte in place.
    `tasks` says whether cases run in this process or as Ray tasks. `on_case` hears each record in
    turn, in no fixed order. A `Pairing` also leaves pairing.csv in the private folder.

    Raises `BadAddress` for a cluster that does not answer, `BadPrep` for a folder in use or a
    twice-named patient, `BadSplit` for fewer than 3
    usable patients or a rule that does not fit them (before any case is prepared, where that is
    known by then), `SegmentationFailed` where a back end that was asked for is not there. What
    `auto` takes is settled here, once: a case where it then stops is refused, for masks of two
    kinds do not mix.
    """
    to = to.absolute()
    _refuse_foreign(to)
    refuse_dead(tasks.address)
    config = config.model_copy(update={"masks": masks.choose(config.masks, config.setup)})
    private = private_folder(to)
    try:
        with FileLock(private / "lock", timeout=0):
            if isinstance(cases, Pairing):
                _write_pairing(cases, private / "pairing.csv")
                cases = cases.cases
            return _prepare(cases, to, config, on_case, tasks, strict)
    except Timeout as error:
        raise BadPrep(
            f"{to}: another `pct prep` is writing there. Wait for it, or choose another folder."
        ) from error


def _prepare(
    cases: Sequence[Case],
    to: Path,
    config: PrepConfig,
    on_case: OnCase | None,
    tasks: Tasks,
    strict: bool,
) -> Manifest:
    work = private_folder(to) / "work"
    work.mkdir(exist_ok=True)
    jobs = _jobs(cases, to, work, config)
    known = _known_splits(jobs, read_splits(to), config.split, work)
    records = {job.subject: record for job in jobs if (record := _done_before(job, known))}
    to_do = [job for job in jobs if job.subject not in records]
    if to_do:
        (to / "manifest.json").unlink(missing_ok=True)
    for record in records.values():
        _tell(record, on_case, strict=strict)
    for record in run_jobs(sorted(to_do, key=lambda job: not job.case.fault), tasks):
        records[record.subject] = record
        _tell(record, on_case, strict=strict)
    key = open_pseudonyms(to, config.ids).fingerprint
    settings = {**config.model_dump(), "pixel_mm": config.pixel, "id_key": key}
    settings["split"] = config.split.name
    return finish(
        [records[subject] for subject in sorted(records)],
        patient_of={job.subject: job.case.subject for job in jobs},
        known=known,
        files=SliceFiles(to, work, config),
        settings=settings,
    )


def _known_splits(
    jobs: Sequence[Job], known: dict[str, Split], rule: SplitRule, work: Path
) -> dict[str, Split]:
    """The stored splits, with those made by hand; what cannot be divided is told at once.

    All cases with a pair are divided as if none of them were to be refused.
    """
    patient_of = {job.subject: job.case.subject for job in jobs}
    unpaired = {job.subject: job.case.fault for job in jobs if job.case.fault}
    keep_rule(work / "split.rule", rule, drawn=bool(known))
    if rule.kind == "file":
        known = splits_by_hand(rule, patient_of, known, unpaired=unpaired) | known
    refuse_too_few(len(jobs) - len(unpaired), unpaired)
    split_patients(
        {subject: name for subject, name in patient_of.items() if subject not in unpaired},
        known,
        rule=rule,
        facts={job.subject: asdict(job.case.about) for job in jobs},
    )
    return known


def _write_pairing(pairing: Pairing, path: Path) -> None:
    if pairing.by_hand is None and path.is_file() and was_edited(path):
        raise BadPrep(
            f"{path}: was corrected by hand, and would now be drawn up anew. Give it again with "
            "--pairing, or remove it."
        )
    columns = [item.name for item in fields(Candidate)]
    rows = [[getattr(one, name) for name in columns] for one in pairing.candidates]
    write_table(path, columns, rows)


def _refuse_foreign(to: Path) -> None:
    ours = (to / "manifest.json").is_file() or (private_folder_of(to) / "work").is_dir()
    if to.exists() and not ours and (not to.is_dir() or any(to.iterdir())):
        raise BadPrep(
            f"{to}: holds something, but no data folder. Name a new folder, or an empty one."
        )


def _jobs(cases: Sequence[Case], to: Path, work: Path, config: PrepConfig) -> list[Job]:
    names = open_pseudonyms(to, config.ids)
    subjects = {case.subject: names.of(case.subject) for case in cases}
    if len(set(subjects.values())) != len(cases):
        raise BadPrep(
            f"{len(cases)} cases but {len(set(subjects.values()))} patients: one pair a patient is "
            "expected. Leave the others out."
        )
    store_ids(to, names, subjects)
    return [
        Job(case, subjects[case.subject], _key(case, config), stamps_of(case), to, work, config)
        for case in cases
    ]


def _key(case: Case, config: PrepConfig) -> str:
    """Identity of what is done to a case: settings and versions, not its files."""
    remarks = [case.remark, case.head_kind, case.fault]
    facts = [PREP, SCHEMA_VERSION, config.model_dump(), case.subject, remarks]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _done_before(job: Job, known: Mapping[str, Split]) -> CaseRecord | None:
    """The stored record, if its inputs are the same and what it promises is there and intact.

    Inputs that were touched, copied or moved count as the same while their contents are. Files in
    place must be those of the patient's split in splits.json, where it may have changed.
    """
    record = load_record(job.work / f"{job.subject}.json")
    if record is None or record.key != job.key:
        return None
    if record.stamps != job.stamps:
        if record.content != content_of(job.case):
            return None
        record = replace(record, stamps=job.stamps)
        save_record(record, job.work)
    record = replace(record, **asdict(job.case.about))
    if any(not _is_intact(job.data / name, sha) for name, sha in record.files.items()):
        return None
    if record.split is not None:
        return record if record.split == known.get(job.subject) else None
    at_work = all(at(job.work, job.subject).is_file() for at in (slices_at, volume_at))
    return record if record.status == "refused" or at_work else None


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _tell(record: CaseRecord, on_case: OnCase | None, *, strict: bool) -> None:
    if on_case is not None:
        on_case(record)
    if strict and record.status == "refused":
        raise RefusedCase(
            f"case {record.subject}: {record.reason.rstrip('.')}. Mend it, or leave out --strict "
            "to go on without it."
        )
