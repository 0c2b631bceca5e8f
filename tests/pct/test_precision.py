"""`precision: auto`: asked only where bfloat16 is native, decided by time."""

import pytest

from pct import precision
from pct.precision import cpu_knows_bfloat16, faster, settle_precision, time_steps
from tests.tiny import tiny_run


@pytest.mark.parametrize(
    ("float32_s", "bfloat16_s", "expected"),
    [(2.0, 1.0, "bfloat16"), (1.0, 1.0, "float32"), (1.05, 1.0, "float32"), (1.0, 2.0, "float32")],
)
def test_bfloat16_must_be_worth_it(float32_s, bfloat16_s, expected):
    assert faster({"float32": float32_s, "bfloat16": bfloat16_s}) == expected


def test_a_cpu_is_asked_by_its_flags(tmp_path):
    facts = tmp_path / "cpuinfo"
    for flags, knows in (
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : avx2 amx_bf16 amx_tile", True),
        ("flags : fpu avx512f avx512_bf16x", False),
    ):
        facts.write_text(flags)
        assert cpu_knows_bfloat16(facts) is knows
    assert not cpu_knows_bfloat16(tmp_path / "absent")


def test_without_native_bfloat16_nothing_is_timed(monkeypatch):
    monkeypatch.setattr(precision, "cpu_knows_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "time_steps", lambda run: pytest.fail("timed"))
    assert settle_precision(tiny_run(precision="auto")) in ("float32", "bfloat16")


def test_where_it_is_native_the_times_decide(monkeypatch):
    monkeypatch.setattr(precision, "cpu_knows_bfloat16", lambda: True)
    for seconds, expected in ((0.5, "bfloat16"), (1.5, "float32")):
        times = {"float32": 1.0, "bfloat16": seconds}
        monkeypatch.setattr(precision, "time_steps", lambda run, times=times: times)
        assert settle_precision(tiny_run(precision="auto")) == expected


def test_both_precisions_are_timed_on_the_networks_of_the_run():
    seconds = time_steps(tiny_run(precision="auto", warmup_epochs=1))
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < value < 5 for value in seconds.values())


def test_a_run_that_starts_from_a_model_is_timed_before_the_model_is_looked_up():
    seconds = time_steps(tiny_run(precision="auto", init="models:/pct@champion"))
    assert min(seconds.values()) > 0
