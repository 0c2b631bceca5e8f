"""Which CT belongs to which T1 MR in a TCIA download: by frame of reference, with reasons."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_prep.about import About
from data_prep.by_hand import BY_HAND, HEAD_TAKEN, PAIR_TAKEN, read_choices
from data_prep.metadata import BadInput, SeriesRow, read_metadata
from data_prep.registration import BadRegistration, Move, between, is_still, read_moves, words
from data_prep.rtstruct import find_head
from data_prep.series import Series, is_t1, look_at
from data_prep.words import counted


@dataclass(frozen=True)
class Case:
    """One patient: where the images lie. DICOM: a folder a series; NIfTI or MetaImage: a file.

    With a `fault` the patient has no usable pair and is refused; images may then be None.
    """

    subject: str
    """The source's own name of the patient."""
    kind: Literal["dicom", "nifti"]
    mr: Path | None = None
    ct: Path | None = None
    head: Path | None = None
    """An outline of the head on the CT, where the source brings one."""
    head_kind: Literal["file", "rtstruct"] = "file"
    remark: str = ""
    """What speaks against the pair though it was taken; the case is flagged with it. No names."""
    about: About = field(default_factory=About)
    fault: str = ""
    """Why there is no pair to prepare. No names, no paths."""


@dataclass(frozen=True)
class Candidate:
    """One series of the collection, and why it was taken or not."""

    subject: str
    series_uid: str
    modality: str
    description: str
    taken: bool
    reason: str


@dataclass(frozen=True)
class Pairing:
    """Subjects of a TCIA download in order, those without a pair too, and every series seen."""

    cases: tuple[Case, ...]
    candidates: tuple[Candidate, ...]
    by_hand: Path | None = None
    """The corrected pairing.csv that it follows."""

    @property
    def num_left_out(self) -> int:
        """Subjects of whom the corrected pairing.csv has none taken."""
        return len({one.subject for one in self.candidates} - {""}) - len(self.cases)


@dataclass
class _Verdicts:
    """By series UID: what was decided, and why."""

    reasons: dict[str, str]
    taken: set[str] = field(default_factory=set)

    def take(self, series: Sequence[Series], reason: str) -> None:
        self.taken |= {one.row.series_uid for one in series}
        self.explain(series, reason)

    def explain(self, series: Iterable[Series], reason: str) -> None:
        self.reasons |= {one.row.series_uid: reason for one in series}


def find_pairs(collection: Path, by_hand: Path | None = None) -> Pairing:
    """One CT and one T1 MR a subject that share a frame of reference.

    The frame is read from one header of each series. Where several pairs are possible, the one
    with most images is taken (then the smaller series UIDs); the reasons say so. Registration
    objects are read as a check and never applied: one that moves the pair's frame, or that cannot
    be read, becomes the case's remark. A structure set on that frame with a head in it becomes the
    case's head. `by_hand` is a corrected pairing.csv, which decides for the subjects that it
    names; one with none taken is left out. Any other subject without a pair is a case with a
    `fault`; a collection without any pair raises `BadInput`.
    """
    rows = read_metadata(collection)
    listed: dict[str, Series] = {}
    for row in rows:
        if row.series_uid not in listed:
            listed[row.series_uid] = _glance(row)
    verdicts = _Verdicts({uid: series.fault for uid, series in listed.items()})
    subjects: dict[str, list[Series]] = {row.subject: [] for row in rows}
    for series in listed.values():
        subjects[series.row.subject].append(series)
    chosen = {name: _choose(found, verdicts) for name, found in subjects.items()}
    choices = {} if by_hand is None else read_choices(by_hand, listed)
    ruled = dict(chosen)
    for name, taken in choices.items():
        chosen[name] = _overrule(subjects[name], taken, verdicts)
    # Of whom the rule had no pair either, a person who takes none has said nothing new.
    left_out = {""} | {name for name, taken in choices.items() if not taken and ruled[name]}
    cases = tuple(
        _case(pair, subjects[name], verdicts)
        if pair
        else _without_pair(name, subjects[name], verdicts)
        for name, pair in sorted(chosen.items())
        if name not in left_out
    )
    candidates = _candidates(rows, verdicts)
    if all(case.fault for case in cases):
        reasons = Counter(candidate.reason for candidate in candidates)
        told = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        raise BadInput(
            f"{collection}: no pair among {len(candidates)} series ({told or 'empty table'}). "
            "Expected a CT and a T1 MR of one subject with the same FrameOfReferenceUID."
        )
    return Pairing(cases, candidates, by_hand)


