"""Histograms of HU and of errors, tissue by tissue."""

import numpy as np
import pandas as pd
import pytest

from pct.metrics.hu_errors import mae_by_tissue, tissues
from pct.scoring.histograms import ERROR_RANGE_HU, HU_RANGE, hu_histograms


def voxels(table: pd.DataFrame, tissue: str, quantity: str) -> "pd.Series[int]":
    rows = table[(table["tissue"] == tissue) & (table["quantity"] == quantity)]
    return rows.set_index("low")["voxels"]


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    ct = rng.choice([-900, 30, 1200], size=(6, 20, 20)).astype(np.int16)
    pct = (ct + rng.normal(0, 200, ct.shape)).astype(np.float32)
    head = rng.random(ct.shape) < 0.7
    return pct, ct, head


def test_every_voxel_of_a_tissue_is_counted_once_in_each_quantity(pair):
    pct, ct, head = pair
    table = hu_histograms(pct, ct, head)
    for tissue, mask in tissues(ct, head).items():
        for quantity in ("error_hu", "ct_hu", "pct_hu"):
            assert voxels(table, tissue, quantity).sum() == mask.sum() > 0


def test_a_constant_offset_fills_one_bin_of_errors_whatever_the_tissue(pair):
    _, ct, head = pair
    table = hu_histograms(ct.astype(np.float32) + 45, ct, head)
    for tissue, mask in tissues(ct, head).items():
        errors = voxels(table, tissue, "error_hu")
        assert errors[errors > 0].to_dict() == {40: mask.sum()}


def test_a_bin_holds_its_lower_edge_and_the_ends_take_what_lies_beyond():
    ct = np.full((1, 1, 4), 30, np.int16)
    pct = np.array([[[50.0, 49.9, 5000.0, -5000.0]]], np.float32)
    errors = voxels(hu_histograms(pct, ct, ct > 0), "soft", "error_hu")
    assert errors[errors > 0].to_dict() == {-1000: 1, 0: 1, 20: 1, 980: 1}
    assert (errors.index.min(), errors.index.max() + 20) == ERROR_RANGE_HU
    values = voxels(hu_histograms(pct, ct, ct > 0), "soft", "pct_hu")
    assert values[values > 0].to_dict() == {-1040: 1, 40: 2, 3060: 1}
    assert (values.index.min(), values.index.max() + 20) == HU_RANGE


def test_the_mean_absolute_error_of_a_tissue_is_that_of_its_histogram_to_half_a_bin(pair):
    pct, ct, head = pair
    table, exact = hu_histograms(pct, ct, head), mae_by_tissue(pct, ct, head)
    for tissue in ("air", "soft", "bone"):
        errors = voxels(table, tissue, "error_hu")
        middles = np.abs(errors.index.to_numpy() + 10)
        assert np.average(middles, weights=errors) == pytest.approx(exact[f"mae_{tissue}"], abs=10)


def test_a_tissue_that_is_not_there_has_empty_bins():
    ct = np.full((2, 2, 2), 30, np.int16)
    table = hu_histograms(ct.astype(np.float32), ct, ct > 0)
    assert voxels(table, "bone", "error_hu").sum() == 0
    assert set(table["tissue"]) == {"air", "soft", "bone"}
