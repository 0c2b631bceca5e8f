"""Generator and discriminator: sizes, ranges, what they look at."""

import pytest
import torch

from pct.config import DiscriminatorConfig, GeneratorConfig, build_run, load_preset
from pct.networks import Discriminator, Generator, PatchDiscriminator, count_parameters

SMALL = GeneratorConfig(channels=(4, 8, 16), num_res_units=1)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("resize", {}, 31_608_449),
        ("resize", {"head": "raw"}, 31_498_701),
        ("thesis_exp1", {}, 31_478_731),  # raw, and instance norm has no weights of its own
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


@pytest.mark.parametrize("size", [(16, 16), (17, 19), (30, 21), (33, 16)])
def test_a_size_that_does_not_divide_by_the_stride_comes_back_unchanged(size):
    assert Generator(SMALL)(noise(1, 1, *size)).shape == (1, 1, *size)


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
