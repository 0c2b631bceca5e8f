import pandas as pd
import pytest
from cells import cells
from sweep_folder import score_row, write_table
from typer import Typer
from typer.testing import CliRunner

from dashboards.cli import report
from dashboards.load import load_sweep
from dashboards.scores.groups import NoGroups, grouped_html


def write_cases(folder, sites, **columns):
    rows = [
        {"subject": f"p{i}", "split": "val", "status": "taken", "reason": "", "site": site,
         "field_t": 1.5, "scanner": None, **columns}
        for i, site in enumerate(sites)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "cases.parquet")


def scored(folder, values):
    rows = [score_row("never", f"p{i}", "mae_head", v, "val") for i, v in enumerate(values)]
    write_table(folder, "scores.parquet", rows)
    return load_sweep(folder)


def test_scores_are_split_by_site_with_n_each_and_small_groups_marked(sweep_dir):
    write_cases(sweep_dir, ["A", "A", "A", "B", None])
    html = grouped_html(scored(sweep_dir, (100.0, 110.0, 120.0, 90.0, 70.0)), by="site")
    assert cells(html) == [
        ["trial", "A (n = 3)", "[B (n = 1)]", "[not known (n = 1)]"],
        ["never", "110.0 ± 10.0", "90.0", "70.0"],
    ]
    assert "fewer than 3 cases" in html


def test_an_undefined_score_is_counted_in_its_group(sweep_dir):
    write_cases(sweep_dir, ["A"] * 3)
    html = grouped_html(scored(sweep_dir, (100.0, 102.0, float("nan"))), by="site")
    assert cells(html)[1] == ["never", "101.0 ± 1.4 (n = 2 of 3)"]


def test_numbers_are_groups_too(sweep_dir):
    write_cases(sweep_dir, ["A"] * 2)
    html = grouped_html(scored(sweep_dir, (1.0, 2.0)), by="field_t")
    assert cells(html)[0] == ["trial", "[1.5 (n = 2)]"]


def test_a_wrong_column_is_one_error_that_lists_those_there_are(sweep_dir):
    write_cases(sweep_dir, ["A"])
    sweep = scored(sweep_dir, (1.0,))
    with pytest.raises(NoGroups, match=r"no column 'hospital'.*one of site, scanner, field_t"):
        grouped_html(sweep, by="hospital")
    with pytest.raises(NoGroups, match=r"column scanner is empty; filled in: site, field_t\."):
        grouped_html(sweep, by="scanner")


def test_without_a_table_of_cases_the_error_says_how_to_get_one(sweep_dir):
    with pytest.raises(NoGroups, match=r"cases\.parquet is missing.*Run the line of `pct sweep`"):
        grouped_html(load_sweep(sweep_dir), by="site")


def test_the_command_splits_by_a_column(sweep_dir):
    write_cases(sweep_dir, ["A"] * 3)
    scored(sweep_dir, (1.0, 2.0, 3.0))
    app = Typer()
    app.command()(report)
    assert CliRunner().invoke(app, [str(sweep_dir), "--by", "site"]).exit_code == 0
    assert "<h2>Scores by site</h2>" in (sweep_dir / "report.html").read_text()
