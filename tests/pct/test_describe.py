"""`pct show`: a run as a person reads it."""

import pytest

from pct.config import build_run, load_preset, merge
from pct.cost import Cost
from pct.describe import as_json, as_text, spans

COST = Cost(31_478_731, 22_048_514, 43_357_110_272, 9_095_634_944, 10 * 2**20, 20 * 2**20)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (((0, 20.0),), "20"),
        (((0, 20.0), (40, 0.0)), "1-40: 20, 41-70: 0"),
        (((0, 0.0), (1, 2e-4), (69, 5.0)), "1-1: 0, 2-69: 0.0002, 70-70: 5"),
        (((0, "full"), (40, "weights")), "1-40: full, 41-70: weights"),
    ],
)
def test_a_schedule_is_told_in_epochs_counted_from_1(steps, expected):
    assert spans(steps, 70) == expected


def test_every_setting_stands_once_under_its_section_with_networks_and_memory_below():
    run = build_run(merge(load_preset("thesis_exp3"), {"precision": "bfloat16"}))
    lines = as_text(run, COST)
    settings = run.model_dump()
    for name, section in settings.items():
        if not isinstance(section, dict):
            assert sum(line.split()[:1] == [name] for line in lines) == 1
        elif name != "schedule":
            below = lines[lines.index(name) + 1 :][: len(section)]
            assert [line.split()[0] for line in below] == list(section)
    assert "  lambda_ngf             1-40: 20, 41-70: 0" in lines
    assert "  channels               64 128 256 512" in lines
    assert "  generator              31,478,731 parameters, 43.4 GMAC" in lines
    assert "memory of a training step, 14 slices a worker, bfloat16: an estimate" in lines
    assert [line.split()[1] for line in lines[-4:]] == ["10.0", "20.0", "8.0", "38.0"]


def test_programs_get_the_run_and_the_counts_side_by_side():
    run = build_run(load_preset("thesis_exp3"))
    content = as_json(run, COST)
    assert content["schedule"]["lambda_ngf"] == {"0": 20.0, "40": 0.0}
    assert content["generator_macs"] == 43_357_110_272
    assert content["training_bytes"] == 38 * 2**20
    assert build_run({k: content[k] for k in run.model_dump()}) == run
