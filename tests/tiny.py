"""Pairs small enough for a test: discs with a bone rim, bright inside in MR and dark at the rim."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.parquet import pack
from data_prep.schema import PackedMasks, Slices
from pct.config import Run, build_run, load_preset, merge

if TYPE_CHECKING:
    from pct.batches import Batch


def tiny_run(**settings: Any) -> Run:
    """The `smoke` preset on 32-pixel slices, 6 epochs."""
    return build_run(merge(merge(_smoke(), TINY), settings))


TINY = {"epochs": 6, "data": {"size": 32}}


@cache
def _smoke() -> dict[str, Any]:
    return load_preset("smoke")


def disc_slices(*, cases: int, per_case: int, size: int = 32, seed: int = 0) -> Slices:
    """Slice pairs of discs of random size and place."""
    rng = np.random.default_rng(seed)
    count = cases * per_case
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 2, indexing="ij"), -1)
    centre = size / 2 + rng.uniform(-2, 2, (count, 1, 1, 2))
    reach = (
        np.linalg.norm(grid[None] - centre, axis=-1) / rng.uniform(0.3, 0.4, (count, 1, 1)) / size
    )
    head = reach < 1
    rim = head & (reach > 0.8)
    texture = rng.normal(0, 20, head.shape)
    ct = np.where(rim, 900, np.where(head, 40 + texture, -1000))
    mr = np.where(rim, 80, np.where(head, 700 + 8 * texture, 20))
    subject = np.repeat([f"case-{i}" for i in range(cases)], per_case)
    ones = np.ones((count, 1))
    window = np.stack([ones * 20, ones * 1100], -1)
    rims, heads = (PackedMasks(pack(mask), size) for mask in (rim, head))
    return Slices(
        subject=subject,
        pixel_mm=np.repeat(0.8 + 0.1 * np.arange(cases), per_case),
        z=np.tile(np.arange(per_case, dtype=np.int32), cases),
        mr_codes=mr.clip(0).astype(np.uint16)[:, None],
        mr_slope=ones,
        mr_intercept=ones * 0,
        mr_head_window=window,
        mr_volume_window=window,
        ct_hu=ct.astype(np.int16),
        head=heads,
        skull=rims,
        valid=heads,
    )


def tiny_batch(seed: int, run: Run) -> "Batch":
    """Four pairs of discs of 32 pixels, two each of two patients."""
    import torch

    from pct.batches import make_batch

    return make_batch(
        disc_slices(cases=2, per_case=2, seed=seed), np.arange(4), run, torch.device("cpu")
    )
