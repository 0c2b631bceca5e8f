"""`pct train`: a folder that goes on exactly, whatever stopped it, and refuses to mix runs."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from pct import one_run
from pct.__main__ import main
from pct.checkpoints import write_safely
from pct.config import BadConfig, build_run, read_yaml
from pct.finite import NonFinite
from pct.model import load_model
from pct.needs import WrongData
from pct.one_run import OtherRun, train_here
from pct.scoring.score import score_cases
from pct.state import BadState
from tests.tiny import tiny_run

EPOCHS = 3


def run_of(**settings):
    """Three epochs with an average and augmentation; precision is left to be settled."""
    fixed = {"epochs": EPOCHS, "ema_decay": 0.8, "augment": {"rotate_deg": 5, "bias": 0.1}}
    return tiny_run(**{**fixed, **settings})


@pytest.fixture(scope="module")
def straight(tmp_path_factory, phantom_data) -> tuple[Path, str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("straight") / "run"
    return folder, train_here(run_of(), phantom_data, folder).fingerprint()


def rows(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith("time")} for line in lines
    ]


def same_content(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    for name in ("generator.safetensors", "model.json"):
        ours, theirs = (folder / "model" / name for folder in (one, other))
        assert ours.read_bytes().replace(b'"other"', b'"run"') == theirs.read_bytes()


def test_a_folder_holds_the_settings_the_history_and_a_model_to_score(straight, phantom_data):
    folder, _ = straight
    written = read_yaml(folder / "run.yaml")
    assert build_run(written["run"]) == run_of()
    assert [row["epoch"] for row in rows(folder)] == [1, 2, 3]
    model = load_model(folder / "model")
    best = max(rows(folder), key=lambda row: row["val/psnr_masked"])
    assert (model.card["epoch"], model.card["value"]) == (best["epoch"], best["val/psnr_masked"])
    assert model.name == f"run@{best['epoch']}"
    assert len(model.card["trained_on"]) == 4
    assert {s.metric for s in score_cases(model, phantom_data, "val")} >= {"mae_head"}


def test_a_longer_run_goes_on_and_equals_one_that_was_long_from_the_start(
    straight, tmp_path, phantom_data
):
    folder, told = tmp_path / "other", []
    train_here(run_of(epochs=1), phantom_data, folder)
    state = train_here(run_of(), phantom_data, folder, on_epoch=lambda e: told.append(e.epoch))
    assert told == [2, 3]
    assert state.fingerprint() == straight[1]
    assert read_yaml(folder / "run.yaml")["run"]["epochs"] == EPOCHS


def test_the_same_line_again_trains_nothing(straight, phantom_data):
    folder, fingerprint = straight
    before = (folder / "state.pt").read_bytes()
    state = train_here(run_of(), phantom_data, folder, on_epoch=lambda e: pytest.fail("trained"))
    assert state.fingerprint() == fingerprint
    assert (folder / "state.pt").read_bytes() == before


def die(*_args, **_kwargs) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(place: str, data: str, folder: str) -> None:
    """Killed during epoch 2, or on the way of its results to the disk."""
    torch.set_num_threads(1)
    on_step = die_in_epoch_two if place == "in a step" else ignore
    if place == "writing the checkpoint":
        one_run.write_safely = dies_writing("state.pt", half=True)
    if place == "before the history":
        one_run.write_safely = dies_writing("history.jsonl", half=False)
    if place == "saving the model":
        one_run.save_model = dies_after(1, one_run.save_model)
    train_here(run_of(), Path(data), Path(folder), on_step=on_step)


def ignore(_epoch: int, _done: int) -> None:
    pass


def die_in_epoch_two(epoch: int, _done: int) -> None:
    if epoch == 1:
        die()


def dies_writing(name: str, *, half: bool):
    """`write_safely`, but the second epoch's file of this name is left half written, or not."""

    def write(path: Path, content: bytes) -> None:
        if path.name == name and (path.parent / "state.pt").exists() and len(rows(path.parent)):
            if half:
                path.with_name(f".{name}.tmp").write_bytes(content[: len(content) // 2])
            die()
        write_safely(path, content)

    return write


def dies_after(count: int, function):
    """The function, but the process dies on the call after so many, the folder gone."""
    calls = []

    def call(folder: Path, *args, **kwargs) -> None:
        calls.append(1)
        if len(calls) > count:
            (folder / "model.json").unlink()
            die()
        function(folder, *args, **kwargs)

    return call


@pytest.mark.parametrize(
    "place",
    ["in a step", "writing the checkpoint", "before the history", "saving the model"],
)
def test_a_killed_run_goes_on_to_where_the_straight_one_ended(
    straight, tmp_path, phantom_data, place
):
    multiprocessing.set_forkserver_preload(["tests.pct.test_one_run"])
    folder = tmp_path / "other"
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=train_and_die, args=(place, str(phantom_data), str(folder)))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (folder / "state.pt").exists()
    torch.rand(7)
    state = train_here(run_of(), phantom_data, folder)
    assert state.fingerprint() == straight[1]
    same_content(folder, straight[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": 0}, r"holds another run: flip is 0.5 there and 0.0 here\. Give another --to"),
        ({"schedule": {"lambda_ngf": 3}}, r"schedule.lambda_ngf is 20.0 there and 3.0 here\."),
        (
            {"seed": 4, "stop": {"after": 2}},
            r"run: seed is 1 there and 4 here; stop.after is None there and 2 here",
        ),
    ],
)
def test_another_setting_in_the_same_folder_is_one_error(straight, phantom_data, settings, message):
    folder, _ = straight
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OtherRun, match=message):
        train_here(run_of(**settings), phantom_data, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_other_data_in_the_same_folder_is_an_error(straight, tmp_path, phantom_data, monkeypatch):
    from dataclasses import replace

    manifest = replace(one_run.read_manifest(phantom_data), digest="0" * 64)
    monkeypatch.setattr(one_run, "read_manifest", lambda data: manifest)
    with pytest.raises(OtherRun, match=f"another run: data is .* there and {'0' * 64} here"):
        train_here(run_of(), phantom_data, straight[0])


def test_fewer_epochs_than_are_done_is_an_error(straight, phantom_data):
    before = (straight[0] / "run.yaml").read_bytes()
    with pytest.raises(OtherRun, match="has finished 3 epochs, epochs=2 asks for fewer"):
        train_here(run_of(epochs=2), phantom_data, straight[0])
    assert (straight[0] / "run.yaml").read_bytes() == before


def test_a_run_that_cannot_start_leaves_its_folder_to_the_one_that_is_meant(tmp_path, phantom_data):
    with pytest.raises(BadConfig, match="above max_parameters 10"):
        train_here(run_of(epochs=1, max_parameters=10), phantom_data, tmp_path)
    assert train_here(run_of(epochs=1), phantom_data, tmp_path).epoch == 1


def test_a_busy_folder_is_refused(tmp_path, phantom_data):
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(OtherRun, match="another pct train is running"),
    ):
        train_here(run_of(), phantom_data, tmp_path)


