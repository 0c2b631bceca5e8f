import math

import pandas as pd
import pytest
from cells import cells
from sweep_folder import score_row, trial_row, write_table

from dashboards.load import load_sweep
from dashboards.scores.thesis_table import pooled, thesis_table
from pct.scoring.cohort import MixedScores


def ssim_rows(trial, values, split="val", metric="ssim"):
    return [
        score_row(trial, f"p{index}", "ssim_masked", value, split) | {"metric": metric}
        for index, value in enumerate(values)
    ]


def write(folder, trials, rows):
    write_table(folder, "trials.parquet", [trial_row(name, [], **facts) for name, facts in trials])
    write_table(folder, "scores.parquet", rows)
    return load_sweep(folder)


def test_seeds_are_pooled_patient_by_patient():
    rows = pd.DataFrame([*ssim_rows("exp1@s1", (0.6, 0.8)), *ssim_rows("exp1@s2", (0.8, 1.0))])
    found = pooled(rows, "ssim")
    assert (found.n, found.of) == (2, 2)
    assert found.mean == pytest.approx(0.8)
    assert found.sd == pytest.approx(math.sqrt(0.02))  # of 0.7 and 0.9


def test_a_patient_whom_a_seed_lacks_does_not_count():
    rows = pd.DataFrame([*ssim_rows("exp1@s1", (0.6, 0.8)), *ssim_rows("exp1@s2", (0.8,))])
    assert (pooled(rows, "ssim").n, pooled(rows, "ssim").of) == (1, 2)


def test_the_thesis_stands_in_grey_below_each_experiment_it_reports(sweep_dir):
    trials = [("exp1", {}), ("exp3.drop", {})]
    rows = [*ssim_rows("exp1", (0.7, 0.8)), *ssim_rows("exp3.drop", (0.6, 0.6))]
    html = thesis_table(write(sweep_dir, trials, rows))
    assert html.count('<tr class="grey">') == 3
    dash = "\N{EN DASH}"
    said = "thesis, 39 test cases, no SD given"
    assert cells(html)[1:] == [
        ["Exp 1", "2", "1", "0.7500 ± 0.0707", dash, dash],
        [f"Exp 1: {said}", "39", dash, "0.7315", "0.4131", "0.8851"],
        [f"Exp 2: {said}", "39", dash, "0.7134", "0.4057", "0.8826"],
        ["Exp 3, drop", "2", "1", "0.6000 ± 0.0000", dash, dash],
        [f"Exp 4: {said}", "39", dash, "0.6521", "0.6931", "0.8660"],
    ]


def test_a_branch_that_is_the_same_run_says_so_and_the_test_set_comes_first(sweep_dir):
    trials = [("exp1", {}), ("exp3.keep", {"same_as": "exp1"})]
    rows = [*ssim_rows("exp1", (0.7, 0.8)), *ssim_rows("exp1", (0.5, 0.5), split="test")]
    html = thesis_table(write(sweep_dir, trials, rows))
    assert html.index("Test set") < html.index("Validation cases")
    named = [row[0] for row in cells(html)]
    assert named.count("Exp 3, keep (same run as exp1)") == 2


def test_the_threshold_dice_is_called_what_it_is(sweep_dir):
    rows = ssim_rows("exp1", (0.7,)) + ssim_rows("exp1", (0.9,), metric="dice_hu250")
    assert "skull Dice (dice_hu250)" in thesis_table(write(sweep_dir, [("exp1", {})], rows))
    rows += ssim_rows("exp1", (0.8,), metric="dice_skull")
    html = thesis_table(write(sweep_dir, [("exp1", {})], rows))
    assert cells(html)[0][-1] == "skull Dice (dice_skull)"
    assert cells(html)[1][-1] == "0.8000"


def test_mixed_scores_are_refused_and_other_sweeps_have_no_such_table(sweep_dir):
    assert thesis_table(load_sweep(sweep_dir)) == ""
    rows = ssim_rows("exp1", (0.7, 0.8))
    rows[0]["metric_version"] = 9
    with pytest.raises(MixedScores, match="metric_version: 1 and 9"):
        thesis_table(write(sweep_dir, [("exp1", {})], rows))
