"""Water-equivalent path length to targets in the brain: by how much a proton's range would be off.

A proxy for dose, not dose: straight rays, one calibration, no plan.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pct.metrics.slabs import HuVolume, Mask, SpacingMm, box_of

HU_TO_RSP = (
    (-1000.0, 0.001),  # air
    (-98.0, 0.953),  # adipose tissue 3
    (0.0, 1.000),  # water
    (43.0, 1.041),  # skeletal muscle
    (99.0, 1.102),  # connective tissue
    (287.0, 1.143),  # spongiosa
    (999.0, 1.461),  # cranium
    (1524.0, 1.690),  # cortical bone
    (3071.0, 2.365),  # beyond, the slope from cranium to cortical bone goes on
)
"""Relative stopping power by HU, linear in between, constant beyond the ends.

By the stoichiometric calibration of Schneider, Pedroni and Lomax, Phys Med Biol 41 (1996) 111:
stopping powers by the Bethe formula at 100 MeV, HU by the parameters of Schneider, Bortfeld and
Schlegel, Phys Med Biol 45 (2000) 459, tissues of ICRU 44. A test derives it anew.
"""

BRAIN_MM = 120.0
"""Of the head below its vertex; its centroid is taken for the brain's."""

TARGETS_MM = ((0, 0, 0), (25, 0, 0), (0, 30, 0), (0, -30, 0), (0, 0, 25), (0, 0, -25))
"""Targets (z, y, x) from that centroid."""

RAYS_PER_TARGET = 32
"""192 rays in all."""

STEP_MM = 1.0
REACH_MM = 250.0
"""Longer than any way out of a head."""

Floats = NDArray[np.float64]


def wepl_mm(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask, spacing_mm: SpacingMm) -> float:
    """Mean |water-equivalent path of the pCT - that of the CT| in mm over 192 rays to the brain.

    (z, y, x), z from inferior to superior. Rays come from the upper half-space, 32 to each of six
    targets, and count inside `head` only: couch, frame and fog do not. Targets outside `head` are
    left out; NaN without any.
    """
    targets = brain_targets(head, spacing_mm)
    if not len(targets):
        return float("nan")
    paths = [
        np.concatenate([
            path_mm(volume, head, target, spacing_mm, upper_directions()) for target in targets
        ])
        for volume in (pct_hu, ct_hu)
    ]  # fmt: skip
    return float(np.abs(paths[0] - paths[1]).mean())


def brain_targets(head: Mask, spacing_mm: SpacingMm) -> Floats:
    """Targets (n, 3) in mm from the first voxel's centre, those inside `head`; at most six."""
    z = box_of(head)[0]
    top = slice(max(z.start, z.stop - round(BRAIN_MM / spacing_mm[0])), z.stop)
    counts = [head[top].sum(axis=axes, dtype=np.float64) for axes in ((1, 2), (0, 2), (0, 1))]
    if not counts[0].sum():
        return np.empty((0, 3))
    centre = [float(np.average(np.arange(len(one)), weights=one)) for one in counts]
    centre[0] += top.start
    targets = np.asarray(centre) * spacing_mm + np.asarray(TARGETS_MM, np.float64)
    return targets[_sampled(head, targets.T, spacing_mm, order=0) > 0]


def upper_directions(count: int = RAYS_PER_TARGET) -> Floats:
    """Unit vectors (count, 3) as (z, y, x) spread evenly over z > 0: a Fibonacci lattice."""
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    z = (np.arange(count) + 0.5) / count
    flat = np.sqrt(1 - z**2)
    return np.stack([z, flat * np.sin(turn), flat * np.cos(turn)], axis=1)


def path_mm(
    volume_hu: HuVolume, head: Mask, target_mm: Floats, spacing_mm: SpacingMm, directions: Floats
) -> Floats:
    """Water-equivalent length of each ray from `target_mm` until it is 250 mm away, in `head`."""
    far = np.arange(STEP_MM / 2, REACH_MM, STEP_MM)
    points = (target_mm[:, None, None] + directions.T[:, :, None] * far).reshape(3, -1)
    hu = _sampled(volume_hu, points, spacing_mm, order=1)
    inside = _sampled(head, points, spacing_mm, order=0)
    steps = (rsp(hu) * inside).reshape(len(directions), -1)
    return np.asarray(steps.sum(axis=1) * STEP_MM)


def rsp(hu: Floats) -> Floats:
    """Stopping power relative to water's, by `HU_TO_RSP`."""
    known, values = zip(*HU_TO_RSP, strict=True)
    return np.asarray(np.interp(hu, known, values))


def _sampled(
    image: NDArray[Any], points: Floats, spacing_mm: SpacingMm, *, order: Literal[0, 1]
) -> Floats:
    """Values at `points` (3, n) in mm, 0 outside the volume."""
    index = points / np.asarray(spacing_mm)[:, None]
    kind: NDArray[Any] = image.view(np.uint8) if image.dtype == np.bool_ else image
    return np.asarray(
        ndimage.map_coordinates(kind, index, output=np.float64, order=order, mode="constant")
    )
