"""A sweep that goes on: after a kill, a deleted folder, another setting, beside other sweeps."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from data_prep.shards import list_cases, read_manifest
from pct.needs import WrongData, check_fit
from sweeps import sweep as sweeping
from sweeps import trial
from sweeps.job import read_outcome
from sweeps.promotion.candidate import read_candidate, write_model
from sweeps.promotion.gate import Refused
from sweeps.promotion.promote import promote
from sweeps.recipe import Leaf
from sweeps.runner import Where
from sweeps.session import alone, run_sweep
from sweeps.sweep import prepare_sweep
from sweeps.tracking import client_at
from sweeps.trial import train_leaf
from tests.sweeps.small_sweep import counted_epochs, final_state, sweep_of
from tests.tiny import tiny_run


def test_sweeps_in_folders_of_one_name_have_runs_of_their_own(tmp_path, phantom_data, tracking):
    for parent in ("alice", "bob"):
        sweep = sweep_of(tmp_path / parent / "twice", phantom_data, {"plain": {}}, epochs=1)
        result = run_sweep(sweep, tracking, Where(here=True))
    runs = client_at(tracking).search_runs(
        [result.experiment_id],
        "tags.`pct.kind` = 'trial' and tags.`pct.sweep` LIKE '%twice%'",
    )
    assert len(runs) == 2


def test_a_sweep_goes_on_though_its_folder_was_deleted(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "deleted", phantom_data, {"plain": {}})
    with counted_epochs(break_after=2), pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tracking, Where(here=True))
    shutil.rmtree(sweep.folder)
    assert run_sweep(sweep, tracking, Where(here=True)).outcomes["plain"].status == "FINISHED"
    runs = client_at(tracking).search_runs(
        [run_sweep(sweep, tracking, Where(here=True)).experiment_id],
        "tags.`pct.kind` = 'trial' and tags.`pct.sweep` LIKE '%deleted%'",
    )
    points = client_at(tracking).get_metric_history(runs[0].info.run_id, "val/psnr")
    assert [point.step for point in points] == [1, 2, 3, 4]


def test_a_longer_run_leaves_the_shorter_ones_last_stage_in_the_store(tmp_path, phantom_data):
    trial = {"plain": {}}
    short, longer = (
        sweep_of(tmp_path / f"e{epochs}", phantom_data, trial, epochs=epochs) for epochs in (13, 14)
    )
    for sweep in (short, longer):
        train_leaf(sweep.jobs[0], report=lambda row: None)
    (job,) = short.jobs
    assert short.store.has(job.key(13)), "promoting the shorter run needs it"


def test_a_killed_sweep_with_another_setting_forgets_the_old_numbers(
    tmp_path, phantom_data, tracking
):
    """Its spool must not pass over epochs that another run once trained under this name."""
    first = sweep_of(tmp_path / "changed", phantom_data, {"plain": {}})
    with counted_epochs(break_after=2), pytest.raises(KeyboardInterrupt):
        run_sweep(first, tracking, Where(here=True))
    second = sweep_of(tmp_path / "changed", phantom_data, {"plain": {"schedule": {"lr_g": 1e-5}}})
    run_sweep(second, tracking, Where(here=True))
    history = pd.read_parquet(second.folder / "history.parquet")
    told = history[history["metric"] == "loss/g"].sort_values("epoch")["value"].tolist()
    state = final_state(second, "plain")
    assert told == [row["loss/g"] for row in state["history"]]


def test_patience_ends_a_leaf_alike_beside_a_longer_run_and_after_a_kill(tmp_path, phantom_data):
    stop = {"metric": "val/psnr", "patience": 1, "min_delta": 50, "after": 2}
    patient = sweep_of(tmp_path / "patient", phantom_data, {"plain": {"stop": stop}}, epochs=6)
    endless = sweep_of(tmp_path / "endless", phantom_data, {"plain": {}}, epochs=6)
    train_leaf(endless.jobs[0], report=lambda row: None)
    with counted_epochs() as trained:
        train_leaf(patient.jobs[0], report=lambda row: None)
    outcome = read_outcome(patient.jobs[0])
    assert (outcome.epochs, trained) == (2, [])
    assert outcome.reason.startswith("val/psnr has not risen by 50")


def test_a_second_sweep_in_a_busy_folder_is_told_so(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "busy", phantom_data, {"plain": {}})
    with alone(sweep.folder), pytest.raises(WrongData, match="another pct sweep is running"):
        run_sweep(sweep, tracking, Where(here=True))
    assert not (sweep.folder / "jobs.json").exists()


def test_data_with_masks_of_two_kinds_is_refused_before_anything_runs(phantom_data):
    manifest = replace(read_manifest(phantom_data), mask_backends=("file-1", "threshold-1"))
    leaf = Leaf("plain", tiny_run(), {})
    with pytest.raises(WrongData, match="mixes masks by file-1 and threshold-1"):
        check_fit(leaf.run, manifest, phantom_data, name=leaf.name)


def test_data_of_several_mr_channels_is_refused_before_anything_runs(phantom_data):
    manifest = replace(read_manifest(phantom_data), mr_channels=("t1", "t2"))
    leaf = Leaf("plain", tiny_run(), {})
    message = r"holds 2 MR channels a slice \(t1, t2\), the generator takes 1\. Prepare it with one"
    with pytest.raises(WrongData, match=message):
        check_fit(leaf.run, manifest, phantom_data, name=leaf.name)


def test_auto_is_settled_once_a_sweep_and_a_resume_does_not_ask_again(
    tmp_path, phantom_data, monkeypatch
):
    answers = iter(["bfloat16"])
    monkeypatch.setattr(sweeping, "settle_precision", lambda run: next(answers))
    trials = {"one": {"precision": "auto"}, "two": {"precision": "auto", "seed": 2}}
    for _ in range(2):
        sweep = sweep_of(tmp_path / "auto", phantom_data, trials)
        assert {job.run.precision for job in sweep.jobs} == {"bfloat16"}


def test_a_sweep_starts_its_trunk_from_a_model_whose_patients_the_gate_sees(
    tmp_path, phantom_data, tracking
):
    (judge,) = list_cases(phantom_data, "val")
    first = sweep_of(tmp_path / "first", phantom_data, {"plain": {"epochs": 1}})
    run_sweep(first, tracking, Where(here=True))
    (job,) = first.jobs
    write_model(read_candidate(job, read_outcome(job)), tmp_path / "model", note="")
    card_path = tmp_path / "model" / "model.json"
    content = json.loads(card_path.read_text())
    assert content["card"]["trained_on"] == list_cases(phantom_data, "train")
    content["card"]["trained_on"].append(judge)
    card_path.write_text(json.dumps(content))
    trials = {"fine": {"init": str(tmp_path / "model"), "epochs": 1}}
    second = sweep_of(tmp_path / "second", phantom_data, trials)
    run_sweep(second, tracking, Where(here=True))
    (job,) = second.jobs
    assert len(job.run.init.digest) == 64
    with pytest.raises(Refused, match=f"was trained on 1 of its validation cases: {judge}"):
        promote(second.folder, trial=None, tracking=tracking.uri, force=False, note="")


def test_a_leaf_that_patience_ended_goes_on_once_its_patience_is_longer(
    tmp_path, phantom_data, tracking
):
    def sweep(patience: int):
        stop = {"metric": "val/psnr", "patience": patience, "min_delta": 50, "after": 2}
        return sweep_of(tmp_path / "patient", phantom_data, {"plain": {"stop": stop}}, epochs=5)

    short = run_sweep(sweep(1), tracking, Where(here=True)).outcomes["plain"]
    assert (short.status, short.epochs) == ("FINISHED", 2)
    assert short.reason.startswith("val/psnr has not risen by 50")
    with counted_epochs() as trained:
        longer = run_sweep(sweep(9), tracking, Where(here=True)).outcomes["plain"]
    assert trained == [3, 4, 5]
    assert (longer.epochs, longer.reason) == (5, "all epochs done")
    with counted_epochs() as trained:
        run_sweep(sweep(9), tracking, Where(here=True))
    assert trained == []


def test_what_patience_ended_between_snapshots_keeps_its_last_stage(
    tmp_path, phantom_data, tracking
):
    stop = {"metric": "val/psnr", "patience": 1, "min_delta": 50, "after": 11}
    sweep = sweep_of(tmp_path / "OUT", phantom_data, {"plain": {"stop": stop}}, epochs=14)
    outcome = run_sweep(sweep, tracking, Where(here=True)).outcomes["plain"]
    assert outcome.epochs == 11 not in sweep.jobs[0].snapshots
    assert sweep.store.has(outcome.last_stage)
    write_model(read_candidate(sweep.jobs[0], outcome), tmp_path / "model", note="")


def test_an_outcome_that_a_power_cut_has_torn_is_taken_for_none(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "OUT", phantom_data, {"plain": {}}, epochs=1)
    run_sweep(sweep, tracking, Where(here=True))
    sweep.jobs[0].outcome.write_text("")
    with counted_epochs() as trained:
        result = run_sweep(sweep, tracking, Where(here=True))
    assert result.outcomes["plain"].status == "FINISHED"
    assert trained == []


def test_a_twin_added_after_its_runs_stages_were_collected_gets_its_records(
    tmp_path, phantom_data, tracking
):
    first = sweep_of(tmp_path / "OUT", phantom_data, {"plain": {}}, epochs=2)
    run_sweep(first, tracking, Where(here=True))
    for key in list(first.store.keys()):
        first.store.drop(key)
    both = sweep_of(tmp_path / "OUT", phantom_data, {"plain": {}, "same": {}}, epochs=2)
    result = run_sweep(both, tracking, Where(here=True))
    assert result.outcomes["same"].status == "FINISHED"
    epochs = pd.read_parquet(both.folder / "history.parquet").groupby("trial")["epoch"].max()
    assert dict(epochs) == {"plain": 2, "same": 2}


def test_an_error_in_one_trial_fails_it_alone(tmp_path, phantom_data, tracking, monkeypatch):
    sweep = sweep_of(tmp_path / "OUT", phantom_data, {"one": {}, "two": {"seed": 2}}, epochs=1)
    score = trial.score_cases

    def breaks(model, *given, **how):
        if how["trial"] == "one":
            raise RuntimeError("out of memory")
        return score(model, *given, **how)

    monkeypatch.setattr(trial, "score_cases", breaks)
    outcomes = run_sweep(sweep, tracking, Where(here=True)).outcomes
    assert (outcomes["one"].status, outcomes["one"].reason) == ("FAILED", "out of memory")
    assert outcomes["two"].status == "FINISHED"


def test_a_relative_store_is_where_the_sweep_was_started(tmp_path, phantom_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = sweep_of(tmp_path / "OUT", phantom_data, {"plain": {}})
    given = prepare_sweep(sweep.recipe, data=phantom_data, folder=sweep.folder, store="mine")
    assert given.jobs[0].store == str(tmp_path / "mine")
