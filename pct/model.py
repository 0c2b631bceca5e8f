"""A model folder: weights without pickle, and all that prediction must know, as JSON."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_prep.errors import PctError
from data_prep.schema import SliceGrid
from pct.config import Background, Geometry, Run
from pct.networks import Generator

FORMAT = 1


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


def save_model(
    folder: Path, weights: dict[str, Tensor], *, run: Run, grid: SliceGrid, card: dict[str, Any]
) -> None:
    """Write `generator.safetensors` and `model.json` under a temporary name, then rename."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(
        {k: v.contiguous().cpu() for k, v in weights.items()}, temporary / "generator.safetensors"
    )
    content = {
        "format": FORMAT,
        "run": run.model_dump(mode="json"),
        "grid": asdict(grid),
        "card": card,
    }
    (temporary / "model.json").write_text(json.dumps(content, indent=1, sort_keys=True))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load_model(folder: Path, *, device: torch.device | None = None) -> Model:
    """Read a model folder. Anything missing, torn or foreign is a `BadModel` naming the file."""
    try:
        content = json.loads((folder / "model.json").read_text())
        weights = load_file(folder / "generator.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise BadModel(
            f"{folder}: no model folder ({error}). Expected generator.safetensors and "
            "model.json, as `pct promote` writes them."
        ) from error
    run, grid, card = _read_facts(content, folder / "model.json")
    generator = Generator(run.generator)
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise BadModel(f"{folder}: the weights do not fit its model.json: {error}") from error
    generator.to(device or torch.device("cpu")).eval()
    return Model(generator, run, grid, card)


def _read_facts(content: Any, path: Path) -> tuple[Run, SliceGrid, dict[str, Any]]:
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != FORMAT:
        raise BadModel(
            f"{path}: format {found}, this version reads {FORMAT}. Promote the model anew."
        )
    try:
        run, grid = Run.model_validate(content["run"]), SliceGrid(**content["grid"])
        card = content["card"]
        return run, grid, {**card, "trial": card["trial"], "epoch": card["epoch"]}
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
