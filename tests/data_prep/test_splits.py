import random
from collections import Counter

import pytest

from data_prep.split_rules import SplitRule, parse_rule
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


def counts(splits):
    return tuple(list(splits.values()).count(name) for name in ("train", "val", "test"))


def at(site):
    return {case: {"site": site} for case in named(4)}


def random_facts(cases, seed):
    draw = random.Random(seed)
    return {
        case: {"site": draw.choice("AAAABBC"), "diagnosis": draw.choice(["glioma", "AVM", None])}
        for case in cases
    }


@pytest.mark.parametrize("seed", range(8))
def test_strata_keep_the_exact_cut_and_their_own_shares(seed):
    patients = named(random.Random(seed).randint(3, 120))
    facts = random_facts(patients, seed)
    for strata in (("site",), ("site", "diagnosis")):
        splits = split_patients(patients, rule=SplitRule(strata=strata), facts=facts)
        assert counts(splits) == sizes(len(patients))
        groups = {}
        for case, split in splits.items():
            groups.setdefault(tuple(facts[case][n] for n in strata), []).append(split)
        for group in groups.values():
            for split, total in zip(("val", "test"), sizes(len(patients))[1:], strict=True):
                expected = total * len(group) / len(patients)
                assert abs(group.count(split) - expected) < 2


def test_a_rare_stratum_gets_its_place_in_the_test_set():
    patients = named(30)
    facts = {case: {"site": "B" if i < 10 else "A"} for i, case in enumerate(patients)}
    splits = split_patients(patients, rule=parse_rule("ranked", strata="site"), facts=facts)
    tested = Counter(facts[case]["site"] for case, split in splits.items() if split == "test")
    assert tested == {"A": 2, "B": 1}


def test_one_stratum_of_all_is_no_stratum():
    facts = {case: {"site": "A"} for case in named(17)}
    same = split_patients(named(17), rule=SplitRule(strata=("site",)), facts=facts)
    assert same == split_patients(named(17))


@pytest.mark.parametrize(("num", "folds"), [(3, 3), (15, 5), (23, 5), (31, 4)])
@pytest.mark.parametrize("strata", ["", "site"])
def test_over_the_folds_each_patient_tests_once_and_validates_once(num, folds, strata):
    patients, facts = named(num), random_facts(named(num), num)
    told = [
        split_patients(patients, rule=parse_rule(f"kfold:{n}/{folds}", strata=strata), facts=facts)
        for n in range(1, folds + 1)
    ]
    for case in patients:
        assert Counter(one[case] for one in told)["test"] == 1
        assert Counter(one[case] for one in told)["val"] == 1
    assert {counts(one)[2] for one in told} <= {num // folds, -(-num // folds)}


def test_a_patient_who_joins_tests_in_one_fold_too():
    rules = [parse_rule(f"kfold:{n}/5") for n in range(1, 6)]
    first = [split_patients(named(20), rule=rule) for rule in rules]
    told = [split_patients(named(40), known, rule=r) for r, known in zip(rules, first, strict=True)]
    assert all(sum(one[case] == "test" for one in told) == 1 for case in named(40))
    assert all(known.items() <= one.items() for known, one in zip(first, told, strict=True))


def test_a_site_left_out_tests_whole_also_when_it_grows():
    facts = random_facts(named(60), 1)
    rule = parse_rule("site:B")
    first = split_patients(named(40), rule=rule, facts=facts)
    for splits in (first, split_patients(named(60), first, rule=rule, facts=facts)):
        tested = {case for case, split in splits.items() if split == "test"}
        assert tested == {case for case in splits if facts[case]["site"] == "B"}
        train, val, _ = counts(splits)
        assert val / (train + val) == pytest.approx(2 / 9, abs=0.08)


@pytest.mark.parametrize(
    ("facts", "rule", "message"),
    [
        ({}, "site:B", r"the site of 4 cases is not known \(c0, c1, c2, c3\)"),
        (at("A"), "site:B", r"at least 2 of others, found A 4\."),
        (at("B"), "site:B", r"at least 2 of others, found B 4\."),
        ({}, "kfold:1/5", r"4 usable patients: expected at least one a fold of 5"),
    ],
)
def test_a_rule_that_does_not_fit_says_what_it_found(facts, rule, message):
    with pytest.raises(BadSplit, match=message):
        split_patients(named(4), rule=parse_rule(rule), facts=facts)


def test_strata_that_nobody_has_are_refused():
    with pytest.raises(BadSplit, match=r"--strata: no case has a diagnosis\. Leave it out"):
        split_patients(named(4), rule=parse_rule("ranked", strata="diagnosis"), facts={})


@pytest.mark.parametrize(
    "text", ["kfold", "kfold:0/5", "kfold:6/5", "kfold:1/2", "site:", "site:a;b", "rank"]
)
def test_a_misspelt_rule_lists_what_there_is(text):
    with pytest.raises(BadSplit, match=r"expected ranked, kfold:1/5 .* or site:A"):
        parse_rule(text)
    with pytest.raises(BadSplit, match=r"--strata colour: expected some of site, scanner"):
        parse_rule("ranked", strata="site,colour")