def _glance(row: SeriesRow) -> Series:
    """Look at a series that may be of use; say of any other why it is none."""
    if row.subject and row.modality not in ("CT", "MR", "REG", "RTSTRUCT"):
        return Series(row, "neither CT nor MR")
    if row.subject and row.modality == "MR" and not is_t1(row.description):
        return Series(row, "its description does not say T1")
    return look_at(row)


def _choose(found: Sequence[Series], verdicts: _Verdicts) -> tuple[Series, ...]:
    """Take the subject's best pair and its head; give the others their reasons."""
    mrs, cts = _usable(found, "MR"), _usable(found, "CT")
    both = [(mr, ct) for mr in mrs for ct in cts if mr.frame_uid == ct.frame_uid]
    verdicts.explain(mrs, "no CT in its frame of reference")
    verdicts.explain(cts, "no T1 MR in its frame of reference")
    _explain_moved(mrs, cts, found, verdicts)
    if not both:
        verdicts.explain(_usable(found, "RTSTRUCT"), "its subject has no pair")
        return ()
    for pair in both:
        verdicts.explain(pair, "another pair of this subject has more images")
    mr, ct = min(both, key=_rank)
    verdicts.take((mr, ct), PAIR_TAKEN)
    return (mr, ct, *_choose_head(found, ct.frame_uid, verdicts))


def _usable(found: Iterable[Series], modality: str) -> list[Series]:
    return [one for one in found if one.row.modality == modality and not one.fault]


def _rank(pair: tuple[Series, Series]) -> tuple[int, str, str]:
    mr, ct = pair
    return -(len(mr.files) + len(ct.files)), mr.row.series_uid, ct.row.series_uid


def _choose_head(
    found: Sequence[Series], frame_uid: str, verdicts: _Verdicts
) -> tuple[Series, ...]:
    """The subject's first structure set with a head on that frame, if there is one."""
    sets = sorted(_usable(found, "RTSTRUCT"), key=lambda one: one.row.series_uid)
    verdicts.explain(sets, "outlines no head on the CT's frame of reference")
    with_head = [one for one in sets if _head_file(one, frame_uid)]
    verdicts.explain(with_head, "another structure set's head was taken")
    verdicts.take(with_head[:1], HEAD_TAKEN)
    return tuple(with_head[:1])


def _head_file(series: Series, frame_uid: str) -> Path | None:
    for file in series.files:
        head = find_head(file)
        if head is not None and head.frame_uid == frame_uid:
            return file
    return None


def _overrule(
    found: Sequence[Series], taken: tuple[Series, ...], verdicts: _Verdicts
) -> tuple[Series, ...]:
    """Put a person's choice in the place of the rule's; the reasons tell where they differ."""
    uids = {one.row.series_uid for one in taken}
    for series in found:
        uid = series.row.series_uid
        if (uid in uids) != (uid in verdicts.taken):
            verdicts.reasons[uid] = BY_HAND[uid in uids]
    verdicts.taken -= {one.row.series_uid for one in found}
    verdicts.taken |= uids
    order = ("MR", "CT", "RTSTRUCT")
    return tuple(sorted(taken, key=lambda one: order.index(one.row.modality)))


