"""A whole sweep in this process: trained once, equal to straight runs, resumed, recorded."""

import json

import pandas as pd
import pytest
import torch

from data_prep.shards import read_slices
from pct.__main__ import main
from pct.model import load_model
from pct.needs import WrongData
from pct.state import start
from pct.train import TrainingData, fit
from sweeps.promotion.candidate import read_candidate, write_model
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import client_at
from tests.sweeps.small_sweep import Swept, counted_epochs, final_state, sweep_of


@pytest.fixture(scope="module")
def swept(tmp_path_factory, phantom_data, tracking) -> Swept:
    torch.set_num_threads(1)
    sweep = sweep_of(tmp_path_factory.mktemp("here") / "sweep", phantom_data)
    with counted_epochs() as trained:
        result = run_sweep(sweep, tracking, Where(here=True))
    return Swept(sweep, result, trained)


def test_every_stage_epoch_is_trained_once(swept):
    # never: 4; ngf.keep: 4; ngf.drop: 2; same is ngf.keep.
    assert len(swept.trained) == 10
    assert swept.result.trained_epochs == swept.result.unique_epochs == 10
    assert swept.result.written_epochs == 16
    assert {o.status for o in swept.result.outcomes.values()} == {"FINISHED"}


@pytest.mark.parametrize("leaf", ["never", "ngf.keep", "ngf.drop", "same"])
def test_a_leaf_equals_its_schedule_trained_straight_through(swept, phantom_data, leaf):
    run = next(job.run for job in swept.sweep.jobs if job.leaf == leaf)
    data = TrainingData(*(read_slices(phantom_data, split) for split in ("train", "val")))
    straight = fit(start(run), run, data, until=4)
    found = final_state(swept.sweep, leaf)
    for name, model in (
        ("generator", straight.generator),
        ("discriminator", straight.discriminator),
    ):
        for key, value in model.state_dict().items():
            assert torch.equal(found[name][key], value), f"{name} {key}"
    for key, value in straight.best.weights.items():
        assert torch.equal(found["best"]["weights"][key], value)
    assert (found["best"]["epoch"], found["best"]["value"]) == (
        straight.best.epoch,
        straight.best.value,
    )


def test_the_branches_differ_after_the_fork(swept):
    keep, drop = (final_state(swept.sweep, leaf)["generator"] for leaf in ("ngf.keep", "ngf.drop"))
    assert not all(torch.equal(keep[name], drop[name]) for name in keep)


def test_the_history_carries_shared_epochs_and_says_so(swept):
    psnr = swept.history[swept.history["metric"] == "val/psnr"]
    carried = {
        trial: rows.set_index("epoch")["carried"].to_dict() for trial, rows in psnr.groupby("trial")
    }
    own = dict.fromkeys(range(1, 5), False)
    assert carried["never"] == own
    assert carried["same"] == dict.fromkeys(range(1, 5), True)
    branches = sorted((carried["ngf.keep"], carried["ngf.drop"]), key=lambda c: c[1])
    assert branches == [own, {1: True, 2: True, 3: False, 4: False}]
    values = psnr.pivot(index="epoch", columns="trial", values="value")
    assert values["ngf.keep"].equals(values["same"].rename("ngf.keep"))
    assert (values["ngf.keep"] == values["ngf.drop"]).tolist() == [True, True, False, False]


def test_the_table_of_trials_says_who_shares_whose_epochs(swept):
    trials = swept.trials
    assert trials["epochs"].tolist() == [4, 4, 4, 4]
    assert sorted(trials.loc[["ngf.keep", "ngf.drop"], "own_epochs"]) == [2, 4]
    assert trials["own_epochs"]["never"] == 4
    assert trials["own_epochs"]["same"] == 0
    assert trials["same_as"].dropna().to_dict() == {"same": "ngf.keep"}
    stages = json.loads(trials["stages"]["ngf.drop"])
    assert [(s["first"], s["last"], s["values"]["lambda_ngf"]) for s in stages] == [
        (1, 2, 20.0),
        (3, 4, 0.0),
    ]


def test_every_finished_leaf_has_scores_and_pictures(swept):
    scores = pd.read_parquet(swept.sweep.folder / "scores.parquet")
    assert sorted(scores["trial"].unique()) == ["never", "ngf.drop", "ngf.keep", "same"]
    assert set(scores["split"]) == {"val"}
    for leaf in ("never", "ngf.drop", "same"):
        stems = {path.name[:10] for path in (swept.sweep.folder / "panels" / leaf).glob("*.png")}
        assert stems == {"best_head-", *(f"epoch-000{n}" for n in range(1, 5))}
    summary = json.loads((swept.sweep.folder / "sweep.json").read_text())
    assert (summary["epochs_trained"], summary["epochs_planned"]) == (10, 10)


def runs_of(client, result, kind: str) -> list:
    wanted = f"tags.`pct.kind` = '{kind}' and tags.`pct.sweep` = '{result.sweep}'"
    return client.search_runs([result.experiment_id], wanted)


