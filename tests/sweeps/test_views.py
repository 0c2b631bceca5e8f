import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sweeps import records
from sweeps.changed import write_environment
from sweeps.labels import sweep_name
from sweeps.ui import NothingToShow, links_to
from sweeps.views import (
    COLOUR,
    CURVES,
    METRICS,
    TAG,
    Logged,
    Tracked,
    order_of,
    paint,
    view_state,
)
from tests.sweeps.looked_at import SWEEP, tracked_sweep, trial
from tests.sweeps.small_sweep import sweep_of

ROOT = "http://127.0.0.1:5000"
TRACKED = Tracked(SWEEP, "7", "val/psnr_masked")
FULL = Logged(
    metrics=frozenset(
        {*CURVES, *METRICS, "best/psnr_masked", "time/epoch_s", "val3d/wepl_mm", "val/idt"}
    ),
    params=frozenset({"lambda_ngf", "ngf_alpha", "lambda_bg", "lr_g", "seed"}),
    varied=frozenset({"lambda_ngf", "lr_g"}),
    pictures=tuple(f"val/panel_CASE-{n}" for n in range(8)),
    last_picture=70,
)


@pytest.fixture
def looked_at(tmp_path, tracking):
    client = MlflowClient(tracking_uri=tracking.uri)
    folder = tmp_path / "sweep"
    tracked_sweep(folder, client, tmp_path / "artifacts")
    return folder, client


def state_of(folder, client) -> dict:
    experiment = json.loads((folder / "sweep.json").read_text())["experiment_id"]
    return json.loads(client.get_experiment(experiment).tags[f"{TAG}pct.{SWEEP}"])


def test_columns_are_the_settings_that_matter_or_differ_and_the_scores():
    assert view_state(TRACKED, FULL)["selectedColumns"] == [
        "params.`lambda_ngf`", "params.`ngf_alpha`", "params.`lambda_bg`", "params.`lr_g`",
        "metrics.`best/psnr_masked`", "metrics.`best/epoch`", "metrics.`val3d/ssim_masked`",
        "metrics.`val3d/dice_hu250`", "metrics.`val3d/mae_head`", "metrics.`val3d/mr_leak`",
    ]  # fmt: skip


def test_trials_are_sorted_by_their_best_value_or_by_the_last_one_while_there_is_none():
    assert view_state(TRACKED, FULL)["orderByKey"] == "metrics.`best/psnr_masked`"
    young = replace(FULL, metrics=FULL.metrics - {"best/psnr_masked"})
    assert order_of(TRACKED, young) == "val/psnr_masked"
    assert "metrics.`val/psnr_masked`" in view_state(TRACKED, young)["selectedColumns"]


def test_all_runs_are_in_the_charts_and_the_selection_metric_comes_first():
    state = view_state(replace(TRACKED, metric="val/psnr"), FULL)
    assert state["runsHiddenMode"] == "SHOW_ALL"
    curves = [c["metricKey"] for c in state["compareRunCharts"] if c["type"] == "LINE"]
    assert curves[0] == "val/psnr"
    assert sorted(curves) == sorted(CURVES)


def test_every_chart_has_its_section_and_the_rest_is_folded_away():
    state = view_state(TRACKED, FULL)
    sections = {s["uuid"]: s for s in state["compareRunSections"]}
    assert {c["metricSectionId"] for c in state["compareRunCharts"]} == {"curves", "panels"}
    assert {s["name"] for s in sections.values() if not s["display"]} == {
        "best", "time", "val", "val3d",
    }  # fmt: skip
    assert len(sections) == len(state["compareRunSections"])


def test_each_case_has_a_slider_of_its_panels_opened_at_the_newest_epoch():
    cards = [c for c in view_state(TRACKED, FULL)["compareRunCharts"] if c["type"] == "IMAGE"]
    assert [c["imageKeys"] for c in cards] == [[key] for key in FULL.pictures]
    assert {c["step"] for c in cards} == {70}


def test_the_view_of_a_full_sweep_fits_into_a_tag():
    assert len(json.dumps(view_state(TRACKED, FULL))) < 20_000


def test_the_links_open_a_view_that_lies_at_the_experiment(looked_at):
    folder, client = looked_at
    links = links_to(folder, client, ROOT)
    assert (links.trials, links.order, links.note) == (3, "best/psnr_masked", "")
    for link, mode in ((links.table, "TABLE"), (links.charts, "CHART")):
        assert link.startswith(f"{ROOT}/#/experiments/")
        assert f"viewStateShareKey=pct.{SWEEP}" in link
        assert "workflowType=machine_learning" in link
        assert link.endswith(f"compareRunsMode={mode}")
        assert "searchFilter" not in link, "a filter in the link keeps the view from loading"
    state = state_of(folder, client)
    pictures = [c for c in state["compareRunCharts"] if c["type"] == "IMAGE"]
    assert [(c["imageKeys"], c["step"]) for c in pictures] == [(["val/panel_P-1"], 4)]
    assert state["selectedColumns"][:2] == ["params.`lambda_ngf`", "params.`lambda_bg`"]


