import json
import re

import numpy as np
import pytest
from sweep_folder import CASES, score_row, score_rows, trial_row, trial_rows, write_table

from dashboards.load import load_sweep
from dashboards.scores.tables import (
    claim_note,
    html_table,
    score_tables,
    settings_table,
    trials_table,
)
from pct.scoring.cohort import MixedScores
from pct.scoring.declared import FILE


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def write_scores(folder, rows):
    write_table(folder, "scores.parquet", rows)
    return load_sweep(folder)


def test_scores_are_mean_and_sd_over_cases(sweep_dir):
    values = dict(zip(CASES, (100.0, 110.0, 135.0), strict=True))
    rows = [score_row("never", case, "mae_head", value, "val") for case, value in values.items()]
    html = score_tables(write_scores(sweep_dir, rows), "val")
    assert cells(html) == [["trial", "mae_head, HU ↓"], ["never", "115.0 ± 18.0"]]
    assert "over 3 cases" in html


def test_more_metrics_than_trials_turn_the_table(sweep_dir):
    html = score_tables(load_sweep(sweep_dir), "val")
    assert cells(html)[0] == ["metric", "never", "exp.keep = always", "exp.drop"]
    assert cells(html)[1] == ["ssim_masked ↑", *["0.8000 ± 0.0800"] * 3]


def test_a_single_case_has_no_sd_and_an_undefined_score_is_counted(sweep_dir):
    rows = [score_row("never", "p01", "mae_head", 100.0, "val")]
    assert cells(score_tables(write_scores(sweep_dir, rows), "val"))[1] == ["never", "100.0"]
    rows += [score_row("never", case, "mae_head", v, "val") for case, v in
             (("p02", 102.0), ("p03", float("nan")))]  # fmt: skip
    html = score_tables(write_scores(sweep_dir, rows), "val")
    assert cells(html)[1] == ["never", "101.0 ± 1.4 (n = 2 of 3)"]


def test_a_twin_with_scores_of_its_own_is_not_counted_twice(sweep_dir):
    twin = [row | {"trial": "always"} for row in score_rows() if row["trial"] == "exp.keep"]
    before = score_tables(load_sweep(sweep_dir), "val")
    assert score_tables(write_scores(sweep_dir, [*score_rows(), *twin]), "val") == before


@pytest.mark.parametrize(
    ("column", "other", "message"),
    [
        ("mask_backend", "totalseg", "mask_backend: threshold and totalseg"),
        ("metric_version", 2, "metric_version: 1 and 2"),
        ("split_sha", "beef", "split_sha: beef and c0ffee"),
    ],
)
def test_scores_measured_differently_are_not_mixed(sweep_dir, column, other, message):
    rows = score_rows()
    rows[-1][column] = other
    with pytest.raises(MixedScores, match=f"split val: scores mix {message}; expected one"):
        score_tables(write_scores(sweep_dir, rows), "val")


def test_another_geometry_gets_its_own_table(sweep_dir):
    rows = score_rows()
    for row in rows:
        if row["trial"] == "never":
            row["geometry"] = "native_tiles"
    html = score_tables(write_scores(sweep_dir, rows), "val")
    assert html.count("<table") == 2
    assert "Geometry native_tiles" in html


def test_no_test_rows_no_test_table(sweep_dir):
    assert score_tables(load_sweep(sweep_dir), "test") == ""


def test_few_cases_or_one_seed_are_no_claim(sweep_dir):
    assert claim_note(load_sweep(sweep_dir)).startswith("No claim: n = 3 cases, 1 seed.")


def test_three_seeds_and_six_patients_are_exploratory(sweep_dir):
    names = [f"exp@s{seed}" for seed in (1, 2, 3)]
    write_table(sweep_dir, "trials.parquet", [trial_row(name, []) for name in names])
    rows = [score_row(n, f"p{i}", "mae_head", 1.0, "val") for n in names for i in range(6)]
    assert claim_note(write_scores(sweep_dir, rows)).startswith(
        "Exploratory: n = 6 cases, 3 seeds."
    )
    assert claim_note(write_scores(sweep_dir, rows[:-1] + rows[:1])).startswith("Exploratory")
    few = [row for row in rows if row["case"] != "p5"]
    assert claim_note(write_scores(sweep_dir, few)).startswith("No claim: n = 5 cases, 3 seeds.")


def declare(folder, **question):
    (folder / FILE).write_text(json.dumps(question))


def test_a_declared_claim_is_judged_in_the_report(sweep_dir):
    rng = np.random.default_rng(0)
    rows = [
        score_row(f"{name}@s{seed}", f"p{i}", "mae_head", level + rng.normal(), "val")
        for name, level in (("exp1", 100.0), ("exp2", 90.0))
        for seed in (1, 2, 3)
        for i in range(6)
    ]
    declare(sweep_dir, a="exp1", b="exp2", on="mae_head")
    note = claim_note(write_scores(sweep_dir, rows))
    assert note.startswith("exp2 (B) against exp1 (A), val split: 3 seeds each (independent)")
    assert "Claim, declared before the run: mae_head is lower by 9.6 HU with exp2" in note
    few = [row for row in rows if "@s3" not in row["trial"]]
    assert "No claim: 2 seeds each" in claim_note(write_scores(sweep_dir, few))


def test_a_declared_claim_without_its_runs_does_not_stop_the_report(sweep_dir):
    declare(sweep_dir, a="never", b="exp9", on="mae_head")
    note = claim_note(load_sweep(sweep_dir))
    assert note.startswith("The claim declared before the run cannot be judged: no scores of")


def test_every_trial_says_how_it_ended_and_where_it_began(sweep_dir):
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "reason": "loss is NaN at epoch 4", "best_value": None,
                "best_epoch": 0, "epochs": 4, "own_epochs": 4}  # fmt: skip
    write_table(sweep_dir, "trials.parquet", rows)
    _, never, keep, drop, always = cells(trials_table(load_sweep(sweep_dir)))
    dash = "\N{EN DASH}"
    assert never == ["never", "FAILED", "4", "4", "epoch 1", dash, dash, "1.5",
                     "loss is NaN at epoch 4"]  # fmt: skip
    assert keep[4:7] == ["epoch 1", "6", "27.600"]
    assert drop[3:5] == ["3", "exp.keep, after 3"]
    assert always[3:5] == ["0", "same run as exp.keep"]


def test_settings_hold_data_and_versions(sweep_dir):
    facts = dict(cells(settings_table(load_sweep(sweep_dir)))[1:])
    assert facts["grid"] == "arm resize, size 128, pixel_mm 2.0"
    assert facts["cases"] == "train 10, val 3, test 2"
    assert facts["version of torch"] == "2.13.0"


def test_text_is_escaped():
    assert "<td>&lt;b&gt;</td>" in html_table(["a", "b"], [["x", "<b>"]])