def test_data_of_another_size_or_several_workers_are_refused_before_a_file_is_written(
    tmp_path, phantom_data
):
    folder = tmp_path / "run"
    with pytest.raises(WrongData, match="the run wants resize slices of 64 pixels"):
        train_here(run_of(data={"size": 64}), phantom_data, folder)
    with pytest.raises(BadConfig, match="workers=2: pct train is one worker"):
        train_here(run_of(workers=2), phantom_data, folder)
    assert not folder.exists()


def test_after_a_loss_that_is_not_finite_the_last_good_epoch_is_kept(
    straight, tmp_path, phantom_data, monkeypatch
):
    folder, calls = tmp_path / "other", []
    good = one_run.fit.__globals__["train_epoch"]

    def breaks(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise NonFinite("epoch 3: loss/ngf is nan from step 1 of 2 on.")
        return good(*args, **kwargs)

    monkeypatch.setitem(one_run.fit.__globals__, "train_epoch", breaks)
    with pytest.raises(NonFinite, match="epoch 3: loss/ngf"):
        train_here(run_of(), phantom_data, folder)
    assert [row["epoch"] for row in rows(folder)] == [1, 2]
    monkeypatch.undo()
    assert train_here(run_of(), phantom_data, folder).fingerprint() == straight[1]


def test_a_torn_checkpoint_is_named(tmp_path, phantom_data):
    train_here(run_of(epochs=1), phantom_data, tmp_path)
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadState, match=r"state.pt: a checkpoint of 1000 bytes is torn"):
        train_here(run_of(), phantom_data, tmp_path)


def test_precision_is_settled_once_and_a_resume_does_not_ask_again(
    tmp_path, phantom_data, monkeypatch
):
    answers = iter(["bfloat16"])
    monkeypatch.setattr(one_run, "settle_precision", lambda run: next(answers))
    train_here(run_of(epochs=1, precision="auto"), phantom_data, tmp_path)
    train_here(run_of(epochs=2, precision="auto"), phantom_data, tmp_path)
    assert read_yaml(tmp_path / "run.yaml")["run"]["precision"] == "bfloat16"
    with pytest.raises(OtherRun, match="precision is bfloat16 there and float32 here"):
        train_here(run_of(epochs=2, precision="float32"), phantom_data, tmp_path)


def test_the_command_trains_tells_and_goes_on(tmp_path, phantom_data, capsys):
    words = ["train", "smoke", "--data", str(phantom_data), "--to", str(tmp_path / "run")]
    assert main([*words, "data.size=32", "epochs=1"]) == 0
    assert "epoch 1: loss/g " in capsys.readouterr().out
    assert main([*words, "data.size=32", "epochs=2"]) == 0
    out = capsys.readouterr().out
    assert "epoch 1" not in out.splitlines()[0]
    assert "2 epochs (all done); best is epoch " in out
    assert main([*words, "data.size=32", "epochs=2", "batch=4"]) == 2
    assert "batch is 6 there and 4 here" in capsys.readouterr().err
