"""A sweep of four epochs on phantoms, and how many epochs it really trains."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch

from pct import train as training
from pct.config import merge
from pct.state import read_content
from sweeps.recipe import Recipe
from sweeps.search.space import Search
from sweeps.session import Result
from sweeps.sweep import Sweep, prepare_sweep
from tests.data_folder import SIZE

TRIALS = {
    "never": {"schedule": {"lambda_ngf": 0}},
    "ngf": {"schedule": {"lambda_ngf": {0: 20, 2: {"keep": 20, "drop": 0}}}},
    "same": {"schedule": {"lambda_ngf": 20}},
}


def sweep_of(folder: Path, data_folder: Path, trials=TRIALS, **common) -> Sweep:
    settings = merge({"epochs": 4, "data": {"size": SIZE}, "val": {"slices": 1}}, common)
    recipe = Recipe("tiny", "smoke", settings, trials, (), {}, Search())
    return prepare_sweep(recipe, data=data_folder, folder=folder)


@contextlib.contextmanager
def counted_epochs(*, break_after: int = 10**6) -> Iterator[list[int]]:
    """Epochs really trained meanwhile; one too many is interrupted."""
    trained: list[int] = []
    train_epoch = training.train_epoch

    def count(state, run, table, **how):
        if len(trained) == break_after:
            raise KeyboardInterrupt
        trained.append(state.epoch + 1)
        return train_epoch(state, run, table, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_epoch", count)
        yield trained


@dataclass
class Swept:
    sweep: Sweep
    result: Result
    trained: list[int]

    @property
    def history(self) -> pd.DataFrame:
        return pd.read_parquet(self.sweep.folder / "history.parquet")

    @property
    def trials(self) -> pd.DataFrame:
        return pd.read_parquet(self.sweep.folder / "trials.parquet").set_index("trial")


def final_state(sweep: Sweep, leaf: str) -> dict:
    job = next(job for job in sweep.jobs if job.leaf == leaf)
    return read_content(sweep.store.get(job.key(job.run.epochs), "state.pt"), torch.device("cpu"))
