"""By which rule patients are divided: ranked, in folds, by site, or by hand; read and checked."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_prep.errors import PctError
from data_prep.parquet import read_json, write_json
from data_prep.schema import Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")
STRATA = ("site", "scanner", "field_t", "sequence", "diagnosis")
"""Facts of a case by which patients may be grouped, columns of cases.parquet."""


class BadSplit(PctError):
    """Patients that cannot be divided into training, validation and test."""


@dataclass(frozen=True)
class SplitRule:
    """How patients are divided the first time.

    `ranked`: 70/20/10. `kfold`: fold number `fold` (from 1) of `folds` tests, the next one
    validates, so each patient tests once and validates once over the folds. `site`: all of `site`
    tests, the others are cut 7 to 2. `file`: as `by_hand` says, a patient or case id and a word
    each. `strata` names facts of which every split holds its share.
    """

    kind: Literal["ranked", "kfold", "site", "file"] = "ranked"
    fold: int = 0
    folds: int = 0
    site: str = ""
    strata: tuple[str, ...] = ()
    by_hand: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """As on the command line: `kfold:1/5 --strata site`."""
        detail = {"kfold": f":{self.fold}/{self.folds}", "site": f":{self.site}"}
        by = f" --strata {','.join(self.strata)}" if self.strata else ""
        return self.kind + detail.get(self.kind, "") + by


RANKED = SplitRule()


def parse_rule(text: str, *, strata: str = "") -> SplitRule:
    """A rule as written on the command line; anything else raises `BadSplit`.

    >>> parse_rule("kfold:2/5", strata="site")
    SplitRule(kind='kfold', fold=2, folds=5, site='', strata=('site',), by_hand=())
    """
    by = tuple(name.strip() for name in strata.split(",") if name.strip())
    if unknown := [name for name in by if name not in STRATA]:
        raise BadSplit(f"--strata {', '.join(unknown)}: expected some of {', '.join(STRATA)}.")
    if text == "ranked":
        return SplitRule(strata=by)
    if found := re.fullmatch(r"kfold:(\d{1,4})/(\d{1,4})", text):
        fold, folds = map(int, found.groups())
        if folds >= 3 and 1 <= fold <= folds:
            return SplitRule("kfold", fold, folds, strata=by)
    if found := re.fullmatch(r"site:([\w.+/ -]{1,40})", text, re.ASCII):
        return SplitRule("site", site=found.group(1), strata=by)
    raise BadSplit(
        f"--split {text}: expected ranked, kfold:1/5 (fold 1 of 5; at least 3 folds) or site:A "
        "(all of site A tests)."
    )


def read_rule(path: Path) -> SplitRule:
    """A division made by hand: a JSON object, patient or case id -> train | val | test.

    Only its form is looked at here; `splits_by_hand` compares it with the collection.
    """
    try:
        # Pairs instead of a dict, which would keep the last of two entries of one name in silence.
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=tuple)
    except (OSError, ValueError) as error:
        raise BadSplit(f"{path}: not readable as JSON ({type(error).__name__}). {_FORM}") from error
    if not isinstance(content, tuple):
        raise BadSplit(f"{path}: holds no JSON object. {_FORM}")
    return SplitRule("file", by_hand=content)


def splits_by_hand(
    rule: SplitRule,
    patient_of: Mapping[str, str],
    known: Mapping[str, Split],
    *,
    unpaired: Collection[str] = (),
) -> dict[str, Split]:
    """The splits of a rule of kind `file` by case id; all that is wrong with it in one `BadSplit`.

    `patient_of` maps each case of the collection to its patient, `known` holds the stored splits.
    Names that are not the collection's are given by their number in the file: they may be ids.
    The cases `unpaired` have no pair and so no split, whether the file names them or not.
    """
    case_of = {patient: case for case, patient in patient_of.items()}
    case_of |= {case: case for case in (*known, *patient_of)}
    found: dict[str, object] = {}
    wrong = []
    for number, (name, word) in enumerate(rule.by_hand, start=1):
        case = case_of.get(name)
        if case is None:
            wrong.append(f"entry {number} names nobody in the collection")
        elif case in found:
            wrong.append(f"entry {number} names {case} again")
        elif word not in SPLITS:
            wrong.append(f"{case} is {json.dumps(word)[:20]}")
        elif known.get(case, word) != word:
            wrong.append(f"{case} is {word}, but {known[case]} in the stored splits.json")
        if case is not None:
            found.setdefault(case, word)
    found = {case: word for case, word in found.items() if case not in unpaired}
    wrong += _lacking(found, expected={*patient_of} - {*unpaired})
    if wrong:
        more = f"; and {len(wrong) - 20} more" if len(wrong) > 20 else ""
        raise BadSplit(f"--splits: {'; '.join(wrong[:20])}{more}. {_FORM}")
    return {case: split for split in SPLITS for case, word in found.items() if word == split}


def _lacking(found: Mapping[str, object], *, expected: set[str]) -> list[str]:
    missing = [f"{case} is missing" for case in sorted(expected - {*found})]
    return missing + [f"nobody is {split}" for split in SPLITS if split not in found.values()]


def keep_rule(path: Path, rule: SplitRule, *, drawn: bool) -> None:
    """Store the rule's name at `path`; where splits are `drawn`, refuse another than is stored.

    Splits that are older than this file are those of `ranked`.
    """
    name = rule.name
    if drawn:
        name = read_json(path, remedy="Remove it.") if path.is_file() else RANKED.name
    if name != rule.name:
        raise BadSplit(
            f"this folder's patients were divided by --split {name}, this run asks for "
            f"{rule.name} (file: by --splits FILE). Stored splits never move: ask for the same, "
            "or prepare into a new folder."
        )
    write_json(name, path)


_FORM = 'Expected {"ID": "train", ...}: each patient once as train, val or test, none empty.'
