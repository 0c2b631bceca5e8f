"""What a finished sweep's runs hold in MLflow: names, tags, parameters, data set, metrics."""

import json

import pytest

from data_prep.shards import read_manifest
from sweeps import spool
from sweeps.labels import card, code, fork_of, run_params
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Place, client_at
from tests.sweeps.small_sweep import TRIALS, sweep_of
from tests.tiny import tiny_run


@pytest.fixture(scope="module")
def place(server, tmp_path_factory) -> Place:
    server.open()
    return Place(server.uri, tmp_path_factory.mktemp("unused"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, phantom_data, place):
    sweep = sweep_of(tmp_path_factory.mktemp("tracked") / "sweep", phantom_data, TRIALS)
    return sweep, run_sweep(sweep, place, Where(here=True))


@pytest.fixture(scope="module")
def runs(swept, place):
    """Trial -> its run; "" -> the sweep's."""
    _, result = swept
    found = client_at(place).search_runs(
        [result.experiment_id], f"tags.`pct.sweep` = '{result.sweep}'"
    )
    return {run.data.tags.get("pct.trial", ""): run for run in found}


def test_an_experiment_made_through_a_server_keeps_its_artifacts_there(swept, place):
    experiment = client_at(place).get_experiment(swept[1].experiment_id)
    assert experiment.artifact_location.startswith("mlflow-artifacts:/")
    assert experiment.name == "pct/data-tiny"
    assert not place.artifacts.joinpath("images").exists()


def test_one_made_in_a_file_keeps_them_beside_it(tracking, phantom_data, tmp_path):
    sweep = sweep_of(tmp_path / "s", phantom_data, {"never": TRIALS["never"]}, epochs=1)
    result = run_sweep(sweep, tracking, Where(here=True))
    experiment = client_at(tracking).get_experiment(result.experiment_id)
    assert experiment.artifact_location.startswith("file://")


def test_a_run_says_what_it_is_and_where_it_comes_from(swept, runs, phantom_data):
    sweep, _ = swept
    manifest = read_manifest(phantom_data)
    assert sorted(runs) == ["", "never", "ngf.drop", "ngf.keep", "same"]
    for trial, run in runs.items():
        tags = run.data.tags
        assert tags["pct.kind"] == ("trial" if trial else "sweep")
        assert tags["pct.data_digest"] == manifest.digest
        assert tags["pct.split_sha"] == manifest.split_sha
        assert tags["pct.mask_backend"] == ",".join(manifest.mask_backends)
        assert tags["pct.code"] == code()
    tags = runs["ngf.drop"].data.tags
    job = next(job for job in sweep.jobs if job.leaf == "ngf.drop")
    assert tags["pct.config_sha"] == job.base
    assert tags["pct.lineage"] == "ngf/drop"
    assert tags["mlflow.note.content"] == (
        "Trial ngf.drop of the recipe tiny: 4 epochs on data (4 training cases), seed 1, the best "
        "generator chosen by val/psnr_masked. A branch: epochs 1-2 are shared with ngf.keep and "
        "trained once. From epoch 3: lambda_ngf 20 -> 0."
    )
    assert runs["same"].data.tags["mlflow.note.content"].endswith("The same run as ngf.keep.")
    assert tags["pct.reason"] == "all epochs done"


def test_the_branch_that_was_given_its_beginning_names_the_run_that_trained_it(swept, runs):
    sweep, _ = swept
    given = {
        job.leaf for job in sweep.jobs if any(line["carried"] for line in spool.epochs(job.spool))
    }
    carried = {t for t, run in runs.items() if run.data.tags.get("pct.history") == "carried"}
    assert carried == given
    (branch,) = given & {"ngf.keep", "ngf.drop"}
    (trunk,) = {"ngf.keep", "ngf.drop"} - given
    assert runs[branch].data.tags["pct.forked_from_run"] == runs[trunk].info.run_id
    assert "pct.forked_from_run" not in runs[trunk].data.tags
    at = {trial: run.data.tags.get("pct.forked_at_epoch") for trial, run in runs.items()}
    assert at == {"": None, "never": None, "same": None, "ngf.keep": "2", "ngf.drop": "2"}


def test_parameters_tell_the_values_before_and_after_the_fork(runs):
    names = ("lambda_ngf", "lambda_ngf_after", "switch_epoch", "lambda_l1_after")
    found = {
        trial: tuple(run.data.params.get(name) for name in names)
        for trial, run in runs.items()
        if trial
    }
    assert found == {
        "never": ("0", None, None, None),
        "same": ("20", None, None, None),
        "ngf.keep": ("20", "20", "2", None),
        "ngf.drop": ("20", "0", "2", None),
    }


def test_the_data_set_is_an_input_once_and_names_no_path(runs, phantom_data, place):
    manifest = read_manifest(phantom_data)
    for trial, run in runs.items():
        inputs = run.inputs.dataset_inputs
        if not trial:
            assert inputs == []
            continue
        (given,) = inputs
        assert given.dataset.name == phantom_data.name
        assert manifest.digest.startswith(given.dataset.digest)
        assert len(given.dataset.digest) == 36
        assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}
        assert json.loads(given.dataset.source) == {"uri": phantom_data.name}
        assert json.loads(given.dataset.profile)["num_cases"] == manifest.num_cases
    texts = [str(run.to_dictionary()) for run in runs.values()]
    assert not any(str(phantom_data.parent) in text for text in texts)


