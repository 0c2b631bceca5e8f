"""A model folder: weights without pickle, and all that prediction must know, as JSON."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from data_prep.errors import PctError
from data_prep.schema import SliceGrid
from pct.card_text import SCORES, write_card
from pct.config import Background, Geometry, Run
from pct.networks import Generator
from pct.trust import build_generator, refuse_odd

FORMAT = 1

WEIGHTS = "generator.safetensors"
FACTS = "model.json"


class BadModel(PctError):
    """A folder that is no model of ours, or an address that names none."""


class BadDevice(PctError):
    """A device that this machine does not have."""


@dataclass(frozen=True)
class Model:
    """A generator in evaluation mode, with the run that made it and the grid it was trained on."""

    generator: Generator
    run: Run
    grid: SliceGrid
    card: dict[str, Any]
    """Where it comes from: trial, epoch, data digest, metrics."""

    @property
    def name(self) -> str:
        """Trial and epoch, for tables."""
        return f"{self.card['trial']}@{self.card['epoch']}"

    @property
    def digest(self) -> str:
        """The start of a hash of its weights, by which the test set's ledger knows it."""
        return weights_digest(self.generator.state_dict())


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Sixteen digits of the sha256 over the values of all weights, in the network's own order."""
    digest = hashlib.sha256()
    for weight in weights.values():
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_model(
    folder: Path,
    weights: Mapping[str, Tensor],
    *,
    run: Run,
    grid: SliceGrid,
    card: dict[str, Any],
    scores: pd.DataFrame | None = None,
) -> None:
    """Write a model folder under a temporary name, then rename it.

    It holds `generator.safetensors`, `model.json`, the validation `scores` if given, and of these
    `model_card.md`.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    raw = safetensors.save({name: value.contiguous().cpu() for name, value in weights.items()})
    (temporary / WEIGHTS).write_bytes(raw)
    content = {
        "format": FORMAT,
        "run": run.model_dump(mode="json"),
        "grid": asdict(grid),
        "card": card,
        "weights": {"digest": weights_digest(weights), "sha256": hashlib.sha256(raw).hexdigest()},
    }
    (temporary / FACTS).write_text(json.dumps(content, indent=1, sort_keys=True))
    if scores is not None:
        scores.to_parquet(temporary / SCORES)
    write_card(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load_model(folder: Path, *, device: torch.device | None = None) -> Model:
    """Read a model folder. Anything missing, torn or foreign is a `BadModel` naming the file.

    It runs no code from the folder, opens no path that its files name, and takes no more memory
    than its weights do, whatever `model.json` says. Of other weights than `model.json` was
    written with it says so; model folders that do not know theirs are taken as they are.
    """
    try:
        content = json.loads((folder / FACTS).read_text())
        raw = (folder / WEIGHTS).read_bytes()
        weights = safetensors.load(raw)
    except (OSError, ValueError, RecursionError, KeyError, SafetensorError) as error:
        raise BadModel(
            f"{folder}: no model folder ({error}). Expected {WEIGHTS} and "
            f"{FACTS}, as `pct promote` writes them."
        ) from error
    run, grid, card = _read_facts(content, folder / FACTS)
    _refuse_changed(content, raw, folder)
    try:
        generator = build_generator(run.generator, weights)
    except ValueError as error:
        raise BadModel(f"{folder}: the weights do not fit its {FACTS}: {error}") from error
    generator.to(device or torch.device("cpu")).eval()
    return Model(generator, run, grid, card)


def _refuse_changed(content: dict[str, Any], raw: bytes, folder: Path) -> None:
    known = content.get("weights")
    expected = known.get("sha256") if isinstance(known, dict) else known
    found = hashlib.sha256(raw).hexdigest()
    if expected not in (None, found):
        raise BadModel(
            f"{folder / WEIGHTS}: has sha256 {found[:16]}, {FACTS} was written for "
            f"{str(expected)[:16]}. It was damaged or replaced: copy or promote the model anew."
        )


def _read_facts(content: Any, path: Path) -> tuple[Run, SliceGrid, dict[str, Any]]:
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise BadModel(
            f"{path}: format {found}, this version reads {FORMAT}. Promote the model anew."
        )
    try:
        run, grid = Run.model_validate(content["run"]), SliceGrid(**content["grid"])
        card = {**content["card"]}
        refuse_odd(run, grid, trial=card["trial"], epoch=card["epoch"])
        return run, grid, card
    except (KeyError, TypeError, ValueError) as error:
        raise BadModel(
            f"{path}: lacks what prediction needs ({error}). Promote the model anew."
        ) from error


def predicting(
    model: Model, *, geometry: Geometry | None = None, background: Background | None = None
) -> Model:
    """The same model, made to predict otherwise than its run says; None leaves it as it is."""
    changed = {"geometry": geometry, "background": background}
    given = {key: value for key, value in changed.items() if value is not None}
    return replace(model, run=model.run.model_copy(update=given))


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; a device that is not there is a `BadDevice`."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        first = str(error).partition("\n")[0].partition(":")[0]
        raise BadDevice(f"device {name!r}: {first}. Take cpu or auto.") from error
    return device


def find_model(address: str, *, tracking: str | None = None) -> Path:
    """The folder of a model: a path, or `scheme:...` as a package registers it in `pct.models`.

    An address `...@...` that is no path goes to the finder `snapshot`.
    """
    scheme, colon, _ = address.partition(":")
    finders = {point.name: point for point in entry_points(group="pct.models")}
    name, at, _ = address.rpartition("/")[2].rpartition("@")
    if not (colon and scheme in finders) and name and at:
        scheme, colon = "snapshot", ":"
    if Path(address).is_dir():
        return Path(address)
    if colon and scheme in finders:
        folder: Path = finders[scheme].load()(address, tracking=tracking)
        return folder
    raise BadModel(
        f"{address}: no such model folder. Expected a path, DIR/TRIAL@EPOCH of a sweep, "
        "or models:/NAME@ALIAS."
    )
