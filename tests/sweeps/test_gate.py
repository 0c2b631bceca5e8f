"""What the promotion gate does not let through."""

import numpy as np
import pandas as pd
import pytest

from sweeps.promotion.gate import ENOUGH, LEAK, MARGINS, Refused, gate, objections

GOOD = {
    "mae_head": 100.0, "edge_bone": 200.0, "ssim_masked": 0.8, "dice_hu250": 0.7, "mr_leak": 0.1,
}  # fmt: skip


def scores(*, cases: int = 3, **changes: object) -> pd.DataFrame:
    """Scores of `cases` cases around a level, each metric's mean as given."""
    facts = {"split_sha": "c0ffee", "metric_version": 1, "mask_backend": "threshold-1"}
    facts |= {"geometry": "train", "background": "predicted"}
    facts |= {key: value for key, value in changes.items() if key in facts}
    level = GOOD | {key: value for key, value in changes.items() if key in GOOD}
    return pd.DataFrame(
        [
            {
                "case": f"case-{case}",
                "metric": metric,
                "value": value * (1 + 0.1 * (case - 1)),
                **facts,
            }
            for metric, value in level.items()
            for case in range(cases)
        ]
    )


def test_the_first_model_needs_scores_and_nothing_more():
    assert objections(scores(cases=1), None) == []


def test_an_equal_model_passes():
    assert objections(scores(), scores()) == []


def test_a_model_without_some_score_is_refused():
    own = scores()
    own = own[own["metric"] != "edge_bone"]
    assert objections(own, None) == ["no 3D scores for edge_bone"]
    assert objections(own[:0], None) == [f"no 3D scores for {', '.join((*MARGINS, LEAK))}"]


@pytest.mark.parametrize("champion", [None, scores()])
def test_a_model_that_paints_the_mr_into_the_pseudo_ct_is_refused_even_as_the_first(champion):
    assert objections(scores(mr_leak=0.19), champion) == []
    (problem,) = objections(scores(mr_leak=0.23), champion)
    assert problem.startswith("mr_leak 0.23, at most 0.2: the pseudo-CT follows the MR's soft")
    assert objections(scores(mr_leak=np.nan), champion) == ["undefined 3D scores: mr_leak"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_undefined_score_is_refused_even_for_the_first_model(value):
    own = scores()
    own.loc[own["metric"] == "dice_hu250", "value"] = value
    assert objections(own, None) == ["undefined 3D scores: dice_hu250"]


@pytest.mark.parametrize(
    ("metric", "allowed", "too_much"),
    [
        ("mae_head", 104.9, 105.1),
        ("edge_bone", 209.9, 210.1),
        ("ssim_masked", 0.7901, 0.7899),
        ("dice_hu250", 0.6901, 0.6899),
    ],
)
def test_each_margin_holds_with_the_numbers_in_the_message(metric, allowed, too_much):
    assert objections(scores(**{metric: allowed}), scores()) == []
    (problem,) = objections(scores(**{metric: too_much}), scores())
    assert problem.startswith(f"{metric} {too_much:.4g} against the champion's {GOOD[metric]:.4g}")
    assert "limit" in problem


def test_a_better_model_passes_however_much_better():
    better = scores(mae_head=10.0, edge_bone=20.0, ssim_masked=0.99, dice_hu250=0.99)
    assert objections(better, scores()) == []
    assert len(objections(scores(), better)) == 4


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("split_sha", "decaf0"),
        ("metric_version", 2),
        ("mask_backend", "totalsegmentator-2.12"),
    ],
)
def test_scores_of_another_kind_are_not_compared(column, other):
    (problem,) = objections(scores(**{column: other}), scores())
    assert problem.startswith(f"{column} differs from the champion's: {str(other)[:12]} against ")


def test_too_few_cases_in_common_cannot_tell():
    (problem,) = objections(scores(cases=ENOUGH - 1), scores())
    assert problem == ("2 validation cases in common with the champion, at least 3 are needed")


def test_pairs_are_compared_case_by_case_and_not_mean_by_mean():
    own = scores(cases=4)
    unseen = (own["case"] == "case-3") & own["metric"].isin(MARGINS)
    own.loc[unseen, "value"] *= 100  # a case that the champion never saw
    assert objections(own, scores(cases=3)) == []


def test_a_refused_model_is_told_how_to_force_it():
    with pytest.raises(
        Refused, match=r"exp1 is not promoted: mae_head 120 against .*--force --note"
    ):
        gate("exp1", scores(mae_head=120.0), scores(), learnt_from=(), force=False, note="")
    with pytest.raises(Refused, match="--force needs a --note that says why"):
        gate("exp1", scores(mae_head=120.0), scores(), learnt_from=(), force=True, note="")
    with pytest.raises(Refused, match="not promoted"):
        gate("exp1", scores(mae_head=120.0), scores(), learnt_from=(), force=False, note="please")


def test_a_forced_model_passes_and_its_objections_are_kept():
    overridden = gate(
        "exp1", scores(mae_head=120.0), scores(), learnt_from=(), force=True, note="pilot"
    )
    assert overridden == ["mae_head 120 against the champion's 100 (limit 105)"]
    assert gate("exp1", scores(), scores(), learnt_from=(), force=True, note="pilot") == []


def test_a_champion_that_was_forced_with_undefined_scores_lets_nothing_through_unseen():
    champion = scores()
    champion.loc[champion["metric"] == "mae_head", "value"] = np.nan
    assert objections(scores(mae_head=1e6), champion)


def test_a_model_that_has_seen_its_judges_is_refused_by_name():
    seen = ["case-2", "elsewhere", "case-0"]
    expected = "was trained on 2 of its validation cases: case-0, case-2"
    assert objections(scores(), None, learnt_from=seen) == [expected]
    assert objections(scores(), None, learnt_from=["elsewhere"]) == []
    with pytest.raises(Refused, match=f"exp1 is not promoted: {expected}"):
        gate("exp1", scores(), scores(), learnt_from=seen, force=False, note="")
