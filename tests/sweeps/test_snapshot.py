"""TRIAL@EPOCH: a trial's generator as it was, out of the stage store."""

import pytest
import torch

from pct.model import BadModel, find_model, load_model
from sweeps.job import NoSweep
from sweeps.records import write_jobs
from sweeps.runner import run_here
from sweeps.source import Listed
from tests.sweeps.small_sweep import final_state, sweep_of


@pytest.fixture(scope="module")
def swept(tmp_path_factory, phantom_data):
    """`plain` of 3 epochs, and `average`, whose validation sees a moving average."""
    trials = {"plain": {}, "average": {"ema_decay": 0.9, "epochs": 1}}
    sweep = sweep_of(tmp_path_factory.mktemp("snap") / "OUT", phantom_data, trials, epochs=3)
    sweep.folder.mkdir()
    write_jobs(sweep.folder, sweep.jobs)
    run_here(Listed(sweep.jobs), sweep.store)
    return sweep


def test_a_snapshot_is_the_generator_after_that_epoch(swept):
    model = load_model(find_model(f"{swept.folder}/plain@3"))
    state = final_state(swept, "plain")
    for name, weight in model.generator.state_dict().items():
        assert torch.equal(weight, state["generator"][name])
    assert (model.card["trial"], model.card["epoch"]) == ("plain", 3)
    earlier = load_model(find_model(f"{swept.folder}/plain@2")).generator.state_dict()
    assert any(not torch.equal(earlier[name], state["generator"][name]) for name in earlier)


def test_of_a_run_with_a_moving_average_it_is_what_validation_saw(swept):
    model = load_model(find_model(f"{swept.folder}/average@1"))
    average = final_state(swept, "average")["ema"]["weights"]
    assert all(torch.equal(w, average[name]) for name, w in model.generator.state_dict().items())


def test_without_a_folder_it_is_the_default_one(swept, monkeypatch):
    monkeypatch.chdir(swept.folder.parent)
    assert find_model("plain@1").resolve() == swept.folder / "models" / "plain@1"


def test_asking_again_writes_nothing(swept):
    first = find_model(f"{swept.folder}/plain@1") / "model.json"
    written = first.stat().st_mtime_ns
    find_model(f"{swept.folder}/plain@1")
    assert first.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("plian@3", "no trial 'plian' in .*: did you mean plain"),
        ("plain@4", r"no snapshot of plain after epoch 4 in .*; there are 1, 2, 3\."),
        ("plain@", r"no snapshot of plain after epoch \? in"),
        ("plain@last", "no snapshot of plain after epoch last"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(swept, address, told):
    with pytest.raises(BadModel, match=told):
        find_model(f"{swept.folder}/{address}")


def test_a_folder_without_a_sweep_is_told(tmp_path):
    with pytest.raises(NoSweep, match="no sweep here"):
        find_model(f"{tmp_path}/plain@3")
