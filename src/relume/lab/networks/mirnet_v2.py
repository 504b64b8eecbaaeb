"""MIRNet-v2: residual groups whose blocks work on three resolutions at once.

Zamir et al., "Learning Enriched Features for Fast Image Restoration and Enhancement", TPAMI 2022. Parameter
names are those of the published weights, so that a user's own file of them loads; the published files keep
them under the key `params`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import ModelError
from relume.lab.capabilities import Capabilities, Network
from relume.lab.networks.layers import reflected

SLOPE = 0.2
"""Negative slope of every leaky ReLU."""

GROUPS = (1, 2, 4, 4)
"""Convolution groups of the published residual groups, in order."""


class SKFF(nn.Module):
    """Selective kernel feature fusion: a weighted sum of streams, weighted by what their mean says.

    Args:
        channels: channels of each stream.
        streams: how many there are.
        reduction: divisor of the channels between; at least four stay.
    """

    def __init__(self, channels: int, streams: int = 2, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.conv_du = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.LeakyReLU(SLOPE))
        self.fcs = nn.ModuleList(nn.Conv2d(hidden, channels, 1, bias=False) for _ in range(streams))

    def forward(self, streams: list[Tensor]) -> Tensor:
        """Fuse maps of one shape, B x C x H x W each."""
        summary_BC11 = self.conv_du(sum(streams[1:], streams[0]).mean((2, 3), keepdim=True))
        weights = torch.stack([expand(summary_BC11) for expand in self.fcs]).softmax(0)
        first, *others = (stream * weight for stream, weight in zip(streams, weights, strict=True))
        return sum(others, first)


class ContextBlock(nn.Module):
    """Add to every position what attention over all positions gathers (Cao et al., "GCNet", ICCVW 2019)."""

    def __init__(self, channels: int, bias: bool = False) -> None:
        super().__init__()
        self.conv_mask = nn.Conv2d(channels, 1, 1, bias=bias)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=bias),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 1, bias=bias),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        attention_B1N = self.conv_mask(x_BCHW).flatten(2).softmax(2)
        x_BNC = x_BCHW.permute(0, 2, 3, 1).flatten(1, 2)  # no copy where channels are last in memory
        context_BC11 = torch.matmul(attention_B1N, x_BNC).transpose(1, 2)[..., None]
        return x_BCHW + self.channel_add_conv(context_BC11)


class RCB(nn.Module):
    """Residual contextual block: two 3x3 convolutions and the context, with a residual.

    Args:
        channels: channels in and out; a multiple of `groups`.
        groups: groups of the 3x3 convolutions.
        bias: whether convolutions have one.
    """

    def __init__(self, channels: int, groups: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=bias),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=bias),
        )
        self.gcnet = ContextBlock(channels, bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + F.leaky_relu(self.gcnet(self.body(x_BCHW)), SLOPE)


def _resize(*layers: nn.Module) -> nn.Sequential:
    """Layers under the name that published weights have for them, `body.0.bot`."""
    step = nn.Sequential(OrderedDict(bot=nn.Sequential(*layers)))
    return nn.Sequential(OrderedDict(body=nn.Sequential(step)))


def _down(before: int, after: int) -> nn.Sequential:
    """To half the size: average, then change the channels."""
    return _resize(nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False))


def _up(before: int, after: int) -> nn.Sequential:
    """To twice the size: change the channels, then interpolate."""
    return _resize(nn.Conv2d(before, after, 1, bias=False), nn.Upsample(scale_factor=2, mode="bilinear"))


class MRB(nn.Module):
    """Multi-scale residual block: streams at 1, 1/2 and 1/4 of the size, rounds of RCBs and fusion upwards.

    The rounds share the RCBs and the fusions; each has its own up-sampling.
    """

    def __init__(self, channels: int, factor: float, rounds: int, groups: int, bias: bool) -> None:
        super().__init__()
        top, mid, bot = (int(channels * factor**level) for level in range(3))
        self.rounds = rounds
        self.dau_top, self.dau_mid, self.dau_bot = (RCB(width, groups, bias) for width in (top, mid, bot))
        self.down2 = _down(top, mid)
        self.down4 = nn.Sequential(_down(top, mid), _down(mid, bot))
        for index in range(1, rounds + 1):
            self.add_module(f"up21_{index}", _up(mid, top))
            self.add_module(f"up32_{index}", _up(bot, mid))
        self.conv_out = nn.Conv2d(top, top, 1, bias=bias)
        self.skff_top, self.skff_mid = SKFF(top), SKFF(mid)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        top, mid, bot = x_BCHW, self.down2(x_BCHW), self.down4(x_BCHW)
        for index in range(1, self.rounds + 1):
            top, mid, bot = self.dau_top(top), self.dau_mid(mid), self.dau_bot(bot)
            mid = self.skff_mid([mid, self.get_submodule(f"up32_{index}")(bot)])
            top = self.skff_top([top, self.get_submodule(f"up21_{index}")(mid)])
        return x_BCHW + self.conv_out(top)


class RRG(nn.Module):
    """Recursive residual group: multi-scale blocks and a 3x3 convolution, with a residual around them."""

    def __init__(self, blocks: Sequence[nn.Module], channels: int, bias: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks, nn.Conv2d(channels, channels, 3, padding=1, bias=bias))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.body(x_BCHW)


class MIRNetV2(Network):
    """Four residual groups of multi-scale blocks at full resolution, and a global residual.

    Options have the published names and the published values for enhancement. In and out in [0, 1].

    Args:
        inp_channels, out_channels: channels of the image; equal, for the residual.
        n_feat: channels at full resolution; with `chan_factor` 1.5 a multiple of 16, for the groups.
        chan_factor: growth of the channels with each halving of the resolution.
        n_RRG: residual groups; their convolutions have 1, 2, 4, 4 groups, and 4 in any further one.
        n_MRB: blocks a residual group.
        height: streams a block; always 3.
        width: rounds of processing and fusion a block.
        scale: enlargement of the image; always 1.
        bias: whether the convolutions outside fusion and resizing have one.

    Raises:
        ModelError: another height or scale; the published code has the options, but no other values of them.
    """

    size_multiple = 4

    def __init__(
        self,
        inp_channels: int = 3,
        out_channels: int = 3,
        n_feat: int = 80,
        chan_factor: float = 1.5,
        n_RRG: int = 4,
        n_MRB: int = 2,
        height: int = 3,
        width: int = 2,
        scale: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if (height, scale) != (3, 1):
            raise ModelError(f"height {height} and scale {scale} do not exist", "Use height 3 and scale 1.")
        groups = [*GROUPS, *[GROUPS[-1]] * (n_RRG - len(GROUPS))][:n_RRG]
        self.conv_in = nn.Conv2d(inp_channels, n_feat, 3, padding=1, bias=bias)
        self.body = nn.Sequential(
            *(
                RRG([MRB(n_feat, chan_factor, width, count, bias) for _ in range(n_MRB)], n_feat, bias)
                for count in groups
            )
        )
        self.conv_out = nn.Conv2d(n_feat, out_channels, 3, padding=1, bias=bias)
        self.capabilities = Capabilities(multiple=self.size_multiple, features=(n_feat,) * n_RRG)

    def output_and_features(self, x_BCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What `forward` and `features` return, from one pass.

        Sizes are padded to multiples of 4 by reflection.
        """
        height, width = x_BCHW.shape[-2:]
        padded = reflected(x_BCHW, self.size_multiple)
        maps = [self.conv_in(padded)]
        for group in self.body:
            maps.append(group(maps[-1]))
        enhanced = (padded + self.conv_out(maps[-1]))[..., :height, :width]
        features = [level[..., :height, :width] for level in maps[1:]]
        return (enhanced if self.training else enhanced.clamp(0, 1)), features

    def features(self, x_BCHW: Tensor) -> list[Tensor]:
        """Output of each residual group in order, B x n_feat x H x W."""
        return self.output_and_features(x_BCHW)[1]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Enhance images of any size, in and out in [0, 1]; clamped outside training."""
        return self.output_and_features(x_BCHW)[0]
