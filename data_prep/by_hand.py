"""A pairing.csv that a person has corrected: which series to take, checked all at once."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_prep.metadata import BadInput
from data_prep.series import Series, look_at
from data_prep.words import counted

BY_HAND = {True: "taken by hand", False: "left out by hand"}
"""Reasons of series on which a person decided otherwise than the rule."""

PAIR_TAKEN = "CT and T1 MR in one frame of reference"
HEAD_TAKEN = "outlines the head on the CT"
"""Reasons of series that the rule takes."""

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
_REMEDY = (
    "Expected the columns of pairing.csv with one CT and one MR taken a subject, and at most one "
    "structure set. Correct the file; a subject that is not to be used has none taken."
)


@dataclass(frozen=True)
class _Choice:
    line: int
    taken: bool


def read_choices(path: Path, listed: Mapping[str, Series]) -> dict[str, tuple[Series, ...]]:
    """Subject -> the series that a person took, for every subject that the file names.

    `path` is a pairing.csv of which the column `taken` was edited (True or False, yes or no); of
    the others only `series_uid` counts. `listed` holds the download's series by UID. An image is
    looked at whatever its description says. Unknown series, other words, and subjects without
    exactly one whole CT and one whole MR in one frame of reference raise `BadInput`, which names
    every line. A series listed twice is taken if one of its rows says so.
    """
    choices, mistakes = _rows(path, listed)
    taken: dict[str, dict[str, Series]] = defaultdict(dict)
    for uid, choice in choices.items():
        subject = taken[listed[uid].row.subject]
        if choice.taken:
            seen = look_at(listed[uid].row)
            subject[uid] = seen
            if seen.row.modality in ("CT", "MR") and seen.fault:
                mistakes.append(f"line {choice.line}: {seen.fault}")
    for found in taken.values():
        lines = ", ".join(str(choices[uid].line) for uid in found)
        mistakes += [f"lines {lines}: {one}" for one in _wrong(tuple(found.values()))]
    if mistakes:
        told = f"{counted(len(mistakes), 'mistake')}: {'; '.join(mistakes)}"
        raise BadInput(f"{path}: {told}. {_REMEDY}")
    return {subject: tuple(found.values()) for subject, found in taken.items()}


def was_edited(path: Path) -> bool:
    """Whether a person decided in a pairing.csv: a reason says so, or `taken` fits no reason."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            reason = row.get("reason") or ""
            by_rule = str(reason.startswith((PAIR_TAKEN, HEAD_TAKEN)))
            if reason.startswith(tuple(BY_HAND.values())) or row.get("taken") != by_rule:
                return True
    return False


def _rows(path: Path, listed: Mapping[str, Series]) -> tuple[dict[str, _Choice], list[str]]:
    """Series UID -> what the file says of it; and what is wrong with single lines."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file. {_REMEDY}")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if lacking := {"series_uid", "taken"} - set(reader.fieldnames or []):
            raise BadInput(f"{path}: has no column {' and '.join(sorted(lacking))}. {_REMEDY}")
        rows = [(row["series_uid"].strip(), (row["taken"] or "").strip()) for row in reader]
    choices: dict[str, _Choice] = {}
    mistakes = []
    for line, (uid, word) in enumerate(rows, start=2):
        if uid not in listed:
            mistakes.append(f"line {line}: the download lists no such series")
        elif word.lower() not in _WORDS:
            mistakes.append(f"line {line}: taken is {word!r}, expected True or False")
        elif uid not in choices or _WORDS[word.lower()]:
            choices[uid] = _Choice(line, _WORDS[word.lower()])
    return choices, mistakes


def _wrong(taken: tuple[Series, ...]) -> list[str]:
    """What keeps a subject's series from being a pair; nothing taken is no mistake."""
    kinds = [one.row.modality for one in taken]
    wrong = [
        f"{kinds.count(kind)} {kind} of one subject, expected 1"
        for kind in ("CT", "MR")
        if taken and kinds.count(kind) != 1
    ]
    if kinds.count("RTSTRUCT") > 1:
        wrong.append(f"{kinds.count('RTSTRUCT')} RTSTRUCT of one subject, expected 0 or 1")
    if odd := sorted(set(kinds) - {"CT", "MR", "RTSTRUCT"}):
        wrong.append(f"modality {', '.join(odd)} cannot be taken")
    frames = {one.frame_uid for one in taken if one.row.modality in ("CT", "MR") and not one.fault}
    if len(frames) > 1:
        wrong.append(
            "CT and MR are in different frames of reference; resample the MR onto the CT and "
            "prepare the pair as NIfTI"
        )
    return wrong
