"""The auto-encoder of IAML: a U-shaped convolutional network with attention at each level.

After "IAML: Illumination-Aware Mirror Loss for Progressive Learning in Low-Light Image Enhancement
Auto-encoders" (arXiv 2603.13363).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.lab.capabilities import Capabilities, Network
from relume.lab.networks.layers import mean_and_peak, reflected
from relume.lab.options import Positive, Widths


class CBAM(nn.Module):
    """Attention over channels, then over positions (Woo et al., "CBAM", ECCV 2018), in IAML's form.

    The sigmoids of the two pooled vectors are added, so that a channel's factor lies in [0, 2], and the MLP
    has biases; CBAM itself takes the sigmoid of the sum, without biases.

    Args:
        channels: channels of the map.
        reduction: divisor of the channels inside the shared MLP; at least `smallest` stay.
    """

    def __init__(self, channels: int, reduction: int = 16, smallest: int = 8) -> None:
        super().__init__()
        hidden = max(smallest, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mean, peak = F.adaptive_avg_pool2d(x_BCHW, 1), F.adaptive_max_pool2d(x_BCHW, 1)
        x_BCHW = x_BCHW * (torch.sigmoid(self.mlp(mean)) + torch.sigmoid(self.mlp(peak)))
        return x_BCHW * torch.sigmoid(self.spatial(mean_and_peak(x_BCHW)))


def _down(before: int, after: int, attention: bool) -> nn.Sequential:
    layers = [
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    ]
    return nn.Sequential(*layers, *([CBAM(after)] if attention else []))


def _up(before: int, after: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


class Autoencoder(Network):
    """Five levels down, four up, concatenating skips, a full-resolution head and a global residual.

    Args:
        widths: channels of the encoder's levels, from 1/2 to 1/32; the decoder mirrors the first four.
        head: channels at full resolution.
    """

    size_multiple = 32

    def __init__(self, widths: Widths = (64, 128, 256, 512, 512), head: Positive = 32) -> None:
        super().__init__()
        widths = tuple(widths)
        self.encoder = nn.ModuleList(
            _down(before, after, attention=level > 0)
            for level, (before, after) in enumerate(pairwise((3, *widths)))
        )
        skips = widths[-2::-1]
        inputs = (widths[-1], *(2 * skip for skip in skips[:-1]))
        self.up = nn.ModuleList(_up(before, after) for before, after in zip(inputs, skips, strict=True))
        self.attention = nn.ModuleList(CBAM(2 * skip) for skip in skips)
        self.expand = nn.ConvTranspose2d(2 * skips[-1], head, 3, stride=2, padding=1, output_padding=1)
        self.head = nn.Sequential(
            nn.Conv2d(head + 3, head, 3, padding=1), nn.ReLU(), nn.Conv2d(head, 3, 3, padding=1)
        )
        maps = (widths[-1], *(2 * skip for skip in skips))
        self.capabilities = Capabilities(multiple=self.size_multiple, maps=maps)

    def encode(self, x_BCHW: Tensor) -> list[Tensor]:
        """The image and its levels from 1/2 to 1/32; its sizes must be multiples of 32."""
        levels = [x_BCHW]
        for level in self.encoder:
            levels.append(level(levels[-1]))
        return levels

    def decode(self, levels: list[Tensor]) -> list[Tensor]:
        """The bottleneck and the decoder's maps after skip and attention, coarsest first."""
        maps = [levels[-1]]
        for up, attention, skip in zip(self.up, self.attention, levels[-2:0:-1], strict=True):
            maps.append(attention(torch.cat([up(maps[-1]), skip], 1)))
        return maps

    def render(self, levels: list[Tensor], maps: list[Tensor]) -> Tensor:
        """The image from the last map and the input, without limits on its range."""
        image, full = levels[0], F.relu(self.expand(maps[-1]))
        return image + self.head(torch.cat([full, image], 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Enhance images of any size, in and out in [0, 1]; clamped outside training.

        Sizes are padded to multiples of 32 by reflection.
        """
        height, width = x_BCHW.shape[-2:]
        levels = self.encode(reflected(x_BCHW, self.size_multiple))
        enhanced = self.render(levels, self.decode(levels))[..., :height, :width]
        return enhanced if self.training else enhanced.clamp(0, 1)
