"""How often the gate is right: python benchmarks/gate.py [--pairs DIR] [--heads N] [--seed N].

Phantoms of graded asymmetry, and the pairs NAME_mr.nii.gz, NAME_ct.nii.gz in DIR, are mirrored,
shifted and turned at random. Printed are the flips caught, undecided and wrongly refused, and how
well a residual offset is found, relative to a pair's own. Some three minutes of one core.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.flips import flip_margin
from data_prep.masks import head_and_skull
from data_prep.offset import offset_of
from data_prep.phantom import centred_grid, scan_ct, scan_mr
from data_prep.phantom_anatomy import draw_anatomy, label_tissues
from data_prep.quality import FLIP_MARGIN, is_beyond, is_off
from data_prep.volume import Grid, Volume, centre_of, load_nifti, to_ras
from tests.data_prep.moved import expected_shift, mirrored, moved, random_move

ASYMMETRIES = (0.0, 0.1, 0.25, 0.5, 1.0)
FLIPS = [flip for flip in itertools.product((1, -1), repeat=3) if flip != (1, 1, 1)]
NUM_FLIPS, NUM_OFFSETS = 3, 3
"""Trials a phantom; a pair from DIR has four times as many."""


@dataclass(frozen=True)
class Pair:
    """One base to spoil; `group` is its row in the tables."""

    group: str
    mr: Volume
    ct: Volume
    head: Volume
    trials: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--heads", type=int, default=4, help="phantoms of each asymmetry")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = [] if options.pairs is None else list(real_pairs(options.pairs))
    pairs += phantoms(options.heads, options.seed)
    print("FLIPS; all of them shifted by up to 20 mm and turned by up to 5 degrees")
    print("base            mirrored  caught undecided missed    true  passed undecided refused")
    for group, members in itertools.groupby(pairs, key=lambda pair: pair.group):
        print(flips_row(group, list(members), np.random.default_rng([options.seed, 1])))
    print("\nOFFSETS of 0.5 to 4 mm, half of them turned by up to 2 degrees; far: of 6 to 30 mm")
    print("base              own offset      flagged refused   n  within 0.5 mm  median  worst  "
          "CPU s  far refused")  # fmt: skip
    for group, members in itertools.groupby(pairs, key=lambda pair: pair.group):
        print(offsets_row(group, list(members), np.random.default_rng([options.seed, 2])))


def real_pairs(folder: Path) -> Iterator[Pair]:
    """Every NAME_mr.nii.gz beside a NAME_ct.nii.gz."""
    for path in sorted(folder.glob("*_mr.nii.gz")):
        name = path.name.removesuffix("_mr.nii.gz")
        ct = to_ras(load_nifti(folder / f"{name}_ct.nii.gz"))
        head = head_and_skull(ct, backend="threshold").head
        yield Pair(name, to_ras(load_nifti(path)), ct, head, trials=4)


def phantoms(num_heads: int, seed: int) -> Iterator[Pair]:
    """Heads whose MR has its own oblique grid, so no two voxels coincide, and no offset."""
    for asymmetry, number in itertools.product(ASYMMETRIES, range(num_heads)):
        subject = seed * 1000 + number
        rng = np.random.default_rng([subject, 9])
        anatomy = draw_anatomy(subject, asymmetry=asymmetry)
        slice_mm = rng.uniform(1.2, 5.0)
        grid = centred_grid((256, 256, round(192 / slice_mm)), (1.0, 1.0, slice_mm))
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec(rng.uniform(-6, 6, 3), degrees=True).as_matrix()
        mr_grid = Grid(grid.shape, turn @ grid.affine @ np.diag([0.95, 0.95, 1.05, 1.0]))
        ct = scan_ct(label_tissues(anatomy, grid), grid, anatomy=anatomy, seed=subject)
        mr = scan_mr(label_tissues(anatomy, mr_grid), mr_grid, seed=subject)
        head = head_and_skull(ct, backend="threshold").head
        yield Pair(f"phantom, {asymmetry:.2f}", mr, ct, head)


def flips_row(group: str, pairs: list[Pair], rng: np.random.Generator) -> str:
    """Rates among `NUM_FLIPS` mirrored and as many true pairs, up to 20 mm and 5 degrees off."""
    margins: dict[bool, list[float]] = {True: [], False: []}
    for pair in pairs:
        centre = centre_of(pair.head)
        for mirror, _ in itertools.product((True, False), range(NUM_FLIPS * pair.trials)):
            flip = FLIPS[rng.integers(len(FLIPS))] if mirror else (1, 1, 1)
            move = random_move(rng, shift_mm=(0, 20), turn_deg=(0, 5))
            spoilt = moved(mirrored(pair.mr, centre, flip), centre, **move)
            margins[mirror].append(flip_margin(spoilt, pair.ct, pair.head).margin)
    row = f"{group:<16}"
    for mirror, sign in ((True, -1), (False, 1)):
        found = sign * np.array(margins[mirror])
        right, wrong = (found > FLIP_MARGIN).mean(), (found < -FLIP_MARGIN).mean()
        row += f" {len(found):>7}  {right:>6.0%} {1 - right - wrong:>9.0%} {wrong:>6.0%}"
    return row


def offsets_row(group: str, pairs: list[Pair], rng: np.random.Generator) -> str:
    """Own offsets, those flagged and refused, and how injected ones are found or refused."""
    own, errors, seconds, far = [], [], [], []
    for pair in pairs:
        centre = centre_of(pair.head)
        base = offset_of(pair.mr, pair.ct, pair.head)
        own.append(base)
        for trial in range(NUM_OFFSETS * pair.trials):
            move = random_move(rng, shift_mm=(0.5, 4), turn_deg=(0, 2 * (trial % 2)))
            began = time.process_time()
            found = offset_of(moved(pair.mr, centre, **move), pair.ct, pair.head)
            seconds.append(time.process_time() - began)
            errors.append(float(np.linalg.norm(found.shift_mm - expected_shift(base, **move))))
            away = moved(pair.mr, centre, **random_move(rng, shift_mm=(6, 30), turn_deg=(0, 2)))
            far.append(is_beyond(offset_of(away, pair.ct, pair.head)))
    flagged, refused = (np.mean([test(one) for one in own]) for test in (is_off, is_beyond))
    lengths = f"{min(one.mm for one in own):.2f} to {max(one.mm for one in own):.2f} mm"
    return (
        f"{group:<16} {lengths:<17} {flagged:>6.0%} {refused:>7.0%} {len(errors):>3} "
        f"{np.mean(np.array(errors) <= 0.5):>14.0%} {np.median(errors):>7.2f} {max(errors):>6.2f} "
        f"{np.mean(seconds):>6.2f} {np.mean(far):>12.0%}"
    )


if __name__ == "__main__":
    main()
