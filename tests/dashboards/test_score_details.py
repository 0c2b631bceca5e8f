import numpy as np
from cells import cells
from sweep_folder import CASES, score_row, write_table

from dashboards.load import load_sweep
from dashboards.scores.details import FEW_TRIALS, details_html
from pct.scoring.bootstrap import mean_interval


def test_each_trial_has_n_mean_sd_and_interval(sweep_dir):
    values = (100.0, 110.0, 135.0)
    rows = [score_row("never", case, "mae_head", v, "val") for case, v in zip(CASES, values)]  # noqa: B905
    rows.append(score_row("never", "p04", "mae_head", float("nan"), "val"))
    write_table(sweep_dir, "scores.parquet", rows)
    low, high = mean_interval(np.array(values))
    assert cells(details_html(load_sweep(sweep_dir))) == [
        ["trial", "n", "mean", "SD", "95 % CI of the mean"],
        ["never", "3 of 4", "115.0", "18.0", f"{low:.1f} to {high:.1f}"],
    ]


def test_with_many_trials_only_the_main_metrics_are_shown_and_the_others_counted(sweep_dir):
    names = [f"t{number}" for number in range(FEW_TRIALS + 1)]
    rows = [
        score_row(name, case, metric, 1.0, "val") | {"metric": metric}
        for name in names for case in CASES for metric in ("mae_head", "edge_bone")
    ]  # fmt: skip
    rows += [row | {"metric": "z_jitter"} for row in rows if row["metric"] == "mae_head"]
    write_table(sweep_dir, "scores.parquet", rows)
    html = details_html(load_sweep(sweep_dir))
    assert "z_jitter" not in html
    assert "1 more metric in scores.parquet." in html


def test_without_scores_there_are_no_details(sweep_dir):
    (sweep_dir / "scores.parquet").unlink()
    assert details_html(load_sweep(sweep_dir)) == ""
