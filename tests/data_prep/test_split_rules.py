"""Splits made by hand, and the rule of a folder: read, checked, kept."""

import json
from dataclasses import replace

import pytest

from data_prep import tasks
from data_prep.about import About
from data_prep.pipeline import prepare
from data_prep.records import PrepConfig
from data_prep.shards import list_cases, read_case_table, read_manifest
from data_prep.sources import find_cases
from data_prep.split_rules import parse_rule, read_rule, splits_by_hand
from data_prep.splits import BadSplit

BY_HAND = {"Secret-0": "test", "Secret-1": "val", "Secret-2": "train", "Secret-3": "train"}
PATIENTS = {f"p{i}": f"Secret-{i}" for i in range(4)}


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_rule(path)


def test_patients_may_be_named_by_their_own_ids_or_by_those_of_their_cases(tmp_path):
    mixed = {"p0" if name == "Secret-0" else name: word for name, word in BY_HAND.items()}
    for content in (BY_HAND, mixed):
        splits = splits_by_hand(written(tmp_path / "s.json", content), PATIENTS, {})
        assert splits == {"p0": "test", "p1": "val", "p2": "train", "p3": "train"}


def test_all_mistakes_are_told_at_once_and_no_patient_is_named(tmp_path):
    text = '{"Secret-9": "val", "Secret-1": "tset", "Secret-2": "train", "p2": "train"}'
    with pytest.raises(BadSplit) as caught:
        splits_by_hand(written(tmp_path / "s.json", text), PATIENTS, {"p2": "val"})
    told = str(caught.value)
    for mistake in (
        "entry 1 names nobody in the collection", 'p1 is "tset"', "entry 4 names p2 again",
        "p2 is train, but val in the stored splits.json", "p0 is missing", "p3 is missing",
        "nobody is val", "nobody is test",
    ):  # fmt: skip
        assert mistake in told
    assert "Secret" not in told


def test_a_name_twice_is_no_choice_of_the_last(tmp_path):
    text = json.dumps(BY_HAND)[:-1] + ', "Secret-0": "train"}'
    with pytest.raises(BadSplit, match="entry 5 names p0 again"):
        splits_by_hand(written(tmp_path / "s.json", text), PATIENTS, {})


@pytest.mark.parametrize("text", ["[]", '["Secret-0"]', "3", "{", ""])
def test_a_file_of_another_form_says_what_is_expected(tmp_path, text):
    with pytest.raises(BadSplit, match=r'Expected \{"ID": "train", \.\.\.\}'):
        written(tmp_path / "s.json", text)
    with pytest.raises(BadSplit, match="FileNotFoundError"):
        read_rule(tmp_path / "absent.json")


def test_a_folder_split_by_hand_hides_the_patients_and_asks_for_the_file_again(
    collection, tmp_path
):
    rule = written(tmp_path / "s.json", dict(list(BY_HAND.items())[:3]))
    config = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", split=rule)
    data, cases = tmp_path / "data", find_cases("synthrad", collection)[:3]
    assert prepare(cases, data, config).num_cases == {"train": 1, "val": 1, "test": 1}
    assert read_manifest(data).settings["split"] == "file"
    assert not [p for p in data.rglob("*") if p.is_file() and b"Secret" in p.read_bytes()]
    ids = (tmp_path / "data.private" / "ids.csv").read_text()
    assert f"{list_cases(data, 'test')[0]},Secret-0" in ids
    for other in ("ranked", "kfold:1/5"):
        with pytest.raises(BadSplit, match=rf"divided by --split file, this run asks for {other}"):
            prepare(cases, data, config.model_copy(update={"split": parse_rule(other)}))
    assert prepare(cases, data, config).digest == read_manifest(data).digest


def test_another_rule_does_not_make_the_cases_stale_but_is_refused(data, collection, config):
    other = config.model_copy(update={"split": parse_rule("kfold:1/3")})
    assert other.model_dump() == config.model_dump()
    with pytest.raises(BadSplit, match=r"ranked, this run asks for kfold:1/3 .* or prep"):
        prepare(find_cases("synthrad", collection), data, other)
    assert read_case_table(data).num_rows == 4, "a refused run leaves the folder as it was"


@pytest.mark.parametrize(
    ("rule", "strata", "message"),
    [
        ("site:Z", "", r"expected cases of this site and at least 2 of others, found A 2, B 2\."),
        ("ranked", "diagnosis", r"no case has a diagnosis"),
        ("kfold:1/5", "", r"4 usable patients: expected at least one a fold of 5"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_before_any_case_is_prepared(
    collection, tmp_path, monkeypatch, config, rule, strata, message
):
    monkeypatch.setattr(tasks, "prepare_case", None)
    cases = [
        replace(case, about=About(site="AB"[number % 2]))
        for number, case in enumerate(find_cases("synthrad", collection))
    ]
    rule = parse_rule(rule, strata=strata)
    with pytest.raises(BadSplit, match=message):
        prepare(cases, tmp_path / "d", config.model_copy(update={"split": rule}))
    assert not (tmp_path / "d").exists()


def test_too_few_patients_with_a_pair_are_told_before_any_is_prepared(
    collection, tmp_path, monkeypatch, config
):
    monkeypatch.setattr(tasks, "prepare_case", None)
    *cases, last = find_cases("synthrad", collection)[:3]
    with pytest.raises(BadSplit, match=r"2 usable of 3 cases, .* Refused: Secret-2: no ct\. Mend"):
        prepare([*cases, replace(last, fault="no ct")], tmp_path / "d", config)
    with pytest.raises(BadSplit, match=r"2 usable of 2 cases, .* Refused: none\. Mend"):
        prepare(cases, tmp_path / "d", config)
