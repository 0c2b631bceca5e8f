"""One leaf, from the longest stage in the store to its end: the same code in Ray and in-process."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from data_prep.cache import open_slices
from pct.card import carded_model
from pct.finite import NonFinite
from pct.model import Model
from pct.scoring.cohort import cohort
from pct.scoring.score import score_cases, table
from pct.state import TrainState, from_bytes, start, to_bytes
from pct.train import EpochEnd, TrainingData, fit, stop_reason
from pct.validate import look
from pct.world import from_first, rank
from sweeps import spool
from sweeps.evidence import Keeper, looks_of, write_shown_cases
from sweeps.job import Job, Outcome, failed, write_outcome
from sweeps.replay import replay, write_look
from sweeps.stages import Commits, go_on_from
from sweeps.store.store import Store
from sweeps.usage import meter

Report = Callable[[dict[str, float]], None]


def train_leaf(
    job: Job, *, report: Report, device: torch.device | None = None, store: Store | None = None
) -> None:
    """Train what the store does not hold yet, then score in 3D. Every worker calls it alike.

    A non-finite loss ends the leaf as FAILED with its reason; its last good stage stays.
    """
    torch.set_num_threads(job.run.threads)
    began = time.perf_counter()
    store = store or Store(job.store)
    state = resume(job, store, device)
    data = TrainingData(*(open_slices(Path(job.data), split) for split in ("train", "val")))
    if rank() == 0:
        replay(job, store, state.history)
    own = own_passing(job, state.epoch) if rank() == 0 else None
    commit = Commits(job.course, store, keep=job.snapshots, own=own)
    note_usage = meter(job, rank())

    def after_epoch(event: EpochEnd, state: TrainState) -> None:
        note_usage(state.epoch)
        files = stage_files(job, state, data)
        if rank() == 0:  # told before it is committed: what is in the store was told
            spool.add_epochs(job.spool, state.history[-1:], carried=False)
            commit(state.epoch, files)
        report({"epoch": float(event.epoch), **event.metrics})

    try:
        fit(state, job.run, data, until=job.run.epochs, listeners=[after_epoch])
    except NonFinite as error:
        if rank() == 0:
            write_outcome(job, failed(job, str(error), state.epoch))
        return
    if rank() == 0:
        reason = stop_reason(job.run, state.history) or "all epochs done"
        finish(job, state, data, reason=reason, seconds=time.perf_counter() - began)


def resume(job: Job, store: Store, device: torch.device | None = None) -> TrainState:
    """The state after the longest committed prefix of the leaf, or a fresh one.

    Rank 0 looks, so that all workers start from the same stage whatever others commit meanwhile.
    """
    found, files = last_useful(job, store) if rank() == 0 else (0, {})
    epoch = from_first(found)
    if not epoch:
        return start(job.run, device)
    content = files["state.pt"] if files else store.get(job.key(epoch), "state.pt")
    return from_bytes(content, job.run, device)


def last_useful(job: Job, store: Store) -> tuple[int, dict[str, bytes]]:
    """The longest whole stage, not beyond where patience would end: its epochs and its files."""
    limit = job.run.epochs
    while True:
        epoch, files = go_on_from(job.course, store, upto=limit)
        if not epoch:
            return 0, {}
        history = json.loads(files["history.json"])
        limit = next((e for e in range(1, epoch) if stop_reason(job.run, history[:e])), epoch)
        if limit == epoch:
            return epoch, files


def own_passing(job: Job, epoch: int) -> str | None:
    """Key of the epoch gone on from, if this leaf trained it and it is not one to keep."""
    trained = {line["epoch"] for line in spool.epochs(job.spool) if not line["carried"]}
    return job.key(epoch) if epoch in trained and epoch not in job.snapshots else None


def stage_files(job: Job, state: TrainState, data: TrainingData) -> dict[str, bytes]:
    """What is committed of the epoch just finished; empty on all workers but the first."""
    content = to_bytes(state)
    if rank():
        return {}
    files = {"state.pt": content, "history.json": json.dumps(state.history).encode()}
    if state.epoch in job.looks:
        looks = look(state.judged, data.val, job.run)
        write_shown_cases(job, looks)
        shown = looks_of(looks, f"epoch-{state.epoch:04d}")
        files |= shown
        for name, picture in shown.items():
            write_look(job, name, picture)
    return files


def best_model(job: Job, state: TrainState) -> Model:
    """The leaf's best generator, with a card that says where it comes from."""
    assert state.best is not None
    best = state.best
    return carded_model(
        best.weights, job.run, Path(job.data), trial=job.leaf, epoch=best.epoch,
        value=best.value, stage=job.key(state.epoch),
    )  # fmt: skip


def finish(job: Job, state: TrainState, data: TrainingData, *, reason: str, seconds: float) -> None:
    """Draw and score the best generator on the validation cases and write the outcome."""
    model = best_model(job, state)
    looks = look(model.generator, data.val, job.run)
    write_shown_cases(job, looks)
    for name, picture in looks_of(looks, "best").items():
        write_look(job, name, picture)
    keep = Keeper(job)
    scores = table(score_cases(model, Path(job.data), "val", trial=job.leaf, on_pct=keep))
    keep.write()
    job.scores.parent.mkdir(parents=True, exist_ok=True)
    scores.to_parquet(job.scores)
    rows = cohort(scores).to_dict("records")
    final = {f"val3d/{row['metric']}": float(row["mean"]) for row in rows}
    final |= {f"val3d/{row['metric']}_sd": float(row["sd"]) for row in rows}
    assert state.best is not None
    write_outcome(job, Outcome(
        leaf=job.leaf, status="FINISHED", reason=reason, key=job.last_key, ending=job.course.ending,
        last_stage=job.key(state.epoch), epochs=state.epoch, best_epoch=state.best.epoch,
        best_value=state.best.value, seconds=seconds, final=final,
    ))  # fmt: skip
