"""Paired differences of two models on the same cases."""

import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from pct.scoring.bootstrap import RESAMPLES, mean_interval
from pct.scoring.cohort import MixedScores
from pct.scoring.pairs import CAUTION, difference_table, differences, signed_rank, spell_p
from tests.pct.test_cohort import scores

RNG = np.random.default_rng(8)
A = RNG.normal(100, 20, 12)
B = A - RNG.normal(5, 2, 12)


def both(a=A, b=B) -> pd.DataFrame:
    later = scores(mae_head=list(b))[::-1].assign(trial="exp2")  # in another order of cases
    return pd.concat([scores(mae_head=list(a)), later])


def test_n_difference_interval_and_p_are_those_of_the_paired_cases():
    (row,) = differences(both(), ["exp1", "exp2"]).to_dict("records")
    assert (row["a"], row["b"], row["metric"], row["unit"]) == ("exp1", "exp2", "mae_head", "HU")
    assert (row["n"], row["of"]) == (12, 12)
    assert row["difference"] == pytest.approx((B - A).mean())
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(mean_interval(B - A))
    assert row["p"] == stats.wilcoxon(B, A).pvalue < 0.01


def test_a_score_that_one_of_them_lacks_leaves_the_pair_out_and_is_counted():
    broken = np.where(np.arange(12) == 3, np.nan, B)
    (row,) = differences(both(b=broken), ["exp1", "exp2"]).to_dict("records")
    kept = np.arange(12) != 3
    assert (row["n"], row["of"]) == (11, 12)
    assert row["difference"] == pytest.approx((B - A)[kept].mean())


def test_every_later_model_is_compared_with_the_first():
    third = scores(mae_head=list(A + 1)).assign(trial="exp3")
    rows = differences(pd.concat([both(), third]), ["exp1", "exp2", "exp3"])
    assert rows[["a", "b"]].to_numpy().tolist() == [["exp1", "exp2"], ["exp1", "exp3"]]
    assert rows["difference"].iloc[1] == pytest.approx(1)


def test_mixed_scores_are_refused():
    mixed = both()
    mixed.loc[mixed["trial"] == "exp2", "split_sha"] = "other"
    with pytest.raises(MixedScores, match="scores mix split_sha: other and sha"):
        differences(mixed, ["exp1", "exp2"])


def test_equal_models_do_not_differ_and_no_pair_has_no_p():
    assert signed_rank(np.zeros(5)) == 1.0
    assert math.isnan(signed_rank(np.array([])))
    assert spell_p(0.0004) == "<0.001"
    assert spell_p(0.0312) == "0.031"
    assert spell_p(math.nan) == "-"


def test_the_table_names_what_is_subtracted_from_what_and_warns():
    text = io.StringIO()
    table = differences(both(), ["exp1", "exp2"])
    Console(file=text, width=120).print(difference_table(table))
    head, line = [each for each in text.getvalue().splitlines() if each.strip()]
    assert re.split(r"\s\s+", head.strip()) == [
        "B - A", "split", "metric", "n", "mean difference", "95 % CI", "Wilcoxon p",
    ]  # fmt: skip
    assert line.startswith("exp2 - exp1  val    mae_head, HU  12  -")
    assert "two weight files and not of two settings" in CAUTION


def test_the_interval_is_the_percentile_bootstrap_of_scipy():
    for values in (A, B[:5], np.array([1.0, 4.0])):
        reference = stats.bootstrap(
            (np.sort(values),), np.mean, method="percentile", n_resamples=RESAMPLES,
            rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        assert mean_interval(values) == pytest.approx((reference.low, reference.high), rel=1e-12)
        assert mean_interval(values[::-1].copy()) == mean_interval(values)
    assert all(map(math.isnan, mean_interval(np.array([3.0]))))


def test_the_interval_of_two_values_is_known():
    # Both draws alike in a quarter of the resamples each: the interval reaches to the values.
    assert mean_interval(np.array([1.0, 4.0])) == (1.0, 4.0)
