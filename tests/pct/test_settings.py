"""From a table of scores to a claim: which runs, which patients, which metrics."""

import json

import numpy as np
import pandas as pd
import pytest

from pct.scoring.claims import compare
from pct.scoring.cohort import MixedScores
from pct.scoring.declared import FILE, BadDeclaration, Question, declare, declared_in
from pct.scoring.settings import (
    BadPatients,
    NoSuchRuns,
    ask,
    named,
    read_patients,
    same_trunk,
    weigh,
)
from tests.pct.test_cohort import scores

QUESTION = Question("exp1", "exp2", "mae_head")


def sweep(*, seeds=(1, 2, 3), patients=6, gain=20.0, metrics=("ssim", "mae_head")):
    """Scores of `exp1` and `exp2`, a trial a seed."""
    rng = np.random.default_rng(0)
    parts = []
    for name, level in (("exp1", 100.0), ("exp2", 100.0 - gain)):
        for seed in seeds:
            values = {metric: list(level + rng.normal(size=patients)) for metric in metrics}
            parts.append(scores(**values).assign(trial=f"{name}@s{seed}"))
    return pd.concat(parts, ignore_index=True)


def matrix(rows, setting, metric):
    own = rows[rows["trial"].str.startswith(f"{setting}@") & (rows["metric"] == metric)]
    return own.pivot(index="trial", columns="case", values="value").to_numpy()


@pytest.mark.parametrize(
    ("trial", "setting", "seed"),
    [
        ("exp1", "exp1", ""),
        ("exp1@s2", "exp1", "2"),
        ("exp3.keep@s10", "exp3.keep", "10"),
        ("exp1@40", "exp1", ""),  # a model folder: with the epoch of its weights
        ("exp3.keep@s1@40", "exp3.keep", "1"),
    ],
)
def test_a_trials_name_holds_its_setting_and_its_seed(trial, setting, seed):
    assert named(trial) == (setting, seed)


def test_only_branches_of_one_trial_share_a_trunk():
    assert same_trunk("exp3.keep", "exp3.drop")
    assert not same_trunk("exp1", "exp3.keep")
    assert not same_trunk("exp1", "exp1")
    assert not same_trunk("off.drop", "on.drop")


def test_the_metric_in_question_keeps_its_p_and_the_others_share_holms():
    rows = sweep(metrics=("ssim", "edge_bone", "mae_head"))
    first, *others = weigh(rows, QUESTION, declared=True)
    expected = compare(*(matrix(rows, s, "mae_head") for s in ("exp1", "exp2")), paired=False)
    assert (first.metric, first.unit, first.primary, first.role) == (
        "mae_head", "HU", True, "declared",
    )  # fmt: skip
    assert first.effect == expected
    assert first.effect.difference == pytest.approx(-20, abs=1)
    assert np.isnan(first.p_holm)
    assert [each.metric for each in others] == ["ssim", "edge_bone"]
    assert {each.role for each in others} == {"exploratory"}, "they were not declared"
    low, high = sorted(others, key=lambda each: each.effect.p)
    assert low.p_holm == pytest.approx(2 * low.effect.p)
    assert high.p_holm == pytest.approx(max(2 * low.effect.p, high.effect.p))


def test_what_was_not_declared_is_exploratory():
    assert {each.role for each in weigh(sweep(), QUESTION)} == {"exploratory"}


@pytest.mark.parametrize("few", [{"seeds": (1, 2)}, {"patients": 5}])
def test_below_three_seeds_or_six_patients_there_is_no_p(few):
    for each in weigh(sweep(**few), QUESTION, declared=True):
        assert not each.is_enough
        assert np.isnan([each.effect.p, each.effect.ci_low, each.effect.detectable]).all()
        assert np.isnan(each.p_holm)
        assert each.effect.difference == pytest.approx(-20, abs=1.5)
        assert each.aa_spread < 2, "the spread of seeds is shown all the same"


def test_cases_of_one_head_count_as_one_patient():
    rows = sweep(patients=12)
    heads = {f"case-{i}": f"head-{i % 2}" for i in range(12)}
    (first, *_) = weigh(rows, QUESTION, patient_of=heads)
    assert (first.patients, first.of) == (2, 2)
    assert not first.is_enough
    pairs = {f"case-{i}": f"head-{i // 2}" for i in range(12)}
    (first, *_) = weigh(rows, QUESTION, patient_of=pairs)
    order = sorted(pairs)  # columns of the matrix
    ours = [
        np.stack([m[:, [i for i, c in enumerate(order) if pairs[c] == h]].mean(1)
                  for h in sorted(set(pairs.values()))], 1)
        for m in (matrix(rows, s, "mae_head") for s in ("exp1", "exp2"))
    ]  # fmt: skip
    assert first.is_enough
    assert first.effect.p == pytest.approx(compare(*ours, paired=False).p)


def test_a_case_undefined_in_one_run_is_left_out_of_all_and_counted():
    rows = sweep(patients=7)
    broken = (rows["trial"] == "exp2@s2") & (rows["case"] == "case-3")
    rows.loc[broken & (rows["metric"] == "mae_head"), "value"] = np.nan
    found = {each.metric: each for each in weigh(rows, QUESTION)}
    assert (found["mae_head"].patients, found["mae_head"].of) == (6, 7)
    assert (found["ssim"].patients, found["ssim"].of) == (7, 7)
    kept = [np.delete(matrix(rows, s, "mae_head"), 3, 1) for s in ("exp1", "exp2")]
    assert found["mae_head"].effect == compare(*kept, paired=False)


