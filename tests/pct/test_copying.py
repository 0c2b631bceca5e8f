"""NGF with a small alpha copies the MR, as its minimum is a copy; scores of leak must see it."""

import pytest

from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from pct.config import build_run, load_preset, merge
from pct.metrics.leak import LEAK_LIMIT
from pct.scoring.score import score_case
from tests.pct.parity import case_of, trained_on

pytestmark = pytest.mark.slow

GRID = SliceGrid("resize", 96, 2.5, 6.0)


@pytest.fixture(scope="module")
def cases():
    heads = [
        make_head(seed, size=96, num_slices=28, spacing_mm=(2.5, 2.5, 6.0)) for seed in range(1, 5)
    ]
    return [case_of(head.mr, head.ct) for head in heads]


def scores_of(cases, **schedule):
    """Of a head that a model has not seen, which learned from three others for 200 steps."""
    changed = {"data": {"size": 96}, "schedule": {"lambda_gan": 0, **schedule}}
    run = build_run(merge(load_preset("smoke"), changed))
    return score_case(trained_on(cases[:3], run, GRID, steps=200), cases[3])


def test_a_model_trained_at_alpha_0_01_fails_the_gate_and_it_is_ngf_that_paints(cases):
    copying = scores_of(cases, lambda_ngf=20, ngf_alpha=0.01)
    without = scores_of(cases, lambda_ngf=0)
    assert copying["mr_leak"] > LEAK_LIMIT
    # After so few steps the correlation is high without NGF too; how much is painted is not.
    assert copying["mr_leak_slope"] < 1.5 * without["mr_leak_slope"] < 0
    assert copying["mae_soft"] > 1.2 * without["mae_soft"]
