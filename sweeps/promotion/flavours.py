"""A model folder as an MLflow model too: `python_function` for volumes, `pytorch` for slices."""

import re
from importlib.metadata import requires, version
from pathlib import Path
from platform import python_version
from typing import Any

import mlflow.pyfunc
import torch
from mlflow.models import Model as MlflowModel
from ruamel.yaml import YAML

from data_prep.atomic import renamed
from pct.card_text import write_card
from pct.export import export_generator
from pct.model import Model, load_model

OURSELVES = "pct-sweeps"

PROGRAM = Path("data", "model.pt2")
"""The name under which `mlflow.pytorch.load_model` looks for an exported program."""

LOADER = "sweeps.promotion.volumes"


def add_flavours(folder: Path) -> None:
    """Make a model folder an MLflow model as well, so that `mlflow.*.load_model` takes it.

    `MLmodel` comes last: a folder that has it is whole. The card is written anew, with the scores
    that lie in the folder by now. Nothing is asked of any network, nothing guessed: requirements
    are what this program declares, at the versions installed here.
    """
    model = load_model(folder)
    write_card(folder)
    export_generator(model.generator, folder / PROGRAM)
    pins = requirements()
    _write(folder / "requirements.txt", "\n".join((*_head(), *pins)) + "\n")
    _write_yaml(folder / "python_env.yaml", _python_env())
    _write_yaml(folder / "conda.yaml", _conda(pins))
    with renamed(folder / "MLmodel") as temporary:
        _mlmodel(model, folder).save(temporary)


def requirements() -> list[str]:
    """What pct-sweeps declares it needs, without its extras, pinned to what is installed here.

    Local versions such as torch's `+cpu` are left out: package indexes do not have them.
    """
    needed = sorted(text for text in requires(OURSELVES) or () if "extra ==" not in text)
    found = [re.match(r"([\w.-]+)(\[.*?\])?", text) for text in needed]
    return [f"{name[0]}=={version(name[1]).partition('+')[0]}" for name in found if name]


def _head() -> tuple[str, str]:
    return (
        f"# {OURSELVES} {version(OURSELVES)} itself is not on PyPI: install it from its source.",
        "# These are the versions that it ran with when this model became an MLflow model.",
    )


def _mlmodel(model: Model, folder: Path) -> Any:
    """The content of `MLmodel`. It has no signature: volumes come as paths, tables or arrays."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    told = MlflowModel(
        metadata={
            "trial": model.name,
            "weights_digest": model.digest,
            "data_digest": model.card.get("data_digest", ""),
            "intended_use": model.card.get("intended_use", ""),
        },
        model_size_bytes=sum(sizes),
    )
    told.add_flavor(
        "pytorch", model_data=PROGRAM.parent.name, pytorch_version=str(torch.__version__), code=None
    )
    mlflow.pyfunc.add_to_model(
        told, loader_module=LOADER, conda_env="conda.yaml", python_env="python_env.yaml"
    )
    return told


def _python_env() -> dict[str, Any]:
    return {
        "python": python_version(),
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }


def _conda(pins: list[str]) -> dict[str, Any]:
    inner = [f"python={python_version()}", "pip", {"pip": pins}]
    return {"name": OURSELVES, "channels": ["conda-forge"], "dependencies": inner}


def _write(path: Path, text: str) -> None:
    with renamed(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    with renamed(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
