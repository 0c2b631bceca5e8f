"""Random mirrors and places of graded heads: no mirrored MR passes, none is called so wrongly."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.flips import flip_margin
from data_prep.masks import head_and_skull
from data_prep.phantom import make_head
from data_prep.quality import FLIP_MARGIN
from data_prep.volume import centre_of, load_nifti, to_ras
from tests.data_prep.moved import mirrored, moved, random_move

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "pairs"


def margins(mr, ct, *, trials, seed):
    """(mirrored, as it is): margins of as many trials each, mirrored to the left or right."""
    head = head_and_skull(ct, backend="threshold").head
    rng, centre = np.random.default_rng(seed), centre_of(head)
    found = {-1: [], 1: []}
    for side in (-1, 1) * trials:
        move = random_move(rng, shift_mm=(0, 20), turn_deg=(0, 5))
        spoilt = moved(mirrored(mr, centre, (side, 1, 1)), centre, **move)
        found[side].append(flip_margin(spoilt, ct, head).margin)
    return np.array(found[-1]), np.array(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("asymmetry", "clear"), [(0.0, False), (0.25, None), (0.5, True)])
def test_phantoms_of_graded_asymmetry(asymmetry, clear, seed):
    phantom = make_head(seed, asymmetry=asymmetry)
    wrong, right = margins(phantom.mr, phantom.ct, trials=2, seed=seed)
    assert (wrong < FLIP_MARGIN).all(), "a mirrored MR passed"
    assert (right > -FLIP_MARGIN).all(), "a true MR was called mirrored"
    if clear is not None:
        assert ((wrong < -FLIP_MARGIN) == clear).all()
        assert ((right > FLIP_MARGIN) == clear).all()


@pytest.mark.slow
@pytest.mark.skipif(not PAIRS.exists(), reason="real anatomy is not at hand")
@pytest.mark.parametrize(("name", "clear"), [("colin27", True), ("chris", True), ("mni2mm", False)])
def test_real_anatomy(name, clear):
    mr, ct = (to_ras(load_nifti(PAIRS / f"{name}_{one}.nii.gz")) for one in ("mr", "ct"))
    wrong, right = margins(mr, ct, trials=5, seed=0)
    assert ((wrong < -FLIP_MARGIN) == clear).all()
    assert ((right > FLIP_MARGIN) == clear).all()
    assert (np.abs([*wrong, *right]) > FLIP_MARGIN).all() == clear
