"""Scores of many cases as one table."""

import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pct.metrics.names import METRIC_VERSION
from pct.scoring.bootstrap import mean_interval
from pct.scoring.cohort import (
    GIVEN,
    ONE_OF,
    MixedScores,
    cohort,
    metric_table,
    spell,
    spell_interval,
    terminal_table,
)
from pct.scoring.score import Score, table


def scores(**values: list[float]) -> pd.DataFrame:
    """A row a value: metric -> values of cases 0, 1, ..."""
    units = {"mae_head": "HU", "edge_bone": "HU/mm"}
    return table(
        [
            Score(
                "exp1", f"case-{case}", "val", "sha", metric, value, units.get(metric, "1"), "thr-1"
            )
            for metric, each in values.items()
            for case, value in enumerate(each)
        ]
    )


def test_n_mean_and_sd_have_their_closed_forms():
    row = cohort(scores(mae_head=[10.0, 20.0, 60.0])).iloc[0]
    assert (row["trial"], row["split"], row["metric"], row["unit"]) == (
        "exp1",
        "val",
        "mae_head",
        "HU",
    )
    assert row["n"] == 3
    assert row["mean"] == pytest.approx(30)
    assert row["sd"] == pytest.approx(math.sqrt((400 + 100 + 900) / 2))


def test_an_undefined_score_does_not_count():
    row = cohort(scores(dice_hu250=[0.5, np.nan, 0.7])).iloc[0]
    assert (row["n"], row["of"]) == (2, 3)
    assert row["mean"] == pytest.approx(0.6)
    nothing = cohort(scores(dice_hu250=[np.nan, np.nan])).iloc[0]
    assert (nothing["n"], nothing["of"]) == (0, 2)
    assert np.isnan([nothing["mean"], nothing["sd"], nothing["ci_low"]]).all()


def test_the_interval_is_that_of_the_mean_over_defined_cases():
    values = [10.0, np.nan, 20.0, 60.0, 35.0]
    row = cohort(scores(mae_head=values)).iloc[0]
    known = np.array(values)[~np.isnan(values)]
    assert (row["ci_low"], row["ci_high"]) == mean_interval(known)
    assert row["ci_low"] < row["mean"] < row["ci_high"]


def test_its_columns_are_there_without_a_row():
    assert {"n", "of", "mean", "sd", "ci_low", "ci_high"} <= set(cohort(scores(ssim=[1])[:0]))


def test_trials_splits_and_metrics_have_rows_of_their_own_in_the_order_given():
    one = scores(ssim=[0.5, 0.6], mae_head=[1.0, 2.0])
    whole = pd.concat([one, one.assign(trial="exp0", value=0.0), one.assign(split="test")])
    rows = cohort(whole)
    assert rows[["trial", "split", "metric"]].to_numpy().tolist() == [
        [trial, split, metric]
        for trial, split in (("exp1", "val"), ("exp0", "val"), ("exp1", "test"))
        for metric in ("ssim", "mae_head")
    ]
    assert rows["n"].tolist() == [2] * 6


@pytest.mark.parametrize("column", ONE_OF)
def test_scores_that_must_not_be_compared_are_refused(column):
    one = scores(ssim=[0.5])
    other = one.assign(**{column: METRIC_VERSION + 1 if column == "metric_version" else "other"})
    with pytest.raises(MixedScores, match=rf"scores mix {column}: .*, .*Score the models anew"):
        cohort(pd.concat([one, other]))


@pytest.mark.parametrize("column", ["geometry", "background"])
def test_a_pseudo_ct_of_another_program_may_stand_beside_ours(column):
    ours, other = scores(ssim=[0.5]), scores(ssim=[0.6]).assign(trial="nnsyn", **{column: GIVEN})
    assert len(cohort(pd.concat([ours, other]))) == 2


def test_digits_suit_the_unit_and_one_case_has_no_sd():
    assert spell(45.2345, 3.14, "HU") == "45.2 ± 3.1"
    assert spell(45.2345, 3.149, "HU/mm") == "45.23 ± 3.15"
    assert spell(0.98765, 0.0123, "1") == "0.9877 ± 0.0123"
    assert spell(0.98765, math.nan, "1") == "0.9877"
    assert spell(math.nan, math.nan, "1") == "-"
    assert spell_interval(42.04, 48.36, "HU") == "42.0 to 48.4"
    assert spell_interval(math.nan, math.nan, "HU") == "-"


def test_the_terminals_table_has_a_line_a_trial_and_a_column_a_metric():
    text = io.StringIO()
    one = scores(ssim=[0.5, 0.7], mae_head=[50.0, 60.0], mae_air=[1.0, 2.0])
    both = cohort(pd.concat([one, one.assign(trial="exp2")]))
    Console(file=text, width=120).print(terminal_table(both))
    head, *lines = [line.split() for line in text.getvalue().splitlines() if line.strip()]
    assert head == ["trial", "split", "n", "ssim", "mae_head,", "HU"]
    assert lines == [
        [trial, "val", "2", "0.6000", "±", "0.1414", "55.0", "±", "7.1"]
        for trial in ("exp1", "exp2")
    ]


def test_a_trial_without_some_metric_still_has_its_line():
    both = pd.concat([scores(ssim=[0.5], mae_head=[5.0]), scores(ssim=[0.6]).assign(trial="exp2")])
    text = io.StringIO()
    Console(file=text, width=120).print(terminal_table(cohort(both)))
    assert text.getvalue().splitlines()[-1].split() == ["exp2", "val", "1", "0.6000", "-"]


def test_the_long_table_has_a_line_a_metric_with_its_interval_and_counts_what_is_undefined():
    text = io.StringIO()
    one = scores(ssim=[0.5, np.nan, 0.7], mae_head=[50.0, 60.0, 70.0], bg_hu_000_010=[1.0] * 3)
    both = cohort(pd.concat([one, one.assign(trial="exp2")]))
    assert "bg_hu_000_010" in set(both["metric"]), "a point of a curve, for programs only"
    Console(file=text, width=120).print(metric_table(both))
    head, *lines = [re.split(r"\s\s+", line.strip()) for line in text.getvalue().splitlines()]
    assert head == ["trial", "split", "metric", "n", "mean ± SD", "95 % CI of the mean"]
    assert lines == [
        ["exp1", "val", "ssim", "2 of 3", "0.6000 ± 0.1414", "0.5000 to 0.7000"],
        ["mae_head, HU", "3", "60.0 ± 10.0", "50.0 to 70.0"],
        ["exp2", "val", "ssim", "2 of 3", "0.6000 ± 0.1414", "0.5000 to 0.7000"],
        ["mae_head, HU", "3", "60.0 ± 10.0", "50.0 to 70.0"],
    ]


def test_the_line_of_a_trial_says_where_a_score_is_undefined():
    text = io.StringIO()
    table = cohort(scores(ssim=[0.5, np.nan, 0.7], mae_head=[50.0, 60.0, 70.0]))
    Console(file=text, width=120).print(terminal_table(table))
    line = re.split(r"\s\s+", text.getvalue().splitlines()[-1].strip())
    assert line == ["exp1", "val", "3", "0.6000 ± 0.1414 (n = 2 of 3)", "60.0 ± 10.0"]
