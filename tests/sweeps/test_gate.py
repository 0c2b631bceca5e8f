"""What the promotion gate does not let through."""

import numpy as np
import pandas as pd
import pytest

from sweeps.promotion.gate import ENOUGH, LEAK, MARGINS, Cases, Refused, gate, objections

GOOD = {
    "mae_head": 100.0, "edge_bone": 200.0, "ssim_masked": 0.8, "dice_hu250": 0.7, "mr_leak": 0.1,
}  # fmt: skip


def scores(*, cases: int = 3, **changes: object) -> pd.DataFrame:
    """Scores of `cases` cases around a level, each metric's mean over three as given."""
    facts = {"split_sha": "c0ffee", "metric_version": 1, "mask_backend": "threshold-1"}
    facts |= {"geometry": "train", "background": "predicted"}
    facts |= {key: value for key, value in changes.items() if key in facts}
    level = GOOD | {key: value for key, value in changes.items() if key not in facts}
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


def cases(*, num: int = 3, trained_on=(), test=("case-t",), id_keys=("keep",)) -> Cases:
    val = [f"case-{case}" for case in range(num)]
    return Cases(trained_on=trained_on, val=val, test=test, id_key="keep", id_keys=id_keys)


def against(own: pd.DataFrame, champion: pd.DataFrame | None, num: int = 3) -> list[str]:
    return objections(own, champion, cases=cases(num=num))


def test_the_first_model_needs_scores_and_nothing_more():
    assert against(scores(cases=1), None, num=1) == []


def test_an_equal_model_passes():
    assert against(scores(), scores()) == []


def test_a_model_without_some_score_is_refused_and_the_cases_are_named():
    own = scores()
    gone = own[own["metric"] != "edge_bone"]
    (problem,) = against(gone, None)
    assert problem == (
        "no 3D scores for edge_bone on 3 of 3 validation cases: case-0, case-1, case-2"
    )
    (problem,) = against(own[own["case"] != "case-1"], None)
    assert problem == (
        f"no 3D scores for {', '.join((*MARGINS, LEAK))} on 1 of 3 validation cases: case-1"
    )
    (problem,) = against(own[:0], scores())
    assert problem.endswith("on 3 of 3 validation cases: case-0, case-1, case-2")


@pytest.mark.parametrize("champion", [None, scores()])
def test_a_model_that_paints_the_mr_into_the_pseudo_ct_is_refused_even_as_the_first(champion):
    assert against(scores(mr_leak=0.19), champion) == []
    problem = against(scores(mr_leak=0.23), champion)[0]
    assert problem.startswith("mr_leak 0.23, at most 0.20: the pseudo-CT follows the MR's soft")
    (problem,) = against(scores(mr_leak=np.nan), champion)
    assert problem.startswith("undefined 3D scores for mr_leak on 3 of 3 validation cases")


@pytest.mark.parametrize(
    ("champions", "allowed", "too_much"), [(0.02, 0.119, 0.13), (-0.3, 0.099, 0.11)]
)
def test_a_model_may_leak_little_more_than_the_champion_but_as_much_as_a_ct(
    champions, allowed, too_much
):
    """A blurred champion follows the MR less than the CT does: nobody need be as blurred."""
    assert against(scores(mr_leak=allowed), scores(mr_leak=champions)) == []
    (problem,) = against(scores(mr_leak=too_much), scores(mr_leak=champions))
    limit = max(champions, 0) + 0.1
    assert problem == (
        f"mr_leak {too_much:.2f} against the champion's {champions:.2f}, at most {limit:.2f}"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_undefined_score_of_one_case_is_refused_even_for_the_first_model(value):
    own = scores()
    own.loc[(own["metric"] == "dice_hu250") & (own["case"] == "case-2"), "value"] = value
    expected = "undefined 3D scores for dice_hu250 on 1 of 3 validation cases: case-2"
    assert against(own, None) == [expected]
    assert against(own, scores()) == [expected]


@pytest.mark.parametrize(
    ("metric", "allowed", "too_much", "words"),
    [
        ("mae_head", 104.9, 105.1, "105.1 against the champion's 100.0, at most 105.0"),
        ("mae_head", 104.9, 105.01, "105.01 against the champion's 100.0, at most 105.00"),
        ("edge_bone", 209.9, 210.1, "210.10 against the champion's 200.00, at most 210.00"),
        ("ssim_masked", 0.7901, 0.7899, "0.7899 against the champion's 0.8000, at least 0.7900"),
        ("dice_hu250", 0.6901, 0.6899, "0.6899 against the champion's 0.7000, at least 0.6900"),
    ],
)
def test_each_margin_holds_with_the_numbers_in_the_message(metric, allowed, too_much, words):
    assert against(scores(**{metric: allowed}), scores()) == []
    assert against(scores(**{metric: too_much}), scores()) == [f"{metric} {words}"]


def test_the_segmented_skull_counts_where_both_have_it():
    champion = scores(dice_skull=0.9)
    assert against(scores(), champion) == []
    assert against(scores(dice_skull=0.1), scores()) == []
    assert against(scores(dice_skull=0.8901), champion) == []
    (problem,) = against(scores(dice_skull=0.8899), champion)
    assert problem == "dice_skull 0.8899 against the champion's 0.9000, at least 0.8900"
    (problem,) = against(scores(dice_skull=np.nan), champion)
    assert problem.startswith("undefined 3D scores for dice_skull on 3 of 3")
    champion.loc[(champion["metric"] == "dice_skull") & (champion["case"] == "case-0"), "value"] = (
        np.nan
    )
    assert against(scores(dice_skull=0.1), champion) == [], "two cases cannot tell"


def test_a_better_model_passes_however_much_better_and_all_that_is_worse_is_told():
    better = scores(mae_head=10.0, edge_bone=20.0, ssim_masked=0.99, dice_hu250=0.99, mr_leak=-0.1)
    assert against(better, scores()) == []
    assert len(against(scores(mr_leak=0.12), better)) == 5


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("split_sha", "decaf0"),
        ("metric_version", 2),
        ("mask_backend", "totalsegmentator-2.12"),
        ("geometry", "native_tiles"),
        ("background", "air"),
    ],
)
def test_scores_of_another_kind_are_not_compared(column, other):
    (problem,) = against(scores(**{column: other}, mae_head=1e6), scores())
    assert problem.startswith(f"{column} differs from the champion's: {str(other)[:12]} against ")


