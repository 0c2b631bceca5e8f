"""The generator and the conditional multi-scale discriminator (thesis 2.3.2 and 2.3.3)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from monai.networks.nets import AttentionUnet, UNet
from torch import Tensor, nn
from torch.nn import functional as F

from pct.config import DiscriminatorConfig, GeneratorConfig

Slices = Float[Tensor, "batch 1 height width"]
"""2D slices in [-1, 1]."""


def _unet(config: GeneratorConfig, out_channels: int) -> nn.Module:
    net: nn.Module = UNet(
        spatial_dims=2, in_channels=1, out_channels=out_channels, channels=config.channels,
        strides=(2,) * (len(config.channels) - 1), num_res_units=config.num_res_units,
        act="LEAKYRELU", norm=config.norm.upper(),
    )  # fmt: skip
    return net


def _attention_unet(config: GeneratorConfig, out_channels: int) -> nn.Module:
    net: nn.Module = AttentionUnet(
        spatial_dims=2, in_channels=1, out_channels=out_channels, channels=config.channels,
        strides=(2,) * (len(config.channels) - 1),
    )  # fmt: skip
    return net


UNETS: dict[str, Callable[[GeneratorConfig, int], nn.Module]] = {
    "unet": _unet,
    "attention_unet": _attention_unet,
}
"""Builders by `generator.kind`, of a net that halves its input once a level below the first.

A further one takes a builder, its line here, its name in `GeneratorConfig.kind` and a preset.
"""


class Generator(nn.Module):
    """A MONAI net in 2D with tanh: MR slices in [-1, 1] to CT slices in [-1, 1].

    `head="conv"` asks the net for as many channels as its first level has and mixes them by a
    1x1 convolution; `raw` ends in MONAI's own one-channel block, in whose UNet normalisation makes
    the air level depend on the size of the head. Sizes that do not divide by the total stride are
    padded with air at the far sides and cropped back.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = config.channels[0] if config.head == "conv" else 1
        self.stride = 2 ** (len(config.channels) - 1)
        self.unet = UNETS[config.kind](config, width)
        self.head = nn.Conv2d(width, 1, 1) if config.head == "conv" else nn.Identity()

    def forward(self, mr: Slices) -> Slices:
        """MR in [-1, 1] to pseudo-CT in [-1, 1]."""
        height, width = mr.shape[-2:]
        down, right = -height % self.stride, -width % self.stride
        padded = F.pad(mr, (0, right, 0, down), value=-1.0) if down or right else mr
        pct = torch.tanh(self.head(self.unet(padded)))
        return pct[..., :height, :width]


class PatchDiscriminator(nn.Sequential):
    """PatchGAN of pix2pixHD (Wang et al., CVPR 2018): logits of realism, one a patch.

    `layers` convolutions of stride 2, filters doubled up to 512, then two of stride 1. All pad,
    so that any size passes: n pixels become n // 2 + 1, or n + 1.
    """

    def __init__(self, *, filters: int, layers: int) -> None:
        widths = [min(filters * 2**level, 512) for level in range(layers)]
        blocks: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([2, *widths], widths, strict=False)):
            blocks += [nn.Conv2d(before, after, 4, stride=2, padding=2)]
            blocks += [nn.InstanceNorm2d(after)] if level else []
            blocks += [nn.LeakyReLU(0.2)]
        last = min(widths[-1] * 2, 512)
        blocks += [nn.Conv2d(widths[-1], last, 4, padding=2), nn.InstanceNorm2d(last)]
        blocks += [nn.LeakyReLU(0.2), nn.Conv2d(last, 1, 4, padding=2)]
        super().__init__(*blocks)


class Discriminator(nn.Module):
    """`scales` patch discriminators on MR and CT stacked, each at half the scale of the one before.

    MONAI's MultiScalePatchDiscriminator is another net: it adds layers instead of pooling.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(filters=config.filters, layers=config.layers)
            for _ in range(config.scales)
        )

    def forward(self, mr: Slices, ct: Slices) -> list[Tensor]:
        """Logits a scale, finest first; no activation."""
        pair = torch.cat([mr, ct], dim=1)
        logits = []
        for index, scale in enumerate(self.scales):
            if index:
                pair = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(scale(pair))
        return logits


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
