"""A plausible DIR/looks and DIR/histograms for the made-up sweep: drawn heads, blurred less and
less as epochs pass."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from sweep_folder import CASES, FORK, LAST, LEVEL

EPOCHS = (1, FORK, FORK + 1, LAST)
PIXEL_MM = 4.0
SHAPE = (64, 56)


def draw_head(seed: int, shape=SHAPE, pixel_mm: float = PIXEL_MM):
    """MR in [-1, 1], CT in HU and head mask of an ellipse with a skull, a brain and a sinus."""
    y, x = ((np.arange(n) - (n - 1) / 2) * pixel_mm for n in shape)
    r = np.hypot(x[None] / 72, y[:, None] / (92 + 2 * seed))
    sinus = np.hypot((x[None] - 4 * seed) / 16, (y[:, None] - 62) / 12) < 1
    ct_hu, mr = np.full(shape, -1000.0), np.full(shape, -1.0)
    for inside, hu, signal in ((r < 1, 40, 0.2), (r < 0.92, 1100, -0.8), (r < 0.82, 35, 0.1),
                               (sinus & (r < 0.92), -950, -0.95)):  # fmt: skip
        ct_hu[inside], mr[inside] = hu, signal
    noise = np.random.default_rng(seed).normal(0, 12, shape)
    return mr.astype(np.float16), np.rint(ct_hu + noise).astype(np.int16), r < 1


def predict(ct_hu, *, epoch: int, trial: str):
    """A pseudo-CT: the CT blurred by 1 to 4 pixels, with an offset of its trial's own."""
    sigma = 1 + 3 * (1 - epoch / LAST)
    blurred = ndimage.gaussian_filter(ct_hu.astype(float), sigma)
    return np.rint(blurred + 2 * len(trial)).clip(-1000, 3000).astype(np.int16)


def write_looks(folder: Path, *, trials=tuple(LEVEL), cases=CASES, epochs=EPOCHS, draw=draw_head):
    heads = {case: draw(seed) for seed, case in enumerate(cases)}
    arrays = {}
    for case, (mr, ct_hu, head) in heads.items():
        arrays |= {f"{case}/mr": mr, f"{case}/ct_hu": ct_hu, f"{case}/head": head,
                   f"{case}/pixel_mm": np.float64(PIXEL_MM), f"{case}/z": np.int64(12)}  # fmt: skip
    (folder / "looks").mkdir(parents=True)
    np.savez_compressed(folder / "looks" / "cases.npz", **arrays)
    for trial in trials:
        (folder / "looks" / trial).mkdir()
        for name, epoch in [(f"epoch-{e:04d}", e) for e in epochs] + [("best", max(epochs))]:
            seen = {c: predict(h[1], epoch=epoch, trial=trial) for c, h in heads.items()}
            np.savez_compressed(folder / "looks" / trial / f"{name}.npz", **seen)


def histogram_rows(case: str, tissue: str, quantity: str, values) -> list[dict]:
    """A row a bin, empty ones too, as a sweep writes them."""
    low, high = (-1000, 1000) if quantity == "error_hu" else (-1040, 3080)
    counts, edges = np.histogram(np.clip(values, low, high - 1), np.arange(low, high + 1, 20))
    return [
        {"case": case, "tissue": tissue, "quantity": quantity, "low": float(edge), "width": 20.0,
         "voxels": int(count)}
        for edge, count in zip(edges, counts, strict=False)
    ]  # fmt: skip


def write_histograms(folder: Path, *, trials=tuple(LEVEL), cases=CASES):
    (folder / "histograms").mkdir()
    for trial in trials:
        rows = []
        for seed, case in enumerate(cases):
            _, ct_hu, head = draw_head(seed)
            pct_hu = predict(ct_hu, epoch=LAST, trial=trial)
            air, bone = ct_hu < -400, ct_hu > 250
            for tissue, mask in (("air", air), ("soft", ~air & ~bone), ("bone", bone)):
                ct, pct = (a[mask & head].astype(int) for a in (ct_hu, pct_hu))
                rows += histogram_rows(case, tissue, "error_hu", pct - ct)
                rows += histogram_rows(case, tissue, "ct_hu", ct)
                rows += histogram_rows(case, tissue, "pct_hu", pct)
        pd.DataFrame(rows).to_parquet(folder / "histograms" / f"{trial}.parquet")
