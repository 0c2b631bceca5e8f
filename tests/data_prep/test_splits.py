import pytest

from data_prep.splits import BadSplit, place, sizes, split_patients


def named(count):
    return {f"c{i}": f"patient {i}" for i in range(count)}


@pytest.mark.parametrize(
    ("num", "expected"),
    [(3, (1, 1, 1)), (4, (2, 1, 1)), (9, (6, 2, 1)), (10, (6, 2, 2)), (15, (10, 3, 2)),
     (20, (14, 4, 2)), (100, (70, 20, 10)), (390, (273, 78, 39))],
)  # fmt: skip
def test_the_first_cut_is_exact(num, expected):
    assert sizes(num) == expected
    splits = list(split_patients(named(num)).values())
    assert tuple(splits.count(name) for name in ("train", "val", "test")) == expected


def test_places_come_from_a_keyed_hash_and_lie_in_the_unit_interval():
    assert place("patient 1") == pytest.approx(0.4552886261153845, abs=1e-15)
    places = [place(f"patient {i}") for i in range(500)]
    assert min(places) >= 0
    assert max(places) < 1
    assert sum(one < 0.7 for one in places) / 500 == pytest.approx(0.7, abs=0.06)


def test_a_split_depends_on_patients_and_not_on_their_order():
    patients = named(12)
    assert split_patients(patients) == split_patients(dict(reversed(patients.items())))


def test_known_patients_stay_and_a_new_one_joins_by_its_place():
    known = split_patients(named(10))
    grown = split_patients(named(14), known)
    assert {case: grown[case] for case in known} == known
    for number in range(10, 14):
        where = place(f"patient {number}")
        expected = "train" if where < 0.7 else "val" if where < 0.9 else "test"
        assert grown[f"c{number}"] == expected


def test_a_patient_who_is_away_keeps_the_place():
    known = split_patients(named(10))
    without = {case: patient for case, patient in named(10).items() if case != "c0"}
    assert split_patients(without, known) == known


def test_two_patients_are_too_few():
    with pytest.raises(BadSplit, match=r"2 usable patients: expected at least 3"):
        split_patients(named(2))


def test_a_patient_under_two_case_ids_is_refused():
    with pytest.raises(BadSplit, match=r"cases c1, d1 belong to one patient"):
        split_patients({**named(5), "d1": "patient 1"})


def test_no_split_may_run_empty():
    known = dict.fromkeys(named(5), "train")
    with pytest.raises(BadSplit, match=r"no usable patient is left in test, val"):
        split_patients(named(5), known)
