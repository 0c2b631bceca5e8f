"""Which patient trains, validates or tests: by a keyed hash of the id, cut once, then stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np

from data_prep.schema import Split
from data_prep.split_rules import RANKED, SPLITS, BadSplit, SplitRule
from data_prep.words import counted

__all__ = ["BadSplit", "Facts", "place", "sizes", "split_patients"]

SPLIT_KEY = "pct-split-1:"
"""Put before the id, so the order is ours and cannot follow hospital numbering."""

Facts = Mapping[str, Mapping[str, object]]
"""Case id -> what is known of it, by the names in `STRATA`; None or absent where it is not."""

_TRAIN_BELOW, _VAL_BELOW = 0.7, 0.9


def place(patient: str) -> float:
    """A patient's place in [0, 1): the first 64 bits of sha256("pct-split-1:" + patient id)."""
    return int(sha256((SPLIT_KEY + patient).encode()).hexdigest()[:16], 16) / 2.0**64


def sizes(num_patients: int) -> tuple[int, int, int]:
    """Patients in train, val, test: 70/20/10, halves to val and test, none empty.

    Test holds at least 2 from 10 patients on. Fewer than 3 patients raise `BadSplit`.

    >>> sizes(3), sizes(10), sizes(15), sizes(390)
    ((1, 1, 1), (6, 2, 2), (10, 3, 2), (273, 78, 39))
    """
    if num_patients < 3:
        raise BadSplit(
            f"{counted(num_patients, 'usable patient')}: expected at least 3, one each to train, "
            "validate and test. Add patients, or mend those refused."
        )
    val = max(1, (2 * num_patients + 5) // 10)
    test = max(2 if num_patients >= 10 else 1, (num_patients + 5) // 10)
    return num_patients - val - test, val, test


def split_patients(
    patient_of: Mapping[str, str],
    known: Mapping[str, Split] | None = None,
    *,
    rule: SplitRule = RANKED,
    facts: Facts | None = None,
) -> dict[str, Split]:
    """Give every case its split; `patient_of` maps a case id to its patient id.

    With `known` (the stored splits) those stay, also when absent from `patient_of`, and a new
    patient joins by the threshold of its `place`; else patients are ranked by `place` and cut
    exactly, within strata by largest remainder. Patients of whom a fact of the strata is not known
    are a stratum of their own. Raises `BadSplit` for one patient under two case ids, for fewer than
    3 patients, an empty split among `patient_of`, and facts that the rule needs and nobody has.
    """
    _refuse_shared_patients(patient_of)
    sizes(len(patient_of))
    ranked = sorted(patient_of, key=lambda case: place(patient_of[case]))
    told = {case: (facts or {}).get(case, {}) for case in ranked}
    _refuse_lacking_facts(told, rule)
    if known:
        new = {case: _joins(place(patient_of[case]), told[case], rule) for case in ranked}
        splits: dict[str, Split] = {**new, **known}
    else:
        splits = _cut(ranked, told, rule)
    _refuse_empty({case: splits[case] for case in patient_of})
    return dict(sorted(splits.items()))


def _cut(ranked: Sequence[str], told: Facts, rule: SplitRule) -> dict[str, Split]:
    if rule.kind == "kfold":
        if len(ranked) < rule.folds:
            raise BadSplit(
                f"{counted(len(ranked), 'usable patient')}: expected at least one a fold of "
                f"{rule.folds}. Take fewer folds, or mend the refused cases."
            )
        dealt = [case for group in _strata(ranked, told, rule) for case in group]
        return {case: _of_fold(number % rule.folds, rule) for number, case in enumerate(dealt)}
    if rule.kind == "site":
        rest = [case for case in ranked if told[case].get("site") != rule.site]
        num_val = max(1, (4 * len(rest) + 9) // 18)
        held: dict[str, Split] = {case: "test" for case in ranked if case not in set(rest)}
        return held | _cut_strata(_strata(rest, told, rule), num_val=num_val, num_test=0)
    _, num_val, num_test = sizes(len(ranked))
    return _cut_strata(_strata(ranked, told, rule), num_val=num_val, num_test=num_test)


def _strata(ranked: Sequence[str], told: Facts, rule: SplitRule) -> list[list[str]]:
    groups: dict[tuple[object, ...], list[str]] = {}
    for case in ranked:
        groups.setdefault(tuple(told[case].get(name) for name in rule.strata), []).append(case)
    return list(groups.values())


def _cut_strata(
    groups: Sequence[Sequence[str]], *, num_val: int, num_test: int
) -> dict[str, Split]:
    tests = _shares([len(group) for group in groups], num_test)
    left = [len(group) - test for group, test in zip(groups, tests, strict=True)]
    splits: dict[str, Split] = {}
    for group, rest, val, test in zip(groups, left, _shares(left, num_val), tests, strict=True):
        splits |= zip(group, np.repeat(SPLITS, (rest - val, val, test)).tolist(), strict=True)
    return splits


def _shares(counts: Sequence[int], total: int) -> list[int]:
    """`total` dealt in proportion to `counts`: whole parts first, then the largest remainders."""
    parts = [divmod(total * count, sum(counts)) for count in counts]
    short = total - sum(whole for whole, _ in parts)
    lucky = sorted(range(len(parts)), key=lambda i: -parts[i][1])[:short]
    return [whole + (i in lucky) for i, (whole, _) in enumerate(parts)]


def _of_fold(fold: int, rule: SplitRule) -> Split:
    """The split of a patient of `fold`, counted from 0."""
    ahead = (fold - (rule.fold - 1)) % rule.folds
    return "test" if ahead == 0 else "val" if ahead == 1 else "train"


def _joins(where: float, told: Mapping[str, object], rule: SplitRule) -> Split:
    if rule.kind == "kfold":
        return _of_fold(int(where * rule.folds), rule)
    if rule.kind == "site":
        where *= _VAL_BELOW  # train and val share what test leaves
        if told.get("site") == rule.site:
            return "test"
    if where < _TRAIN_BELOW:
        return "train"
    return "val" if where < _VAL_BELOW else "test"


def _refuse_shared_patients(patient_of: Mapping[str, str]) -> None:
    counts = Counter(patient_of.values())
    shared = sorted(case for case, patient in patient_of.items() if counts[patient] > 1)
    if shared:
        raise BadSplit(
            f"cases {', '.join(shared)} belong to one patient and could fall into two splits. "
            "Keep one case a patient."
        )


def _refuse_lacking_facts(told: Facts, rule: SplitRule) -> None:
    unknown = [name for name in rule.strata if all(one.get(name) is None for one in told.values())]
    if unknown:
        raise BadSplit(
            f"--strata: no case has a {' or a '.join(unknown)}. Leave it out, or add a table of "
            "facts with `--about`."
        )
    sites = {case: one.get("site") for case, one in told.items()}
    if rule.kind != "site":
        return
    if unsited := sorted(case for case, site in sites.items() if site is None):
        raise BadSplit(
            f"--split {rule.name}: the site of {counted(len(unsited), 'case')} is not known ("
            f"{', '.join(unsited[:5])}), so they might be of the one that tests. Name it in a "
            "table of facts with `--about`."
        )
    counts = Counter(sites.values())
    if not counts[rule.site] or len(sites) - counts[rule.site] < 2:
        found = ", ".join(f"{site} {count}" for site, count in sorted(counts.items(), key=str))
        raise BadSplit(
            f"--split {rule.name}: expected cases of this site and at least 2 of others, found "
            f"{found}. Name one of these."
        )


def _refuse_empty(splits: Mapping[str, Split]) -> None:
    missing = sorted(set(SPLITS) - set(splits.values()))
    if missing:
        raise BadSplit(
            f"no usable patient is left in {', '.join(missing)}: stored splits never move. "
            "Mend the refused cases, or prepare into a new folder to split anew."
        )