def test_the_end_of_a_trial_is_in_its_metrics(swept, runs, place):
    _, result = swept
    client = client_at(place)
    for trial, outcome in result.outcomes.items():
        metrics = runs[trial].data.metrics
        assert metrics["best/epoch"] == outcome.best_epoch
        assert metrics["best/psnr_masked"] == outcome.best_value
        assert {k: v for k, v in metrics.items() if k.startswith("val3d/")} == {
            k: v for k, v in outcome.final.items() if v == v
        }
        (point,) = client.get_metric_history(runs[trial].info.run_id, "val3d/mae_head")
        assert point.step == outcome.epochs
    forked = {t for t, run in runs.items() if "best_after_fork/psnr_masked" in run.data.metrics}
    assert forked == {"ngf.keep", "ngf.drop"}


def test_what_a_worker_uses_is_told_for_each_epoch_that_it_trained(swept, runs, place):
    sweep, _ = swept
    client = client_at(place)
    for job in sweep.jobs:
        own = [line["epoch"] for line in spool.epochs(job.spool) if not line["carried"]]
        for name in ("cpu_percent", "memory_mb"):
            points = client.get_metric_history(runs[job.leaf].info.run_id, f"system/worker0/{name}")
            assert [point.step for point in points] == own
            assert all(point.value > 0 for point in points)


def test_a_trial_forks_where_its_last_branches_part_and_from_no_other_trial(tmp_path, phantom_data):
    forks = {0: 20, 2: {"keep": 20, "drop": {2: 0, 3: {"back": 20, "stay": 0}}}}
    trials = {"x": {"schedule": {"lambda_ngf": forks}}, "alike": {"schedule": {"lambda_ngf": 20}}}
    jobs = sweep_of(tmp_path / "forks", phantom_data, trials).jobs
    found = {job.leaf: fork_of(job, jobs) for job in jobs}
    assert {leaf: (at, [s.leaf for s in siblings]) for leaf, (at, siblings) in found.items()} == {
        "x.keep": (2, ["x.drop.back", "x.drop.stay"]),
        "x.drop.back": (3, ["x.drop.stay"]),
        "x.drop.stay": (3, ["x.drop.back"]),
        "alike": (0, []),
    }


def test_a_note_tells_what_changes_at_the_fork_and_nothing_else(tmp_path, phantom_data):
    forks = {0: 20, 1: 10, 2: {"keep": 10, "drop": 0}}
    sweep = sweep_of(tmp_path / "note", phantom_data, {"x": {"schedule": {"lambda_ngf": forks}}})
    notes = {job.leaf: card(job, sweep).tags["mlflow.note.content"] for job in sweep.jobs}
    assert notes["x.drop"].endswith("trained once. From epoch 3: lambda_ngf 10 -> 0.")
    assert notes["x.keep"].endswith("shared with x.drop and trained once.")


def test_a_note_names_a_few_of_many_branches(tmp_path, phantom_data):
    arms = {f"arm{number}": number for number in range(8)}
    forks = {"x": {"schedule": {"lambda_ngf": {0: 20, 2: arms}}}}
    sweep = sweep_of(tmp_path / "many", phantom_data, forks)
    note = card(sweep.jobs[0], sweep).tags["mlflow.note.content"]
    assert "shared with x.arm1, x.arm2, x.arm3, x.arm4, x.arm5 and 2 more and trained" in note


def test_a_schedule_that_changes_without_a_fork_tells_its_last_change():
    run = tiny_run(epochs=9, schedule={"lambda_ngf": {0: 20, 4: 5, 6: 0}, "lambda_bg": 10})
    params = run_params(run)
    assert params["lambda_ngf"] == "20"
    assert params["lambda_ngf_schedule"] == "20, 5 from 5, 0 from 7"
    assert (params["lambda_ngf_after"], params["switch_epoch"]) == ("0", 6)
    assert "lambda_bg_after" not in params
    assert "switch_epoch" not in run_params(tiny_run())
