"""A pseudo-CT needs no CT: from its own MR a head comes out as on the CT's grid."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.intensity import AIR_HU
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, resample
from pct.config import build_run, load_preset, merge
from pct.prediction.volume import predict_volume
from tests.pct.parity import acquired, case_of, compare, mae_in, on_ct_grid, trained_on

pytestmark = pytest.mark.slow

MOST_HU = 3.0
GRID = SliceGrid("resize", 64, 4.0, 4.0)


@pytest.fixture(scope="module")
def case():
    """A head whose CT has other pixels and slices than its MR."""
    head = make_head(3, size=160, num_slices=60, spacing_mm=(2.0, 2.0, 3.0))  # 0.7 still hold it
    affine = np.diag([1.5, 1.5, 4.0, 1.0])
    affine[:3, 3] = head.ct.affine[:3, 3] + 1.0
    ct = resample(head.ct, Grid((210, 210, 44), affine), fill=AIR_HU, antialias=True)
    return case_of(head.mr, ct)


@pytest.fixture(scope="module")
def model(case):
    run = build_run(merge(load_preset("smoke"), {"schedule": {"lambda_gan": 0}}))
    return trained_on([case], run, GRID, steps=600)


@pytest.fixture(scope="module")
def first(model, case):
    return on_ct_grid(model, case)


@pytest.mark.parametrize("tilt_deg", [-10.0, 10.0])
@pytest.mark.parametrize(("pixel_mm", "field"), [(0.7, 0.7), (1.2, 1.5), (1.0, 1.0)])
def test_any_scan_of_the_head_alone_errs_as_much_as_with_its_ct_at_hand(
    model, case, first, pixel_mm, field, tilt_deg
):
    scan = acquired(case.mr, pixel_mm=pixel_mm, field=field, tilt_deg=tilt_deg)
    found = compare(model, case, scan, first=first)
    assert found.own_mr == pytest.approx(found.ct_grid, abs=MOST_HU)


def test_the_measure_sees_a_scale_that_is_not_trainings(model, case, first):
    assert mae_in(case, first) < 180, "has learned"
    larger = replace(model, grid=replace(GRID, pixel_mm=GRID.pixel_mm * 1.2))
    stretched = predict_volume(larger, case.mr, onto=case.ct.grid)
    assert mae_in(case, stretched) > mae_in(case, first) + 2 * MOST_HU
