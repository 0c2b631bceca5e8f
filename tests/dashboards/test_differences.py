import json

import numpy as np
import pytest
from cells import cells
from sweep_folder import score_row, trial_row, write_table

from dashboards.load import load_sweep
from dashboards.scores.differences import MOST_SETTINGS, differences_html
from pct.scoring.declared import FILE, Question
from pct.scoring.settings import weigh

LEVELS = {"exp1": 100.0, "exp2": 90.0, "exp4": 100.0}


def scored(folder, *, seeds=(1, 2, 3), patients=6, levels=LEVELS, same=None):
    rng = np.random.default_rng(0)
    names = [f"{name}@s{seed}" for name in levels for seed in seeds]
    write_table(
        folder, "trials.parquet",
        [trial_row(name, [], same_as=(same or {}).get(name)) for name in names],
    )  # fmt: skip
    rows = [
        score_row(name, f"p{i}", metric, levels[name.split("@")[0]] + rng.normal(), "val")
        for name in names
        for i in range(patients)
        for metric in ("mae_head", "edge_bone")
    ]
    write_table(folder, "scores.parquet", rows)
    sweep = load_sweep(folder)
    return sweep, differences_html(sweep, sweep.scores)


def test_differences_are_those_of_pct_claim(sweep_dir):
    sweep, html = scored(sweep_dir)
    head, *rows = cells(html)
    row = dict(zip(head, rows[0], strict=True))
    first, *_ = weigh(sweep.scores, Question("exp1", "exp2", "mae_head"))
    assert (row["metric"], row["setting"], row["seeds"]) == ("mae_head, HU ↓", "exp2", "3 and 3")
    assert row["difference"] == f"{first.effect.difference:+.1f}"
    assert row["95 % CI"] == f"{first.effect.ci_low:.1f} to {first.effect.ci_high:.1f}"
    assert row["p"] == "<0.001"
    assert [r[-1] for r in rows] == ["exploratory"] * 4


@pytest.mark.parametrize("few", [{"seeds": (1, 2)}, {"patients": 5}])
def test_below_three_seeds_or_six_patients_there_is_no_p_and_no_claim(sweep_dir, few):
    _, html = scored(sweep_dir, **few)
    head, *rows = cells(html)
    assert head == ["metric", "setting", "seeds", "patients", "mean", "difference", "kind"]
    assert {row[-1] for row in rows} == {"no claim"}
    assert "No p and no interval below 3 seeds of each setting or 6 independent patients" in html


def test_the_declared_question_is_the_reference_and_is_called_declared(sweep_dir):
    (sweep_dir / FILE).write_text(json.dumps({"a": "exp2", "b": "exp4", "on": "mae_head"}))
    _, html = scored(sweep_dir)
    assert "Differences from exp2" in html
    kinds = {(row[0], row[1]): row[-1] for row in cells(html)[1:]}
    assert kinds["mae_head, HU ↓", "exp4"] == "declared"
    assert set(kinds.values()) == {"declared", "exploratory"}


def test_a_setting_that_is_the_same_runs_is_not_compared_with_itself(sweep_dir):
    same = {f"exp4@s{seed}": f"exp1@s{seed}" for seed in (1, 2, 3)}
    _, html = scored(sweep_dir, same=same)
    assert {row[1] for row in cells(html)[1:]} == {"exp2"}


def test_a_single_setting_has_nothing_to_differ_from(sweep_dir):
    assert scored(sweep_dir, levels={"exp1": 1.0})[1] == ""


def test_of_many_settings_those_of_the_best_runs_are_compared_and_the_others_counted(sweep_dir):
    names = [f"t{number:02d}" for number in range(40)]
    rows = [trial_row(name, [], best_value=float(place)) for place, name in enumerate(names)]
    write_table(sweep_dir, "trials.parquet", rows)
    scores = [score_row(name, "p1", "mae_head", 1.0, "val") for name in names]
    write_table(sweep_dir, "scores.parquet", scores)
    sweep = load_sweep(sweep_dir)
    html = differences_html(sweep, sweep.scores)
    assert [row[1] for row in cells(html)[1:]] == names[-MOST_SETTINGS:]
    assert "Shown are the best 24 of 39 settings by val/psnr" in html
