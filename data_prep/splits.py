"""Which patient trains, validates or tests: a keyed hash of the id, cut once, then stored."""

import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np

from data_prep.errors import PctError
from data_prep.schema import Split

SPLIT_KEY = "pct-split-1:"
"""Put before the id, so the order is ours and cannot follow hospital numbering."""

_TRAIN_BELOW, _VAL_BELOW = 0.7, 0.9


class BadSplit(PctError):
    """Patients that cannot be divided into training, validation and test."""


def place(patient: str) -> float:
    """A patient's place in [0, 1): the first 64 bits of sha256("pct-split-1:" + patient id)."""
    return int(hashlib.sha256((SPLIT_KEY + patient).encode()).hexdigest()[:16], 16) / 2.0**64


def sizes(num_patients: int) -> tuple[int, int, int]:
    """Patients in train, val, test: 70/20/10, halves to val and test, none empty.

    Test holds at least 2 from 10 patients on. Fewer than 3 patients raise `BadSplit`.

    >>> sizes(3), sizes(10), sizes(15), sizes(390)
    ((1, 1, 1), (6, 2, 2), (10, 3, 2), (273, 78, 39))
    """
    if num_patients < 3:
        raise BadSplit(
            f"{num_patients} usable patients: expected at least 3, one each to train, validate and "
            "test. Add patients, or see the reasons in cases.parquet for those refused."
        )
    val = max(1, (2 * num_patients + 5) // 10)
    test = max(2 if num_patients >= 10 else 1, (num_patients + 5) // 10)
    return num_patients - val - test, val, test


def split_patients(
    patient_of: Mapping[str, str], known: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Give every case its split; `patient_of` maps a case id to its patient id.

    With `known` (the stored splits) those stay, also when absent from `patient_of`, and a new
    patient joins by the threshold of its `place`; else patients are ranked by `place` and cut
    exactly. Raises `BadSplit` for one patient under two case ids, and for fewer than 3 patients
    or an empty split among `patient_of`.
    """
    _refuse_shared_patients(patient_of)
    cut = sizes(len(patient_of))
    if known:
        new = {case: _joins(place(patient)) for case, patient in patient_of.items()}
        splits: dict[str, Split] = {**new, **known}
    else:
        ranked = sorted(patient_of, key=lambda case: place(patient_of[case]))
        names: tuple[Split, ...] = ("train", "val", "test")
        splits = dict(zip(ranked, np.repeat(names, cut).tolist(), strict=True))
    _refuse_empty({case: splits[case] for case in patient_of})
    return dict(sorted(splits.items()))


def _joins(where: float) -> Split:
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


def _refuse_empty(splits: Mapping[str, Split]) -> None:
    missing = sorted({"train", "val", "test"} - set(splits.values()))
    if missing:
        raise BadSplit(
            f"no usable patient is left in {', '.join(missing)}: stored splits never move. "
            "Mend the refused cases, or prepare into a new folder to split anew."
        )