def test_a_metric_that_no_patient_has_in_every_run_is_no_claim():
    rows = sweep()
    rows.loc[(rows["trial"] == "exp1@s1") & (rows["metric"] == "mae_head"), "value"] = np.nan
    (first, *_) = weigh(rows, QUESTION)
    assert (first.patients, first.is_enough) == (0, False)
    assert np.isnan([first.effect.difference, first.aa_spread]).all()


def test_branches_are_paired_by_seed_and_only_where_their_seeds_agree():
    rows = sweep()
    rows["trial"] = rows["trial"].str.replace("exp1@", "e.keep@").str.replace("exp2@", "e.drop@")
    question = Question("e.keep", "e.drop", "mae_head")
    assert weigh(rows, question)[0].paired
    rows["trial"] = rows["trial"].str.replace("e.drop@s3", "e.drop@s4")
    assert not weigh(rows, question)[0].paired
    assert not weigh(sweep(), QUESTION)[0].paired


def test_unknown_settings_metrics_and_doubled_seeds_are_named():
    rows = sweep()
    with pytest.raises(NoSuchRuns, match="no scores of a setting 'exp3': did you mean exp2"):
        weigh(rows, Question("exp1", "exp3", "ssim"))
    with pytest.raises(
        NoSuchRuns, match=r"no scores in 'mae_hed' of both .* did you mean mae_head"
    ):
        weigh(rows, Question("exp1", "exp2", "mae_hed"))
    again = rows[rows["trial"] == "exp1@s1"].assign(trial="exp1@s1@40")
    with pytest.raises(NoSuchRuns, match="exp1@s1 and exp1@s1@40 are one seed of exp1"):
        weigh(pd.concat([rows, again]), QUESTION)
    rows.loc[rows["trial"] == "exp1@s1", "metric_version"] = 99
    with pytest.raises(MixedScores, match="metric_version"):
        weigh(rows, QUESTION)


def test_a_table_of_patients_may_call_them_heads_or_donors(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("subject,base,flipped\na,colin,0\nb,chris,1\nc,colin,1\n")
    assert read_patients(path, ["a", "c"]) == {"a": "colin", "c": "colin"}
    with pytest.raises(BadPatients, match="does not say which patient x, y is"):
        read_patients(path, ["a", "x", "y"])
    path.write_text("name,head\na,colin\n")
    with pytest.raises(BadPatients, match="Expected a CSV with case or subject, and patient or"):
        read_patients(path, ["a"])
    with pytest.raises(BadPatients, match="cannot be read"):
        read_patients(tmp_path / "absent.csv", ["a"])


def begin(folder):
    """As the first epoch of a trial does."""
    (folder / "spool").mkdir()
    (folder / "spool" / "exp1@s1.jsonl").write_text("{}")


def test_a_question_is_declared_once_and_before_the_first_epoch(tmp_path, caplog):
    (tmp_path / "precision.json").touch()
    assert declare(tmp_path, QUESTION)
    assert declared_in(tmp_path) == QUESTION
    other = Question("exp1", "exp2", "ssim")
    assert not declare(tmp_path, other), "not even before the first epoch is it rewritten"
    begin(tmp_path)
    assert declare(tmp_path, QUESTION), "going on with the same sweep changes nothing"
    assert not declare(tmp_path, other)
    assert declared_in(tmp_path) == QUESTION
    assert "this claim came after another one or after the first epoch: exploratory" in caplog.text


@pytest.mark.parametrize("trace", [begin, lambda folder: (folder / "scores.parquet").touch()])
def test_a_sweep_that_has_begun_cannot_declare_anything(tmp_path, trace):
    trace(tmp_path)
    assert not declare(tmp_path, QUESTION)
    assert declared_in(tmp_path) is None
    assert not (tmp_path / FILE).exists()


def test_points_of_the_background_curve_are_no_secondary_metrics():
    rows = sweep(metrics=("ssim", "mae_head", "bg_hu_000_010", "bg_share_000_010"))
    assert [each.metric for each in weigh(rows, QUESTION)] == ["mae_head", "ssim"]
    asked = Question("exp1", "exp2", "bg_hu_000_010")
    assert weigh(rows, asked)[0].metric == "bg_hu_000_010", "unless one is in question"


def test_the_declared_question_is_asked_and_any_other_is_exploratory(tmp_path):
    sweep().to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(NoSuchRuns, match="no claim was declared there"):
        ask(tmp_path, [], on=None, split="val")
    asked = ask(tmp_path, ["exp1", "exp2"], on="mae_head", split="val")
    assert (asked.question, asked.declared) == (QUESTION, False)
    (tmp_path / FILE).write_text(json.dumps({"a": "exp1", "b": "exp2", "on": "mae_head"}))
    for words in ([], ["exp1", "exp2"]):
        assert ask(tmp_path, words, on=None, split="val").declared
    assert not ask(tmp_path, [], on="ssim", split="val").declared
    assert not ask(tmp_path, ["exp2", "exp1"], on=None, split="val").declared
    assert len(ask(tmp_path / "scores.parquet", [], on=None, split="val").scores) == 72


@pytest.mark.parametrize(
    ("words", "on", "split", "message"),
    [
        (["exp1"], "ssim", "val", "expected two settings"),
        (["exp1", "exp1"], "ssim", "val", "exp1 against itself"),
        (["exp1", "exp2"], "ssim", "test", "no scores of the test split, only val"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(tmp_path, words, on, split, message):
    sweep().to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(NoSuchRuns, match=message):
        ask(tmp_path, words, on=on, split=split)


def test_an_edited_declaration_is_refused(tmp_path):
    (tmp_path / FILE).write_text('{"a": "exp1"}')
    with pytest.raises(BadDeclaration, match=r"claim.json: cannot be read as a declared claim"):
        declared_in(tmp_path)
