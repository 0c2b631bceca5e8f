"""Claims between settings: what a two-level bootstrap finds, and what it must not."""

import math

import numpy as np
import pytest
from scipy import stats

from pct.scoring.claims import MIN_SEEDS, aa_spread, compare, holm


def study(rng, *, seeds, patients, effect=0.0, model_sd=1.0, noise_sd=1.0):
    """Runs of two settings on the same patients; every model has an offset of its own."""
    easy = rng.normal(0, 3, patients)
    a, b = (
        easy + rng.normal(0, model_sd, (seeds, 1)) + rng.normal(0, noise_sd, (seeds, patients))
        for _ in range(2)
    )
    return a, b + effect


def share(found) -> float:
    return float(np.mean(found))


@pytest.mark.parametrize(("seeds", "patients"), [(3, 39), (3, 12), (5, 20)])
def test_under_the_null_one_study_in_twenty_finds_a_difference_and_wilcoxon_far_more(
    seeds, patients
):
    rng = np.random.default_rng(5)
    claims, wilcoxon = [], []
    for _ in range(300):
        a, b = study(rng, seeds=seeds, patients=patients)
        claims.append(compare(a, b, paired=False).p < 0.05)
        wilcoxon.append(stats.wilcoxon(a[0], b[0]).pvalue < 0.05)
    assert 0.01 <= share(claims) <= 0.08
    assert share(wilcoxon) > 0.4, "cases cannot see that training anew moves them all at once"


@pytest.mark.parametrize(("model_sd", "noise_sd"), [(0.0, 1.0), (0.2, 1.0), (1.0, 3.0)])
def test_small_offsets_of_models_make_it_cautious_and_never_rash(model_sd, noise_sd):
    rng = np.random.default_rng(7)
    spread = {"model_sd": model_sd, "noise_sd": noise_sd}
    studies = [study(rng, seeds=3, patients=12, **spread) for _ in range(300)]
    assert share([compare(a, b, paired=False).p < 0.05 for a, b in studies]) <= 0.07


def test_patients_who_answer_differently_are_no_seeds():
    """An effect that varies between patients only: seeds must not stand in for patients."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(300):
        a, b = study(rng, seeds=5, patients=8, model_sd=0.1, noise_sd=0.3)
        found.append(compare(a, b + rng.normal(0, 2, 8), paired=False).p < 0.05)
    assert 0.01 <= share(found) <= 0.08


def test_percentiles_of_three_seeds_would_find_too_much():
    """Why there is Student's t: the plain two-level percentile interval, on the same studies."""
    rng, draw = np.random.default_rng(5), np.random.default_rng(0)
    of_a, of_b, of_patients = (draw.multinomial(n, [1 / n] * n, size=2000) / n for n in (3, 3, 12))
    rash, ours = [], []
    for _ in range(300):
        a, b = study(rng, seeds=3, patients=12, noise_sd=0.3)
        gaps = ((of_b @ b - of_a @ a) * of_patients).sum(axis=1)
        low, high = np.percentile(gaps, [2.5, 97.5])
        rash.append(low > 0 or high < 0)
        ours.append(compare(a, b, paired=False).p < 0.05)
    assert share(rash) > 0.1
    assert share(ours) < 0.08


def test_a_real_effect_is_found_as_often_as_promised():
    rng = np.random.default_rng(2)
    found = [
        compare(*study(rng, seeds=5, patients=20, effect=3.0), paired=False).p < 0.05
        for _ in range(100)
    ]
    assert share(found) > 0.9
    effects = [compare(*study(rng, seeds=5, patients=20), paired=False) for _ in range(100)]
    detectable = float(np.median([effect.detectable for effect in effects]))
    found = [
        compare(*study(rng, seeds=5, patients=20, effect=detectable), paired=False).p < 0.05
        for _ in range(200)
    ]
    assert share(found) == pytest.approx(0.8, abs=0.1)


def test_the_interval_covers_the_true_effect():
    rng = np.random.default_rng(3)
    effects = [compare(*study(rng, seeds=4, patients=10, effect=2), paired=False)
               for _ in range(300)]  # fmt: skip
    assert 0.92 <= share([each.ci_low < 2 < each.ci_high for each in effects]) <= 0.99
    assert share([each.difference for each in effects]) == pytest.approx(2, abs=0.15)


def test_with_few_levels_it_is_students_t():
    """Patients alike, so that seeds alone vary: Welch's test of the seeds' means."""
    a = np.array([1.0, 2.0, 4.0])[:, None] + np.zeros(8)
    b = np.array([5.0, 7.0, 6.5])[:, None] + np.zeros(8)
    welch = stats.ttest_ind(b[:, 0], a[:, 0], equal_var=False)
    interval = welch.confidence_interval()
    effect = compare(a, b, paired=False)
    assert effect.p == pytest.approx(welch.pvalue, rel=0.05)
    assert (effect.ci_low, effect.ci_high) == pytest.approx(tuple(interval), rel=0.03)


def test_branches_of_one_trunk_cancel_what_their_trunk_did():
    """Paired by seed it is the one-sample test of differences; unpaired it sees nothing."""
    trunk = np.array([0.0, 10.0, -8.0])[:, None]
    a = trunk + np.zeros(8)
    b = trunk + np.array([1.0, 1.1, 0.9])[:, None] + np.zeros(8)
    single = stats.ttest_1samp((b - a)[:, 0], 0)
    assert compare(a, b, paired=True).p == pytest.approx(single.pvalue, rel=0.05)
    assert compare(a, b, paired=False).p > 0.5


def test_the_same_scores_give_the_same_answer_and_swapping_turns_the_sign():
    a, b = study(np.random.default_rng(1), seeds=3, patients=7, effect=1)
    there, back = compare(a, b, paired=False), compare(b, a, paired=False)
    assert there == compare(a, b, paired=False)
    assert back.difference == pytest.approx(-there.difference)
    assert back.ci_low == pytest.approx(-there.ci_high)
    assert back.p == pytest.approx(there.p)


def test_runs_that_are_one_run_differ_by_nothing():
    a = np.tile(np.arange(6.0), (3, 1))
    effect = compare(a, a, paired=True)
    assert (effect.difference, effect.ci_low, effect.ci_high, effect.p) == (0, 0, 0, 1)


def test_the_aa_spread_is_the_root_mean_square_over_pairs_of_seeds():
    runs = np.array([[1.0, 3.0], [2.0, 4.0], [5.0, 7.0]])  # means 2, 3, 6
    gaps = np.array([1.0, 4.0, 3.0])
    assert aa_spread(runs) == pytest.approx(math.sqrt((gaps**2).mean()))
    assert math.isnan(aa_spread(runs[:1], runs[1:2]))
    assert aa_spread(runs, runs + 100) == pytest.approx(aa_spread(runs))


def test_holms_p_values_are_those_of_his_paper():
    # Holm 1979: multiply by what is left, in order, and never let a later one be smaller.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_rate_of_any_false_finding():
    rng = np.random.default_rng(4)
    rates = [min(holm(list(rng.uniform(size=10)))) < 0.05 for _ in range(2000)]
    assert share(rates) == pytest.approx(0.05, abs=0.015)
    assert MIN_SEEDS == 3