def test_a_trials_run_in_mlflow_has_each_epoch_once_at_its_own_step(swept, tracking):
    client = client_at(tracking)
    runs = runs_of(client, swept.result, "trial")
    found = {run.data.tags["pct.trial"]: run for run in runs}
    assert sorted(found) == ["never", "ngf.drop", "ngf.keep", "same"]
    psnr = swept.history[swept.history["metric"] == "val/psnr"]
    for leaf, run in found.items():
        points = client.get_metric_history(run.info.run_id, "val/psnr")
        assert [point.step for point in points] == [1, 2, 3, 4]
        own = psnr[psnr["trial"] == leaf].sort_values("epoch")["value"].tolist()
        assert [point.value for point in points] == own
        assert run.info.status == "FINISHED"
        assert run.data.metrics["best/epoch"] == swept.trials["best_epoch"][leaf]
    (parent,) = runs_of(client, swept.result, "sweep")
    assert {r.data.tags["mlflow.parentRunId"] for r in runs} == {parent.info.run_id}
    params = found["ngf.drop"].data.params
    assert (params["lambda_ngf"], params["lambda_ngf_schedule"]) == ("20", "20, 0 from 3")


def test_again_nothing_is_trained_and_no_point_is_logged_twice(swept, tracking):
    with counted_epochs() as trained:
        again = run_sweep(swept.sweep, tracking, Where(here=True))
    assert trained == []
    before, after = (
        {leaf: outcome.model_dump_json() for leaf, outcome in result.outcomes.items()}
        for result in (swept.result, again)
    )
    assert after == before
    client = client_at(tracking)
    runs = runs_of(client, again, "trial")
    assert len(runs) == 4
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "val/psnr")) == 4


def test_a_longer_sweep_goes_on_from_the_shorter_ones_stages(swept, phantom_data, tracking):
    longer = sweep_of(swept.sweep.folder.with_name("longer"), phantom_data, epochs=5)
    with counted_epochs() as trained:
        result = run_sweep(longer, tracking, Where(here=True))
    assert trained == [5, 5, 5]
    assert result.trained_epochs == 3
    history = pd.read_parquet(longer.folder / "history.parquet")
    epochs = history[history["metric"] == "val/psnr"].groupby("trial")["epoch"].apply(list)
    assert epochs.tolist() == [[1, 2, 3, 4, 5]] * 4


def test_more_epochs_in_the_same_folder_go_on_too(tmp_path, phantom_data, tracking):
    trials = {"never": {"schedule": {"lambda_ngf": 0}}}
    once = sweep_of(tmp_path / "more", phantom_data, trials, epochs=1)
    run_sweep(once, tracking, Where(here=True))
    with counted_epochs() as trained:
        result = run_sweep(
            sweep_of(tmp_path / "more", phantom_data, trials, epochs=2), tracking, Where(here=True)
        )
    assert trained == [2]
    assert result.outcomes["never"].epochs == 2


def test_an_interrupted_sweep_trains_only_what_is_missing(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "interrupted", phantom_data)
    with counted_epochs(break_after=5) as first, pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tracking, Where(here=True))
    with counted_epochs() as second:
        result = run_sweep(sweep, tracking, Where(here=True))
    assert (len(first), len(second)) == (5, 5)
    assert result.trained_epochs == 10
    history = Swept(sweep, result, []).history
    assert not history.duplicated(["trial", "epoch", "metric"]).any()


def test_a_trial_that_blows_up_fails_alone_with_its_reason_and_exit_code_3(
    tmp_path, phantom_data, tracking, capsys
):
    recipe = tmp_path / "broken.yaml"
    recipe.write_text(
        "base: smoke\nepochs: 2\ndata: {size: 32}\n"
        "trials:\n  fine: {}\n  wild: {schedule: {lr_g: {0: 2e-3, 1: 1e30}}}\n"
    )
    call = [
        "sweep",
        str(recipe),
        "--data",
        str(phantom_data),
        "--to",
        str(tmp_path / "wild"),
        "--tracking",
        tracking.uri,
        "--here",
    ]
    assert main(call) == 3
    caught = capsys.readouterr()
    assert "FAILED wild: epoch 2: loss/" in caught.err
    assert "Lower lr_g or lr_d" in caught.err
    assert "2 trials: " in caught.out
    trials = pd.read_parquet(tmp_path / "wild" / "trials.parquet").set_index("trial")
    assert trials["status"].to_dict() == {"fine": "FINISHED", "wild": "FAILED"}
    assert trials["epochs"].to_dict() == {"fine": 2, "wild": 1}


def test_data_of_another_size_is_refused_with_the_command_that_prepares_it(tmp_path, phantom_data):
    with pytest.raises(
        WrongData,
        match=r"never wants resize slices of 64 pixels, .* holds resize "
        r"of 32\. .*--arm resize --size 64",
    ):
        sweep_of(tmp_path / "s", phantom_data, data={"size": 64})
    with pytest.raises(WrongData, match=r"--arm crop --size 32"):
        sweep_of(tmp_path / "s", phantom_data, data={"size": 32, "arm": "crop"})
    with pytest.raises(WrongData, match="batch 13 is more than the 12 training slices"):
        sweep_of(tmp_path / "s", phantom_data, batch=13)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_leaf_can_be_written_as_a_model(swept, tmp_path):
    job = next(job for job in swept.sweep.jobs if job.leaf == "ngf.drop")
    outcome = swept.result.outcomes["ngf.drop"]
    write_model(read_candidate(job, outcome), tmp_path / "model", note="test")
    model = load_model(tmp_path / "model")
    best = final_state(swept.sweep, "ngf.drop")["best"]
    assert model.name == f"ngf.drop@{best['epoch']}"
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, best["weights"][name])
    assert model.grid == swept.sweep.manifest.grid
