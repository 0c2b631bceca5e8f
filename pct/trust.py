"""What a model folder is checked for before it is believed: names, sizes, weights that fit."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from data_prep.schema import SliceGrid
from pct.config import GeneratorConfig, Run
from pct.networks import Generator

LARGEST = 4096
"""Pixels along a side of a slice."""

STEPS_MM = (0.05, 50.0)
"""Between them lies every distance of pixels or slices that makes sense for a head."""


def refuse_odd(run: Run, grid: SliceGrid, *, trial: Any, epoch: Any) -> None:
    """A `ValueError` for what this program never writes: a name that is a path, an odd grid."""
    if not isinstance(trial, str) or not trial or set(trial) & set("/\\\0\n"):
        raise ValueError(f"trial {trial!r} is no name of a trial")
    if type(epoch) is not int or epoch < 0:
        raise ValueError(f"epoch {epoch!r} is no number of epochs")
    if (grid.arm, grid.size) != (run.data.arm, run.data.size):
        raise ValueError(
            f"the grid's slices are {grid.arm!r} of {grid.size!r} pixels, the run's "
            f"{run.data.arm} of {run.data.size}"
        )
    if grid.size > LARGEST:
        raise ValueError(f"slices of {grid.size} pixels, expected {LARGEST} at most")
    low, high = STEPS_MM
    for name in ("pixel_mm", "slice_mm"):
        step = getattr(grid, name)
        if not isinstance(step, int | float) or not low <= step <= high:
            raise ValueError(f"the grid's {name} is {step!r}, expected {low:g} to {high:g}")


def build_generator(config: GeneratorConfig, weights: Mapping[str, Tensor]) -> Generator:
    """The network with these very weights; a `ValueError` where they do not fit.

    It is built without memory until they are found to, whatever sizes `config` names, and draws
    no random numbers.
    """
    if len(config.channels) * max(1, config.num_res_units) > len(weights):
        raise ValueError(f"{len(weights)} tensors are too few for generator.*")
    try:
        with torch.device("meta"):
            generator = Generator(config)
        for name, value in generator.state_dict().items():
            if name in weights and weights[name].dtype != value.dtype:
                raise ValueError(f"{name} holds {weights[name].dtype}, expected {value.dtype}")
        generator.load_state_dict(weights, assign=True)
    except (RuntimeError, TypeError) as error:  # of sizes that no tensor can have, too
        raise ValueError(str(error)) from error
    return generator
