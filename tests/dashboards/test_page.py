import re

import pytest
from plotly.offline import get_plotlyjs
from sweep_folder import score_row, score_rows, sweep_json, trial_rows, write_info, write_table
from typer import Typer
from typer.testing import CliRunner

from dashboards.cli import report
from dashboards.load import NoSweep, load_sweep
from dashboards.page import render, write_report
from dashboards.panels import find_panels, panels_html
from dashboards.summary import summary


def own_part(html: str) -> str:
    """The page without the plotting library."""
    assert html.count(get_plotlyjs()) == 1
    return html.replace(get_plotlyjs(), "")


def test_the_report_is_one_file_under_its_final_name(sweep_dir):
    path = write_report(load_sweep(sweep_dir))
    assert path == sweep_dir / "report.html"
    assert not list(sweep_dir.glob("*.tmp")) + list(sweep_dir.glob(".*"))


def test_the_page_asks_for_nothing_from_outside(sweep_dir):
    html = own_part(render(load_sweep(sweep_dir)))
    assert not re.findall(r"(?:src|href)=[\"']?(?![\"']|data:|#)|@import|url\(|https?://", html)
    assert "default-src 'none'" in html


def test_sections_stand_in_their_order(sweep_dir):
    scores = [*score_rows(), score_row("exp.keep", "p09", "mae_head", 120.0, "test")]
    write_table(sweep_dir, "scores.parquet", scores)
    write_info(sweep_dir, data=sweep_json()["data"] | {"folder": str(sweep_dir)})
    write_table(sweep_dir, "test_ledger.parquet", [{"model": "exp.keep@6"}])
    html = own_part(render(load_sweep(sweep_dir)))
    assert re.findall(r"<h2>(.*?)</h2>", html) == [
        "Validation PSNR", "Unweighted NGF", "Forks", "Stage tree",
        "Scores, validation", "Score details", "Outliers", "Scores, test", "Panels", "Trials",
        "Excluded cases", "Configuration", "Data and versions",
    ]  # fmt: skip
    assert "Test opened once on this data." in html


def test_a_model_scored_under_another_name_has_its_column(sweep_dir):
    scores = [*score_rows(), score_row("exp.keep@6", "p09", "mae_head", 120.0, "test")]
    write_table(sweep_dir, "scores.parquet", scores)
    test_section = own_part(render(load_sweep(sweep_dir))).split("<h2>Scores, test")[1]
    assert "exp.keep@6" in test_section
    assert "120.0" in test_section


def test_a_sweep_without_pictures_or_scores_still_has_a_report(sweep_dir):
    for path in sorted((sweep_dir / "panels").rglob("*.png")):
        path.unlink()
    (sweep_dir / "scores.parquet").unlink()
    html = own_part(render(load_sweep(sweep_dir)))
    assert "<h2>Panels</h2>" not in html
    assert "No case has been scored." in html


def test_the_metric_that_selects_gets_its_own_curve(sweep_dir):
    write_info(sweep_dir, select={"metric": "val/psnr_masked", "mode": "max"})
    history = load_sweep(sweep_dir).history
    masked = history[history["metric"] == "val/psnr"].assign(metric="val/psnr_masked")
    write_table(sweep_dir, "history.parquet", [*history.to_dict("records"),
                                               *masked.to_dict("records")])  # fmt: skip
    html = render(load_sweep(sweep_dir))
    assert "<h3>PSNR inside the head (dB), which selects</h3>" in html


def test_every_section_is_linked_and_every_link_has_its_section(sweep_dir):
    html = own_part(render(load_sweep(sweep_dir)))
    links = re.findall(r'href="#([^"]+)"', html)
    assert sorted(set(links)) == sorted(["main", *re.findall(r'<section id="([^"]+)"', html)])
    assert len(set(re.findall(r' id="([^"]+)"', html))) == len(re.findall(r' id="', html))


def test_every_figure_has_words_for_those_who_do_not_see_it(sweep_dir):
    html = own_part(render(load_sweep(sweep_dir)))
    labels = re.findall(r'<div class="plot"[^>]*role="img" aria-label="([^"]*)"', html)
    assert len(labels) == html.count('<div class="plot"') >= 4
    assert min(map(len, labels)) > 30


def test_the_page_states_its_own_size(sweep_dir):
    path = write_report(load_sweep(sweep_dir))
    told = re.search(r"This file: ([\d.]+) MB", own_part(path.read_text()))
    assert abs(float(told[1]) - path.stat().st_size / 1e6) < 0.06


