"""What networks cost is known before they are built, and too much is refused."""

import resource

import pytest
import torch
from monai.networks.nets import MultiScalePatchDiscriminator
from torch.profiler import ProfilerActivity, profile

from pct.batches import Batch
from pct.config import BadConfig, build_run, load_preset, merge
from pct.cost import cost_of, refuse_above_budget
from pct.networks import count_parameters
from pct.state import start
from pct.train import train_step, weights_at
from tests.tiny import tiny_batch, tiny_run


def preset(name: str, **changes):
    return build_run(merge(load_preset(name), changes))


@pytest.mark.parametrize(("head", "millions", "gmac"), [("raw", 31.5, 43.4), ("conv", 31.6, 47.0)])
def test_the_networks_of_the_thesis_cost_what_is_known_of_them(head, millions, gmac):
    cost = cost_of(preset("thesis_exp1", generator={"head": head}))
    assert cost.generator_parameters / 1e6 == pytest.approx(millions, abs=0.06)
    assert cost.generator_macs / 1e9 == pytest.approx(gmac, abs=0.05)
    assert cost.discriminator_parameters / 1e6 == pytest.approx(22.05, abs=0.005)
    assert cost.discriminator_macs / 1e9 == pytest.approx(9.1, abs=0.05)


def test_a_generator_of_one_level_pair_costs_what_a_pencil_says():
    run = tiny_run(
        generator={"channels": [2, 3], "num_res_units": 0, "head": "conv"}, batch=4,
        discriminator={"filters": 2, "layers": 1, "scales": 1},
    )  # fmt: skip
    cost = cost_of(run)
    # Convolutions 3x3 of 1 -> 2 with stride 2 and 2 -> 3, transposed 3x3 of 5 -> 2, 1x1 of 2 -> 1.
    half, full = 16 * 16, 32 * 32
    assert cost.generator_macs == half * (9 * 2 + 9 * 2 * 3 + 9 * 5 * 2) + full * 2


def test_macs_and_activations_grow_with_the_area_and_activations_with_the_workers_share():
    small, large = cost_of(preset("smoke")), cost_of(preset("smoke", data={"size": 128}))
    assert large.generator_macs == 4 * small.generator_macs
    assert large.activation_bytes == pytest.approx(4 * small.activation_bytes, rel=0.02)
    shared = cost_of(preset("smoke", workers=2))
    assert shared.activation_bytes == pytest.approx(small.activation_bytes / 2, rel=0.01)
    assert shared.state_bytes == small.state_bytes == 16 * (13_641 + 11_065)
    halved = cost_of(preset("smoke", precision="bfloat16"))
    assert halved.activation_bytes == pytest.approx(small.activation_bytes / 2, rel=0.01)


def test_the_estimate_of_laptop_is_within_30_percent_of_the_measured_peak():
    run = preset("laptop")
    images = torch.rand(3, run.batch, 1, run.data.size, run.data.size) * 2 - 1
    batch = Batch(images[0], images[1], (images[2] > 0).float())
    state, weights = start(run), weights_at(run, run.warmup_epochs)
    train_step(state, batch, weights, run)  # makes Adam's moments
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        train_step(state, batch, weights, run)
    events = seen.profiler.kineto_results.events()
    moves = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, nbytes in moves:
        live += nbytes
        peak = max(peak, live)
    cost = cost_of(run)
    assert peak > 0.8 * cost.activation_bytes
    assert cost.training_bytes == pytest.approx(peak + cost.state_bytes, rel=0.3)


def test_networks_above_the_budget_are_refused_with_both_numbers_and_the_way_out():
    run = preset("thesis_exp1", generator={"channels": [512, 1024, 2048, 4096]})
    with pytest.raises(BadConfig) as caught:
        start(run)
    for part in (
        "2,035,944,717 parameters (generator 2,013,896,203, discriminator 22,048,514)",
        "above max_parameters 200,000,000",
        "Make generator.channels or discriminator.layers smaller",
        "32.6 GB",
        "max_parameters=2035944717",
    ):
        assert part in str(caught.value)
    refuse_above_budget(run.model_copy(update={"max_parameters": 2_035_944_717}))
    with pytest.raises(BadConfig):
        refuse_above_budget(run.model_copy(update={"max_parameters": 2_035_944_716}))


def test_11_billion_parameters_are_counted_without_memory_for_them():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.device("meta"):
        monai = MultiScalePatchDiscriminator(
            num_d=2, num_layers_d=4, spatial_dims=2, channels=128, in_channels=2, out_channels=1
        )
    assert count_parameters(monai) == 11_497_817_346
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 * 2**10


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_slices_too_small_for_the_networks_are_refused_with_the_size_that_would_do(name):
    deep = {"generator": {"channels": [2] * 6}, "discriminator": {"scales": 6, "filters": 2}}
    with pytest.raises(BadConfig, match=r"data.size 32 is below the 33 pixels that the networks"):
        tiny_run(**{name: deep[name]})
    assert tiny_run(**{name: deep[name]}, data={"size": 33}).data.size == 33


def test_the_smallest_size_trains_and_one_below_would_stop_deep_inside():
    run = tiny_run(
        generator={"channels": [2, 4, 4, 4, 4, 4], "norm": "instance"},
        discriminator={"scales": 6, "filters": 2, "layers": 2}, data={"size": 33},
    )  # fmt: skip
    state, weights = start(run), weights_at(run, run.warmup_epochs)
    batch = tiny_batch(0, run)

    def sized(side: int) -> Batch:
        return Batch(*(torch.nn.functional.interpolate(image, (side, side)) for image in
                       (batch.mr, batch.ct, batch.head)))  # fmt: skip

    train_step(state, sized(33), weights, run)
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        train_step(state, sized(32), weights, run)