def test_all_objections_are_told_at_once():
    own = scores(split_sha="decaf0", background="air", mr_leak=0.3)
    seen = cases(trained_on=["case-2", "case-t"])
    problems = objections(own[own["case"] != "case-0"], scores(), cases=seen)
    assert [problem.split()[0] for problem in problems] == [
        "was", "was", "no", "mr_leak", "split_sha", "background",
    ]  # fmt: skip


def test_too_few_cases_in_common_cannot_tell():
    few = ENOUGH - 1
    (problem,) = against(scores(cases=few), scores(), num=few)
    assert problem == (
        "2 validation cases in common with the champion, at least 3 are needed to tell which is "
        "better"
    )


def test_pairs_are_compared_case_by_case_and_not_mean_by_mean():
    own = scores(cases=4)
    unseen = (own["case"] == "case-3") & own["metric"].isin([*MARGINS])
    own.loc[unseen, "value"] *= 100  # a case that the champion never saw
    assert against(own, scores(cases=3), num=4) == []


def test_a_refused_model_is_told_how_to_force_it():
    with pytest.raises(
        Refused, match=r"(?s)exp1 is not promoted:\n  - worse\n  - leaks\n.*--force --note WHY"
    ):
        gate("exp1", ["worse", "leaks"], force=False, note="")
    with pytest.raises(Refused, match="--force needs a --note that says why"):
        gate("exp1", [], force=True, note="")
    with pytest.raises(Refused, match="not promoted"):
        gate("exp1", ["worse"], force=False, note="please")


def test_a_forced_model_passes_and_its_objections_are_kept():
    assert gate("exp1", ["worse"], force=True, note="pilot") == ["worse"]
    assert gate("exp1", [], force=True, note="pilot") == []


def test_a_champion_that_was_forced_with_undefined_scores_lets_nothing_through_unseen():
    champion = scores()
    champion.loc[champion["metric"] == "mae_head", "value"] = np.nan
    (problem,) = against(scores(mae_head=1e6), champion)
    assert problem == "the champion's mae_head is undefined, so nobody can tell which is better"


def test_a_model_that_has_seen_its_judges_is_refused_by_name():
    seen = cases(trained_on=["case-2", "elsewhere", "case-0"])
    expected = "was trained on 2 of its validation cases: case-0, case-2"
    assert objections(scores(), None, cases=seen) == [expected]
    assert objections(scores(), None, cases=cases(trained_on=["elsewhere"])) == []


def test_a_model_that_has_seen_a_test_case_is_refused_by_name():
    many = [f"t{number}" for number in range(7)]
    seen = cases(trained_on=many, test=[*many, "t9"])
    expected = "was trained on 7 of the test cases: t0, t1, t2, t3, t4 and 2 more"
    assert objections(scores(), None, cases=seen) == [expected]


def test_ids_by_another_key_cannot_be_compared_and_that_is_told():
    (problem,) = objections(scores(), None, cases=cases(id_keys=["keep", "0a1b"]))
    assert problem.startswith(
        "started from a model whose cases have ids by another key (0a1b; here keep)"
    )


def test_a_patient_who_leaks_is_not_made_good_by_two_who_do_not():
    own = scores()
    for case, leak in zip(sorted(set(own["case"])), (0.75, -0.10, -0.15), strict=True):
        own.loc[(own["case"] == case) & (own["metric"] == LEAK), "value"] = leak
    assert own.loc[own["metric"] == LEAK, "value"].mean() < 0.2
    assert against(own, None)[0].startswith("mr_leak 0.25, at most 0.20")
