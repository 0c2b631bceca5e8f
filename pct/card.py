"""What a model folder says of its model: where it comes from, what it saw, what it is for."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from data_prep.fingerprint import training_fingerprint
from data_prep.shards import read_manifest
from pct.config import Run
from pct.given import id_keys, trained_on
from pct.model import Model
from pct.networks import Generator

SPLITS = ("train", "val", "test")

INTENDED_USE = "Research only. Not a medical device; not for treatment planning."


def make_card(
    run: Run, data: Path, *, trial: str, epoch: int, value: float, **more: Any
) -> dict[str, Any]:
    """The card of `run`'s generator after `epoch` epochs, of plain values; `more` comes on top.

    `value` is that of the selection metric; `trained_on` are all cases it has learnt from, with a
    given model's; `fingerprint` is what its training data look like, for prediction to compare.
    `cases` and `slices` are the data's, by split.
    """
    manifest = read_manifest(data)
    return {
        "trial": trial,
        "epoch": epoch,
        "select": run.select.metric,
        "value": value,
        "data_digest": manifest.digest,
        "split_sha": manifest.split_sha,
        "cases": {split: manifest.num_cases[split] for split in SPLITS},
        "slices": {split: manifest.num_slices[split] for split in SPLITS},
        "trained_on": trained_on(run, data),
        "id_keys": id_keys(run, data),
        "fingerprint": training_fingerprint(data),
        "software": {name: version(name) for name in ("pct-sweeps", "torch", "monai")},
        "intended_use": INTENDED_USE,
        **more,
    }


def carded_model(weights: Mapping[str, Tensor], run: Run, data: Path, **facts: Any) -> Model:
    """`run`'s generator with these weights, in evaluation mode, with its card; as `make_card`."""
    generator = Generator(run.generator)
    generator.load_state_dict(weights)
    card = make_card(run, data, **facts)
    return Model(generator.eval(), run, read_manifest(data).grid, card)
