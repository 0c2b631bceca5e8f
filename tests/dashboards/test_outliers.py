import pandas as pd
import pytest
from cells import cells
from sweep_folder import score_row, write_table

from dashboards.load import load_sweep
from dashboards.scores.outliers import is_far, listed_cases, outliers_html


def rows_of(values, metric="mae_head"):
    return [score_row("never", f"p{i}", metric, v, "val") for i, v in enumerate(values)]


def test_far_is_beyond_three_deviations_from_the_median():
    values = pd.Series([10.0, 11.0, 12.0, 13.0, 14.0, 17.0, 5.0])  # median 12, MAD 2
    assert list(is_far(values)) == [False] * 6 + [True]


def test_below_five_cases_none_is_far_and_the_worst_is_named():
    four = pd.DataFrame(rows_of((1.0, 1.0, 1.0, 99.0)))
    assert not is_far(four["value"]).any()
    assert listed_cases(four, "mae_head") == [("p3", 99.0)]


@pytest.mark.parametrize(("metric", "worst"), [("mae_head", "p2"), ("dice_hu250", "p0")])
def test_the_worst_case_is_the_highest_error_and_the_lowest_overlap(metric, worst):
    rows = pd.DataFrame(rows_of((0.1, 0.5, 0.9), metric))
    assert [case for case, _ in listed_cases(rows, metric)] == [worst]


def test_outliers_are_listed_by_trial_with_their_values(sweep_dir):
    write_table(sweep_dir, "scores.parquet", rows_of((100.0, 101.0, 102.0, 103.0, 104.0, 150.0)))
    html = outliers_html(load_sweep(sweep_dir))
    assert cells(html) == [["trial", "mae_head, HU ↓"], ["never", "p5 150.0"]]
    assert "median ± 3 MAD" in html
    assert "Most often" not in html
    assert '"circle-open"' in html


def test_a_case_that_many_trials_find_hard_is_named(sweep_dir):
    values = (100.0, 101.0, 102.0, 103.0, 104.0, 150.0)
    rows = [row | {"trial": trial} for trial in ("never", "exp.drop") for row in rows_of(values)]
    write_table(sweep_dir, "scores.parquet", rows)
    assert "Most often listed: p5 (2 times)." in outliers_html(load_sweep(sweep_dir))


def test_every_dot_tells_its_case_and_trial(sweep_dir):
    write_table(sweep_dir, "scores.parquet", rows_of((1.0, 2.0)))
    html = outliers_html(load_sweep(sweep_dir))
    assert '"p0, never","p1, never"' in html


def test_an_undefined_score_has_no_dot_and_no_scores_no_section(sweep_dir):
    write_table(sweep_dir, "scores.parquet", rows_of((1.0, float("nan"))))
    assert "p1" not in outliers_html(load_sweep(sweep_dir))
    (sweep_dir / "scores.parquet").unlink()
    assert outliers_html(load_sweep(sweep_dir)) == ""