def _case(pair: tuple[Series, ...], found: Sequence[Series], verdicts: _Verdicts) -> Case:
    mr, ct, *sets = pair
    head = _head_file(sets[0], ct.frame_uid) if sets else None
    if sets and head is None:
        raise BadInput(
            f"metadata.csv, line {sets[0].row.line}: this structure set was taken by hand, but "
            "outlines no head on the CT's frame of reference. Leave it out, or take another."
        )
    remark = "; ".join(_objections(ct.frame_uid, found))
    if remark:
        for one in (mr, ct):
            verdicts.reasons[one.row.series_uid] += f"; {remark}"
    return Case(
        mr.row.subject,
        "dicom",
        mr=mr.row.folder,
        ct=ct.row.folder,
        head=head,
        head_kind="rtstruct" if head else "file",
        remark=remark,
        about=mr.about,
    )


def _without_pair(subject: str, found: Sequence[Series], verdicts: _Verdicts) -> Case:
    """A subject's case without images: what is wrong with its CTs and its MRs."""
    if not found:
        why = "no usable pair (its series are listed under another subject)"
        return Case(subject, "dicom", fault=why)
    told = []
    for kind in ("CT", "MR"):
        uids = [one.row.series_uid for one in found if one.row.modality == kind]
        counts = Counter(verdicts.reasons[uid] for uid in uids)
        told += [f"{kind}: {reason}" if count == 1 else f"{count} {kind}: {reason}"
                 for reason, count in counts.most_common()] or [f"no {kind} listed"]  # fmt: skip
    return Case(subject, "dicom", fault=f"no usable pair ({'; '.join(told)})")


def _objections(frame_uid: str, found: Sequence[Series]) -> list[str]:
    """What the subject's registration objects say against MR and CT lying in one frame."""
    objections = []
    for _, moves, fault in _registrations(found):
        if fault:
            objections.append(f"a registration object is no check: {fault}")
        objections += [
            f"a registration object moves their frame by {words(move.matrix)}"
            for move in moves
            if move.frame_uid == frame_uid and not is_still(move.matrix)
        ]
    return objections


def _explain_moved(
    mrs: Sequence[Series], cts: Sequence[Series], found: Sequence[Series], verdicts: _Verdicts
) -> None:
    """Say of an MR on another frame how far a registration object moves it to a CT's."""
    for registration, moves, fault in _registrations(found):
        checked = f"read as a check of {counted(len(moves), 'frame')}"
        told = f"is no check: {fault}" if fault else checked
        verdicts.explain([registration], told)
        for mr in mrs:
            matrices = [between(moves, mr.frame_uid, ct.frame_uid) for ct in cts]
            if (matrix := next((one for one in matrices if one is not None), None)) is not None:
                moved = f"a registration object moves it by {words(matrix)}: resample it first"
                verdicts.explain([mr], f"another frame of reference; {moved}")


def _registrations(found: Sequence[Series]) -> list[tuple[Series, tuple[Move, ...], str]]:
    """Every registration object: its series, its moves, why it has none."""
    read: list[tuple[Series, tuple[Move, ...], str]] = []
    for series in _usable(found, "REG"):
        for file in series.files:
            try:
                read.append((series, read_moves(file), ""))
            except BadRegistration as error:
                read.append((series, (), str(error)))
    return read


def _candidates(rows: Sequence[SeriesRow], verdicts: _Verdicts) -> tuple[Candidate, ...]:
    """A row each, ordered by subject; a series listed again is not taken again."""
    told: set[str] = set()
    candidates = []
    for row in sorted(rows, key=lambda one: one.subject):
        uid, again = row.series_uid, row.series_uid in told
        told.add(uid)
        taken, reason = uid in verdicts.taken and not again, verdicts.reasons[uid]
        candidates.append(
            Candidate(
                row.subject, uid, row.modality, row.description, taken=taken,
                reason="listed before" if again else reason,
            )
        )  # fmt: skip
    return tuple(candidates)