def test_the_filter_of_the_view_finds_this_sweeps_trials_only(looked_at):
    folder, client = looked_at
    links_to(folder, client, ROOT)
    experiment = json.loads((folder / "sweep.json").read_text())["experiment_id"]
    found = client.search_runs([experiment], state_of(folder, client)["searchFilter"])
    assert {run.info.run_name for run in found} == {"never", "ngf.keep", "ngf.drop"}
    assert {run.data.tags["pct.sweep"] for run in found} == {SWEEP}


def test_trials_get_colours_that_differ_and_keep_those_a_user_chose(looked_at):
    folder, client = looked_at
    experiment = json.loads((folder / "sweep.json").read_text())["experiment_id"]
    mine = f"tags.`pct.sweep` = '{SWEEP}'"
    chosen = client.search_runs([experiment], mine)[0].info.run_id
    client.set_tag(chosen, COLOUR, "#abcdef")
    links_to(folder, client, ROOT)
    colours = {r.info.run_id: r.data.tags[COLOUR] for r in client.search_runs([experiment], mine)}
    assert colours[chosen] == "#abcdef"
    assert len(set(colours.values())) == 3


def test_of_many_trials_all_seeds_of_a_setting_share_its_colour():
    names = [
        f"{setting}@s{seed}" for seed in (1, 2, 3) for setting in ("exp1", "exp2", "exp3.drop")
    ]
    painted = colours_of(names)
    assert len(set(painted.values())) == 3
    assert {painted[f"exp1@s{seed}"] for seed in (1, 2, 3)} == {painted["exp1@s1"]}


def test_more_settings_than_colours_are_left_to_mlflow():
    assert colours_of([f"p{number:02d}" for number in range(9)]) == {}


def colours_of(names: list[str]) -> dict[str, str]:
    """What is painted on runs of these trials."""
    painted: dict[str, str] = {}

    class Client:
        def set_tag(self, run_id: str, tag: str, value: str) -> None:
            assert tag == COLOUR
            painted[run_id] = value

    runs = [
        SimpleNamespace(
            info=SimpleNamespace(run_id=name), data=SimpleNamespace(tags={"pct.trial": name})
        )
        for name in names
    ]
    paint(Client(), runs)
    return painted


def test_where_the_view_is_refused_plain_links_open_the_same_trials(looked_at, monkeypatch):
    def refuse(*_):
        raise MlflowException("tags are frozen here")

    folder, client = looked_at
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    links = links_to(folder, client, ROOT)
    assert "viewStateShareKey" not in links.charts
    assert "orderByKey=metrics.%60best%2Fpsnr_masked%60&orderByAsc=false" in links.charts
    assert f"pct.sweep%60%3D%22{SWEEP}%22" in links.charts
    assert links.charts.endswith("compareRunsMode=CHART")


def test_pictures_that_were_left_behind_are_told_of(looked_at, tmp_path):
    folder, client = looked_at
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    assert str(tmp_path / "artifacts") in links_to(folder, client, ROOT).note


def test_a_sweep_under_way_is_found_by_its_trials(tmp_path, tracking, phantom_data):
    sweep = sweep_of(tmp_path / "a young", phantom_data)
    records.write_jobs(sweep.folder, sweep.jobs)
    write_environment(sweep.folder, sweep.environment)
    client = MlflowClient(tracking_uri=tracking.uri)
    with pytest.raises(NothingToShow, match=f"does not know its trial {sweep.jobs[0].leaf}"):
        links_to(sweep.folder, client, ROOT)
    experiment = client.create_experiment(f"young/{tmp_path}")
    job = sweep.jobs[0]
    mine, other = (
        sweep_name(one) for one in (sweep, replace(sweep, folder=tmp_path / "bob" / "a young"))
    )
    for name in (other, mine, other):
        trial(client, experiment, job.leaf, name, **{"pct.key": job.last_key})
    assert links_to(sweep.folder, client, ROOT).sweep == mine


def test_a_tracking_place_without_the_sweep_is_said(looked_at):
    folder, client = looked_at
    summary = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps({**summary, "sweep": "elsewhere"}))
    with pytest.raises(NothingToShow, match="no trial of elsewhere"):
        links_to(folder, client, ROOT)
