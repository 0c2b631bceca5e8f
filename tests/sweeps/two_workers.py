"""What each of two workers does in `test_two_workers`: train one leaf together, over gloo."""

import datetime
from pathlib import Path

import torch
from torch import distributed

from sweeps.job import Job
from sweeps.trial import train_leaf


def train_together(rank: int, world: int, job: str, folder: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(str(Path(folder) / "rendezvous"), world)
    limit = datetime.timedelta(seconds=60)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=limit)
    train_leaf(Job.model_validate_json(job), report=lambda row: None)
    distributed.destroy_process_group()
