"""Percentiles by counting are those by ordering."""

import numpy as np
import pytest

from data_prep.intensity import mr_window, percentiles

RANKS = (0.0, 1.0, 50.0, 99.9, 100.0)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("count", [1, 2, 7, 1001, 600_000])
def test_whole_numbers_have_the_percentiles_that_numpy_finds(dtype, count):
    rng = np.random.default_rng(count)
    values = (rng.gamma(2.0, 300.0, count).clip(0, 9000) - 50 * (dtype != np.uint16)).astype(dtype)
    values = np.round(values)
    np.testing.assert_allclose(
        percentiles(values, RANKS), np.percentile(values.astype(float), RANKS), rtol=1e-12
    )


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 0.5, 1.0, 8.25], np.float32),
        np.array([0, 70_000, 140_000, 7], np.int32),
        np.array([-1e9, 3e8, 5.0], np.float32),
        np.full(5, 3.75, np.float32),
    ],
)
def test_what_cannot_be_counted_is_ordered(values):
    np.testing.assert_allclose(
        percentiles(values, RANKS), np.percentile(values.astype(float), RANKS), rtol=1e-6
    )


def test_the_whole_span_of_16_bits_can_be_counted():
    values = np.array([-32768, 32767, 0], np.float32)
    assert percentiles(values, (0, 50, 100)) == [-32768, 0, 32767]


def test_a_window_is_of_the_head_where_one_is_given():
    mr = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    where = mr >= 500
    assert mr_window(mr) == pytest.approx((9.99, 998.001))
    assert mr_window(mr, where) == pytest.approx((504.99, 998.501))
