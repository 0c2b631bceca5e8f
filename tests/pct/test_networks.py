"""Generator and discriminator: sizes, ranges, what they look at."""

from typing import get_args

import pytest
import torch

from pct.config import BadConfig, DiscriminatorConfig, GeneratorConfig, build_run, load_preset
from pct.networks import UNETS, Discriminator, Generator, PatchDiscriminator, count_parameters

SMALL = GeneratorConfig(channels=(4, 8, 16), num_res_units=1)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("resize", {}, 31_608_449),
        ("resize", {"head": "raw"}, 31_498_701),
        ("thesis_exp1", {}, 31_478_731),  # raw, and instance norm has no weights of its own
        ("attention", {}, 7_874_093),
    ],
)
def test_the_generator_of_a_preset_has_its_number_of_parameters(preset, changes, expected):
    config = build_run(load_preset(preset)).generator.model_copy(update=changes)
    with torch.device("meta"):
        assert count_parameters(Generator(config)) == expected


def test_the_discriminator_of_the_thesis_has_22_million_parameters():
    with torch.device("meta"):
        assert count_parameters(Discriminator(DiscriminatorConfig())) == 22_048_514


def test_the_filters_of_the_discriminator_double_up_to_512():
    with torch.device("meta"):
        convolutions = [
            m for m in PatchDiscriminator(filters=128, layers=4) if isinstance(m, torch.nn.Conv2d)
        ]
    assert [m.out_channels for m in convolutions] == [128, 256, 512, 512, 512, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize("head", ["conv", "raw"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_generator_stays_within_minus_one_and_one_for_any_input(head, norm):
    config = SMALL.model_copy(update={"head": head, "norm": norm})
    pct = Generator(config)(1e3 * noise(2, 1, 16, 16))
    assert pct.shape == (2, 1, 16, 16)
    assert pct.abs().max() <= 1


@pytest.mark.parametrize("kind", sorted(UNETS))
@pytest.mark.parametrize("size", [(16, 16), (17, 19), (30, 21), (33, 16)])
def test_a_size_that_does_not_divide_by_the_stride_comes_back_unchanged(size, kind):
    config = GeneratorConfig(kind=kind, channels=(4, 8, 16), num_res_units=0)
    assert Generator(config)(noise(2, 1, *size)).shape == (2, 1, *size)


def test_every_kind_that_may_be_asked_for_has_a_builder():
    assert set(get_args(GeneratorConfig.model_fields["kind"].annotation)) == set(UNETS)


def test_an_attention_unet_weighs_its_skips_by_what_lies_below():
    torch.manual_seed(0)
    config = GeneratorConfig(kind="attention_unet", channels=(4, 8), num_res_units=0, head="raw")
    generator = Generator(config).eval()
    gates = [m for m in generator.modules() if type(m).__name__ == "AttentionBlock"]
    assert len(gates) == 1
    seen = []
    gates[0].psi.register_forward_hook(lambda _module, _inputs, weight: seen.append(weight))
    generator(noise(1, 1, 16, 16))
    assert seen[0].shape == (1, 1, 16, 16)
    assert 0 < seen[0].min() < seen[0].max() < 1


@pytest.mark.parametrize("changes", [{"norm": "instance"}, {"num_res_units": 2}])
def test_settings_that_an_attention_unet_does_not_have_are_refused(changes):
    with pytest.raises(BadConfig, match=r"kind attention_unet is built with norm: batch and num"):
        build_run({"generator": {"kind": "attention_unet", "num_res_units": 0, **changes}})


def test_a_further_generator_is_a_builder_and_its_line(monkeypatch):
    def toy(config, out_channels):
        return torch.nn.Conv2d(1, out_channels, 3, padding=1)

    monkeypatch.setitem(UNETS, "toy", toy)
    generator = Generator(SMALL.model_copy(update={"kind": "toy"}))
    assert isinstance(generator.unet, torch.nn.Conv2d)
    assert generator(noise(2, 1, 17, 19)).shape == (2, 1, 17, 19)


def test_padding_to_the_stride_is_air_at_the_far_sides():
    generator = Generator(SMALL).eval()
    mr = noise(1, 1, 14, 13)
    padded = torch.full((1, 1, 16, 16), -1.0)
    padded[..., :14, :13] = mr
    assert torch.equal(generator(mr), generator(padded)[..., :14, :13])


@pytest.mark.parametrize(
    ("size", "layers", "expected"),
    [
        # A stride of 2 gives floor(n / 2) + 1, each of the two last convolutions n + 1.
        (256, 4, [19, 11]),
        (128, 3, [19, 11]),
        (64, 2, [19, 11]),
    ],
)
def test_each_scale_of_the_discriminator_judges_patches_of_its_own_size(size, layers, expected):
    discriminator = Discriminator(DiscriminatorConfig(filters=2, layers=layers, scales=2))
    pair = noise(2, 1, size, size)
    assert [tuple(logits.shape) for logits in discriminator(pair, pair)] == [
        (2, 1, n, n) for n in expected
    ]


@pytest.mark.parametrize("size", [(33, 32), (37, 61), (5, 9), (3, 3)])
def test_the_discriminator_judges_any_size_from_its_smallest_on(size):
    config = DiscriminatorConfig(filters=4, layers=3, scales=2)
    assert config.smallest == 3
    pair = noise(1, 1, *size)
    for logits, scale in zip(Discriminator(config)(pair, pair), (1, 2), strict=True):
        side = [-(-n // scale) for n in size]
        for _ in range(3):
            side = [n // 2 + 1 for n in side]
        assert logits.shape[-2:] == tuple(n + 2 for n in side)


def test_the_discriminator_sees_the_mr_and_not_the_ct_alone():
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(filters=4, layers=2, scales=2))
    mr, other, ct = noise(3, 1, 32, 32).split(1)
    for with_mr, with_other in zip(discriminator(mr, ct), discriminator(other, ct), strict=True):
        assert not torch.allclose(with_mr, with_other)
    for with_ct, with_other in zip(discriminator(mr, ct), discriminator(mr, other), strict=True):
        assert not torch.allclose(with_ct, with_other)


def test_logits_are_not_squeezed():
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(filters=4, layers=2, scales=1))
    with torch.no_grad():
        last = discriminator.scales[0][-1]
        last.bias.fill_(-50.0)
    (logits,) = discriminator(noise(1, 1, 32, 32), noise(1, 1, 32, 32))
    assert logits.max() < -40


def test_the_second_scale_sees_the_pair_at_half_the_size():
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(filters=4, layers=2, scales=2)).eval()
    constant = torch.full((1, 1, 32, 32), 0.3), torch.full((1, 1, 32, 32), -0.2)
    halved = discriminator.scales[1](torch.cat([image[..., :16, :16] for image in constant], 1))
    torch.testing.assert_close(discriminator(*constant)[1], halved)
