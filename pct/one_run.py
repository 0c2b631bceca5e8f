"""One run in one folder, without Ray. The same line again goes on, equal to never having stopped.

DIR/run.yaml        what is trained, resolved, and on which data; written once the run can start
DIR/state.pt        everything after the last finished epoch; the truth when the rest disagrees
DIR/history.jsonl   a row an epoch: losses, validation, times
DIR/model/          the best generator so far, for `pct predict` and `pct score`
"""

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from data_prep.cache import open_slices
from data_prep.errors import PctError
from data_prep.schema import Manifest
from data_prep.shards import read_manifest
from pct.alone import alone
from pct.card import make_card
from pct.checkpoints import write_safely
from pct.config import NUMERICS, BadConfig, Run, build_run, read_yaml
from pct.frozen import Frozen
from pct.given import settle_init
from pct.model import choose_device, save_model
from pct.needs import check_fit
from pct.precision import settle_precision
from pct.state import BadState, TrainState, from_bytes, start, to_bytes
from pct.train import EpochEnd, OnStep, TrainingData, fit

MAY_DIFFER = ("epochs", "init.model", "max_parameters")
"""Settings in which a run that goes on may differ: it may be longer, its model may have moved."""


class OtherRun(PctError):
    """A folder that holds another run than the one asked for, or is in use."""


def train_here(
    run: Run,
    data: Path,
    folder: Path,
    *,
    on_epoch: Callable[[EpochEnd], None] = lambda event: None,
    on_step: OnStep = lambda epoch, done: None,
) -> TrainState:
    """Train `run` to its end in `folder`, going on from what is there.

    Raises `OtherRun` where the folder was begun with other settings or data; more `epochs` than
    before are no other run. After a non-finite loss the folder holds the last good epoch.
    """
    manifest = read_manifest(data)
    check_fit(run, manifest, data, name="the run")
    if run.workers > 1:
        raise BadConfig(f"workers={run.workers}: pct train is one worker, pct sweep is several.")
    with _alone(folder):
        run, surroundings = _settle(run, manifest, folder)
        torch.set_num_threads(run.threads)
        state = resume(run, folder)
        _write(folder / "run.yaml", {**surroundings, "run": run.model_dump(mode="json")})
        _publish(state, run, manifest, data, folder)

        def keep(event: EpochEnd, state: TrainState) -> None:
            write_safely(folder / "state.pt", to_bytes(state))
            _publish(state, run, manifest, data, folder)
            on_epoch(event)

        slices = TrainingData(open_slices(data, "train"), open_slices(data, "val"))
        return fit(state, run, slices, until=run.epochs, listeners=[keep], on_step=on_step)


def resume(run: Run, folder: Path) -> TrainState:
    """The state in the folder, or a fresh one."""
    device = choose_device("auto")
    path = folder / "state.pt"
    try:
        state = from_bytes(path.read_bytes(), run, device) if path.exists() else start(run, device)
    except BadState as error:
        raise BadState(f"{path}: {error}") from error
    if state.epoch > run.epochs:
        raise OtherRun(
            f"{folder}: has finished {state.epoch} epochs, epochs={run.epochs} asks for fewer. "
            "Give another --to."
        )
    return state


def _settle(run: Run, manifest: Manifest, folder: Path) -> tuple[Run, dict[str, Any]]:
    """The run, `precision: auto` and `init` resolved, and what it rests on; as in run.yaml."""
    path = folder / "run.yaml"
    known = _read(path) if path.exists() else None
    if run.precision == "auto":
        precision = build_run(known["run"]).precision if known else settle_precision(run)
        run = run.model_copy(update={"precision": precision})
    if run.init:
        run = run.model_copy(update={"init": settle_init(run.init)})
    surroundings = {"data": manifest.digest, "numerics": NUMERICS, "torch": version("torch")}
    if known:
        _refuse_another(run, surroundings, known, folder)
    return run, surroundings


def _refuse_another(
    run: Run, surroundings: dict[str, Any], known: dict[str, Any], folder: Path
) -> None:
    there = {k: v for k, v in known.items() if k != "run"} | _flat(build_run(known["run"]))
    here = surroundings | _flat(run)
    differing = [
        f"{name} is {there.get(name)} there and {here.get(name)} here"
        for name in sorted(there | here)
        if name not in MAY_DIFFER and there.get(name) != here.get(name)
    ]
    if differing:
        raise OtherRun(
            f"{folder}: holds another run: {'; '.join(differing)}. Give another --to, or the "
            f"settings and data of {folder / 'run.yaml'}."
        )


def _flat(run: Run) -> dict[str, Any]:
    """Settings by dotted name; a schedule is one setting."""
    flat: dict[str, Any] = {}
    for name, value in run:
        inner = value.model_dump(mode="json") if isinstance(value, Frozen) else None
        flat |= {f"{name}.{key}": item for key, item in inner.items()} if inner else {name: value}
    return flat


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content.get("run"), dict):
        raise OtherRun(f"{path}: no run of `pct train`. Give another --to.")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    yaml, buffer = YAML(), io.BytesIO()
    yaml.default_flow_style = None
    yaml.dump(content, buffer)
    write_safely(path, buffer.getvalue())


def _publish(state: TrainState, run: Run, manifest: Manifest, data: Path, folder: Path) -> None:
    """History and best model as the state has them, whatever a kill has left of them."""
    rows = "".join(f"{json.dumps(row)}\n" for row in state.history)
    write_safely(folder / "history.jsonl", rows.encode())
    if state.best is None:
        return
    card = make_card(
        run, data, trial=folder.resolve().name, epoch=state.best.epoch, value=state.best.value
    )
    if _card_at(folder / "model") != card:
        save_model(folder / "model", state.best.weights, run=run, grid=manifest.grid, card=card)


def _card_at(model: Path) -> Any:
    path = model / "model.json"
    return json.loads(path.read_text())["card"] if path.exists() else None


def _alone(folder: Path) -> AbstractContextManager[None]:
    busy = f"{folder}: another pct train is running there. Wait for it, or give another --to."
    return alone(folder, busy=OtherRun(busy))