def test_the_summary_says_what_ran_what_was_saved_and_which_trial_is_best(sweep_dir):
    assert summary(load_sweep(sweep_dir)) == (
        "Recipe demo from preset laptop: 4 trials on 10 train, 3 val, 2 test cases. "
        "Their schedules add up to 24 epochs; sharing stages saved 9 (38%), and 15 were trained. "
        "always is the same run as exp.keep: one training, two names. "
        "Best by val/psnr: exp.keep = always, 27.60 dB at epoch 6, 0.40 dB from the next, "
        "exp.drop. No model has been promoted."
    )


def test_the_summary_names_what_was_promoted_and_what_failed(sweep_dir):
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "reason": "worker lost", "best_value": None}
    write_table(sweep_dir, "trials.parquet", rows)
    champion = {"trial": "exp.keep", "version": "3", "model": "models:/pct@champion"}
    write_info(sweep_dir, champion=champion, epochs_trained=12)
    text = summary(load_sweep(sweep_dir))
    assert "Did not finish: never (FAILED)" in text
    assert "Promoted: exp.keep as models:/pct/3." in text
    assert "The other 3 were in the store already or did not run." in text


def test_a_sweep_in_which_everything_failed_has_no_best_trial(sweep_dir):
    failed = [row | {"status": "FAILED", "best_value": None} for row in trial_rows()]
    write_table(sweep_dir, "trials.parquet", failed)
    assert "No trial finished with a value to select by." in summary(load_sweep(sweep_dir))


def test_names_cannot_break_the_page(sweep_dir):
    write_info(sweep_dir, sweep="<script>alert(1)</script>")
    assert "<script>alert" not in own_part(render(load_sweep(sweep_dir)))


def test_panels_are_the_best_and_the_last_epoch_of_each_run(sweep_dir):
    html = panels_html(load_sweep(sweep_dir), num_cases=1)
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == [
        "never, best epoch, 6", "exp.keep = always, best epoch, 6",
        "exp.drop, best epoch, 5", "exp.drop, epoch 6",
    ]  # fmt: skip
    assert html.count("data:image/png;base64,") == 4
    assert "2 more in" in html


def test_without_a_best_panel_the_best_epochs_own_one_stands_for_it(sweep_dir):
    rows = trial_rows()
    rows[0]["best_epoch"] = 3
    write_table(sweep_dir, "trials.parquet", rows)
    for path in (sweep_dir / "panels").rglob("best_*.png"):
        path.unlink()
    html = panels_html(load_sweep(sweep_dir), num_cases=1)
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == [
        "never, best epoch, 3", "never, epoch 6", "exp.keep = always, best epoch, 6",
        "exp.drop, epoch 6",
    ]  # fmt: skip


def test_panels_are_found_by_case_and_epoch(sweep_dir):
    found = [(p.case, p.epoch) for p in find_panels(sweep_dir / "panels" / "never")]
    assert found[:4] == [("p01", None), ("p01", 3), ("p01", 6), ("p02", None)]


def test_a_panel_that_is_no_picture_is_refused_by_name(sweep_dir):
    (sweep_dir / "panels/never/best_p01.png").write_text("gone")
    with pytest.raises(NoSweep, match=r"best_p01\.png is no PNG image\. Delete it"):
        panels_html(load_sweep(sweep_dir), num_cases=2)


def test_the_command_prints_the_path_of_the_report_and_its_size(sweep_dir):
    app = Typer()
    app.command()(report)
    result = CliRunner().invoke(app, [str(sweep_dir), "--cases", "0"])
    assert result.exit_code == 0
    size = (sweep_dir / "report.html").stat().st_size / 1e6
    assert result.stdout.strip() == f"{sweep_dir / 'report.html'} ({size:.1f} MB)"
    assert "base64" not in own_part((sweep_dir / "report.html").read_text())


def test_a_sweep_in_which_no_epoch_was_finished_still_has_a_report(sweep_dir):
    failed = [r | {"status": "FAILED", "best_value": None, "epochs": 0} for r in trial_rows()]
    write_table(sweep_dir, "trials.parquet", failed)
    history = load_sweep(sweep_dir).history
    history[history["epoch"] > 99].to_parquet(sweep_dir / "history.parquet")
    (sweep_dir / "scores.parquet").unlink()
    html = own_part(render(load_sweep(sweep_dir)))
    assert "Did not finish: never (FAILED)" in html
    assert 'class="plot"' not in html
