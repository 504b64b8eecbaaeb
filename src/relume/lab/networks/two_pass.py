"""The default network: a global pass over a thumbnail, and a local pass that it conditions.

Ordinary low-light networks look at the whole image, so a tile of a photo comes out at another brightness
than its neighbour. Here everything global is decided once, on a thumbnail of the whole photo; what remains
is a U-Net of plain convolutions with a bounded receptive field, and tiles of it join without a seam.

The global pass answers locally, too: beside a gain per channel it returns a small bilateral grid of log
gains, by which each pixel is brightened further for its place and its luma (`relume.steps.grid`). Before
that, bands of whole steps are smoothed (`relume.steps.deband`).

Four properties come from the structure rather than from training:

- *scale equivariance*: the global pass sees the thumbnail divided by its mean, and its gain is divided by
  that mean again, so the same scene at half the exposure yields twice the gain;
- *safe highlights*: gains act through the curve `g x / (1 + (g - 1) x)`, which has slope g in the shadows,
  keeps 0 and 1 where they are, and is the identity at g = 1;
- *order*: what is brighter at a place is brightened to at least as much, whatever the grid;
- *speed*: widths are multiples of 16 and only the coarse levels are modulated, which keeps ONNX Runtime in
  its blocked convolution layout where most pixels are.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.colour import luma_of
from relume.lab.capabilities import Capabilities, Network
from relume.lab.networks.layers import interleaved, reflected, repeated, zeroed
from relume.lab.options import Count, Positive, Share, Widths
from relume.steps.curve import exposure_curve
from relume.steps.deband import CELL, REACH, debanded
from relume.steps.grid import KNOT_END, guide_of, tone
from relume.steps.thumbnail import overview_shape

TARGET_MEAN = 0.45
"""Mean brightness that an untrained network aims at; about the mean of well-exposed photographs."""

MEAN_FLOOR = 1 / 510
"""Half a step of 8 bits: below this a thumbnail's mean says nothing."""

_STRIDE = 8
"""Pixels of the overview along each side of a cell of the grid."""

BESIDE = 4
"""Cells of the grid, an even number, by which an overview is continued by its mirror image."""

STEEPEST = math.log(5.0)
"""Logarithm of the largest slope between knots, and of the inverse of the smallest."""

FLAT = 0.04
"""Standard deviation of luma by its mean that keeps half of the grid; photographs have ten times as much."""

_NEAR, _FEW, _SURE = 1.2, 1e-5, 0.03
"""Of `held`: distance in knots from which on a pixel counts nothing at a knot, and shares of a cell that tell
next to nothing and that tell half of all."""

_PAGE = 3.0
"""Of `held`: how many times more common what is brighter is where what is darker lies on it by half."""

FINE = ("stem.", "encoder.0.", "up.0.", "decoder.0.", "head.")
"""What names of the local pass's weights at half the photo's resolution begin with."""

LARGEST = math.log(32.0)
"""Logarithm of the largest gain of the grid: five stops, up or down."""


class Decision(NamedTuple):
    """What the global pass decides for a photo; the local pass takes it.

    Attributes:
        gain_BC: gain per channel.
        condition_BK: condition vector.
        grid_BKGG: bilateral grid of log gains, see `relume.steps.grid`.
    """

    gain_BC: Tensor
    condition_BK: Tensor
    grid_BKGG: Tensor


class GlobalPass(nn.Module):
    """Overview of the whole photo -> gain per channel, condition vector, and a bilateral grid of log gains.

    Args:
        condition: length of the condition vector.
        width: channels of the first convolution; they double at each of three more.
        dropout: probability of dropping a pooled feature while training.
        knots: along luma, 0 for no grid, 1 for a map of gains that does not look at luma.
        leak: slope below 0 of the activations behind the pooled features.
        hold: share by which a grid of two knots or more is held where a photo is lit already, see `held`.
    """

    def __init__(
        self,
        condition: int = 64,
        width: int = 24,
        dropout: float = 0.1,
        knots: int = 6,
        leak: float = 0.0,
        hold: float = 1.0,
    ) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.fine = nn.Sequential(*layers[:9])
        self.coarse = nn.Sequential(*layers[9:])
        pooled = 3 * widths[-1]
        self.dropout = nn.Dropout(dropout)
        self.log_gain = nn.Sequential(
            nn.Linear(pooled, 2 * condition),
            activation(leak),
            nn.Dropout(dropout),
            zeroed(nn.Linear(2 * condition, 3)),
        )
        self.condition = nn.Sequential(
            nn.Linear(pooled + 1, 2 * condition),
            activation(leak),
            nn.Linear(2 * condition, condition),
            activation(leak),
        )
        self.grid = GridHead(widths[-1], pooled, condition, knots, leak) if knots else None
        self.hold = hold if knots > 1 else 0.0

    def forward(self, overview_BCST: Tensor) -> Decision:
        """Decide for whole photos.

        Args:
            overview_BCST: area average of each photo, in [0, 1]; sides are multiples of 8.
        """
        mean_B111 = overview_BCST.mean((1, 2, 3), keepdim=True).clamp_min(MEAN_FLOOR)
        relative_BCST = torch.log1p(overview_BCST / mean_B111)
        fine_BFGG = self.fine(relative_BCST)
        maps_BFSS = self.coarse(fine_BFGG)
        mean_BF = maps_BFSS.mean((2, 3))
        spread_BF = (maps_BFSS - mean_BF[:, :, None, None]).square().mean((2, 3)).add(1e-6).sqrt()
        # `max` with its positions, not `amax`, as in `mean_and_peak`.
        pooled_BF = self.dropout(torch.cat([mean_BF, spread_BF, maps_BFSS.flatten(2).max(2).values], 1))
        log_mean_B1 = mean_B111.flatten(1).log()
        gain_BC = torch.exp(self.log_gain(pooled_BF) - log_mean_B1) * TARGET_MEAN
        condition_BK = self.condition(torch.cat([pooled_BF, log_mean_B1], 1))
        if self.grid is None:
            return Decision(gain_BC, condition_BK, gain_BC.new_zeros(len(gain_BC), 1, 1, 1))
        if self.training:
            grid_BKGG = self.grid(fine_BFGG, maps_BFSS, pooled_BF)
        else:  # zeros beyond a border would look like an edge; only pooled features are used to them
            rows, columns = fine_BFGG.shape[-2:]
            fine_BFGG = self.fine(reflected(relative_BCST, 1, BESIDE * _STRIDE))
            grid_BKGG = self.grid(fine_BFGG, self.coarse(fine_BFGG), pooled_BF)
            grid_BKGG = grid_BKGG[..., BESIDE : BESIDE + rows, BESIDE : BESIDE + columns]
        if self.hold:
            grid_BKGG = held(grid_BKGG, overview_BCST, gain_BC, self.hold)
        return Decision(gain_BC, condition_BK, grid_BKGG * contrast_share(overview_BCST))

    def both_ways(self, overview_BCST: Tensor) -> Decision:
        """The same, averaged over the photo and its mirror image: gains geometrically."""
        both = self(torch.cat([overview_BCST, overview_BCST.flip(-1)]))
        (gain, other_gain), (condition, other_condition), (grid, other_grid) = (
            part.chunk(2) for part in both
        )
        return Decision(
            (gain * other_gain).sqrt(),
            (condition + other_condition) / 2,
            (grid + other_grid.flip(-1)) / 2,
        )


def contrast_share(overview_BCST: Tensor) -> Tensor:
    """How much of the grid is kept, B x 1 x 1 x 1: v^2 / (v^2 + `FLAT`^2).

    Here v is the standard deviation by the mean of luma in the grid's cells. All is kept where there is
    anything to tell apart, and nothing of the grid of a flat photo, or one of noise alone, which could only
    show where its borders are.
    """
    luma_B1ST = F.avg_pool2d(luma_of(overview_BCST), _STRIDE)
    mean_B111 = luma_B1ST.mean((2, 3), keepdim=True)
    variance_B111 = (luma_B1ST - mean_B111).square().mean((2, 3), keepdim=True)
    square_B111 = variance_B111 / mean_B111.clamp_min(MEAN_FLOOR).square()
    return square_B111 / (square_B111 + FLAT**2)


def held(grid_BKGG: Tensor, overview_BCST: Tensor, gain_BC: Tensor, share: float) -> Tensor:
    """The grid, lower where what is lit already would become much brighter.

    A face under a lamp, a screen or what a window shows needs less than the dark around it, which decides
    the gain of the whole photo. What the network sees of a photo is relative to its mean, so that it cannot
    know. Around each cell and knot, the mean t of the log odds of luma tells how bright such places are, and
    they become no more than t + 0.5 + 0.95 s(0.6 - t) + 0.5 s(-1.5 - 2 t), where s(x) is log(1 + exp(x)):
    luma of 0.3 becomes at most 0.84, of 0.5 0.83, of 0.8 0.90. Next to nothing is taken away where there is
    hardly any such place around. What is darker, but lies on it as text on a page does, loses as much. As
    ever, the order of brightness stays at each place. Chosen on held-out scenes, see docs/models.md.

    Args:
        grid_BKGG: log gains at two knots or more.
        overview_BCST: overview of the photo, in [0, 1].
        gain_BC: gain per channel.
        share: of what is taken away, in [0, 1].
    """
    knots = grid_BKGG.shape[1]
    spacing = 2 * KNOT_END / (knots - 1)
    index_K11 = torch.arange(knots, device=grid_BKGG.device, dtype=grid_BKGG.dtype)[:, None, None]
    before_B1ST = guide_of(overview_BCST)
    after_B1ST = guide_of(exposure_curve(overview_BCST, gain_BC[..., None, None]))
    position_B1ST = ((after_B1ST + KNOT_END) / spacing).clamp(0, knots - 1)
    near_BKST = (1 - (position_B1ST - index_K11).abs() / _NEAR).clamp_min(0)
    count_BKGG = _around(near_BKST)
    before_BKGG, after_BKGG = (
        _around(near_BKST * part) / (count_BKGG + _FEW) for part in (before_B1ST, after_B1ST)
    )
    position_BKGG = ((after_BKGG + KNOT_END) / spacing).clamp(0, knots - 1)
    gain_BKGG = sum(
        (1 - (position_BKGG - knot).abs()).clamp_min(0) * grid_BKGG[:, knot : knot + 1]
        for knot in range(knots)
    )
    most_BKGG = (
        before_BKGG + 0.5 + 0.95 * F.softplus(0.6 - before_BKGG) + 0.5 * F.softplus(-1.5 - 2 * before_BKGG)
    )
    excess_BKGG = (after_BKGG + gain_BKGG - most_BKGG).clamp_min(0)
    own_BKGG = share * excess_BKGG * count_BKGG / (count_BKGG + _SURE)
    brighter_BKGG = _around((position_B1ST - index_K11 - 0.5).clamp(0, 1))
    page_BKGG = brighter_BKGG.square() + (_PAGE * (1 - brighter_BKGG)).square()
    page_BKGG = brighter_BKGG.square() / page_BKGG
    taken_B1GG = own_BKGG[:, -1:]
    bands = [grid_BKGG[:, -1:] - taken_B1GG]
    for knot in range(knots - 2, -1, -1):
        own_B1GG, page_B1GG = own_BKGG[:, knot : knot + 1], page_BKGG[:, knot : knot + 1]
        taken_B1GG = own_B1GG + page_B1GG * (taken_B1GG - own_B1GG).clamp_min(0)
        most = bands[0] + spacing * (1 - math.exp(-STEEPEST))
        bands.insert(0, torch.minimum(grid_BKGG[:, knot : knot + 1] - taken_B1GG, most))
    return torch.cat(bands, 1).clamp(-LARGEST, LARGEST)


def _around(values_BKST: Tensor) -> Tensor:
    """Means of an overview's pixels in cells and, with less weight, in those around them, B x K x G x G."""
    cells = F.pad(F.avg_pool2d(values_BKST, _STRIDE), (1, 1, 1, 1), mode="replicate")
    across = (cells[..., :-2] + 2 * cells[..., 1:-1] + cells[..., 2:]) / 4
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4


class GridHead(nn.Module):
    """Features of the overview -> log gains at knots along luma, for each cell of `STRIDE` pixels.

    Knots lie at equal distances of log odds. Steps from knot to knot are positive in the log odds of the
    *result*, so whatever is brighter before stays at least as bright after, and 0 and 1 stay where they are.

    Args:
        maps: channels of the fine and of the coarse features.
        pooled: length of the pooled features.
        width: channels in between.
        knots: along luma.
        leak: slope below 0 of the activations.
    """

    def __init__(self, maps: int, pooled: int, width: int, knots: int, leak: float = 0.0) -> None:
        super().__init__()
        self.fine = nn.Conv2d(maps, width, 3, padding=1)
        self.coarse = nn.Conv2d(maps, width, 1)
        self.pooled = nn.Linear(pooled, width)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.last = zeroed(nn.Conv2d(width, knots, 1))
        self.active = activation(leak)
        self.knots = knots

    def forward(self, fine_BFGG: Tensor, coarse_BFGG: Tensor, pooled_BF: Tensor) -> Tensor:
        """Return B x knots x rows x columns of `fine_BFGG`."""
        height, width = fine_BFGG.shape[-2:]
        coarse = F.interpolate(self.coarse(coarse_BFGG), scale_factor=2.0, mode="nearest")
        hidden = (
            self.fine(fine_BFGG) + coarse[..., :height, :width] + self.pooled(pooled_BF)[:, :, None, None]
        )
        raw_BKGG = self.last(self.active(hidden + self.middle(self.active(hidden))))
        if self.knots == 1:
            return raw_BKGG.clamp(-LARGEST, LARGEST)
        spacing = 2 * KNOT_END / (self.knots - 1)
        # Slopes of the result's log odds, from 1/5 to 5 and 1 at the start; the log gains' are less by 1.
        slopes = torch.exp(STEEPEST * torch.tanh(raw_BKGG[:, 1:] / STEEPEST))
        steps = torch.cumsum(spacing * (slopes - 1), 1)
        gains = torch.cat([torch.zeros_like(steps[:, :1]), steps], 1)
        centred_BKGG = raw_BKGG[:, :1] + gains - gains.mean(1, keepdim=True)
        # Limiting the gains makes their steps smaller, never steeper.
        return centred_BKGG.clamp(-LARGEST, LARGEST)


def activation(leak: float) -> nn.Module:
    """ReLU, or with a leak a leaky one."""
    return nn.LeakyReLU(leak) if leak else nn.ReLU()


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, the inner activation modulated by the condition (FiLM).

    FiLM: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018.

    Args:
        width: channels.
        inner: channels between the convolutions.
        condition: length of the condition vector, 0 for a block that is not modulated.
        leak: slope below 0 of the activation.
    """

    def __init__(self, width: int, inner: int, condition: int, leak: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, width, 3, padding=1)
        self.film = zeroed(nn.Linear(condition, 2 * inner)) if condition else None
        self.active = activation(leak)

    def forward(self, x_BCHW: Tensor, condition_BK: Tensor) -> Tensor:
        inner = self.first(x_BCHW)
        if self.film is not None:
            scale_BC, shift_BC = self.film(condition_BK).chunk(2, 1)
            inner = inner * (1 + scale_BC[:, :, None, None]) + shift_BC[:, :, None, None]
        return x_BCHW + self.second(self.active(inner))


class Encoding(NamedTuple):
    """What the decoder needs: the brightened image, the encoder's levels (finest first), the condition.

    `local_gain_B1HW` is the logarithm of the grid's gain at each pixel.
    """

    bright_BCHW: Tensor
    local_gain_B1HW: Tensor
    levels: list[Tensor]
    condition_BK: Tensor


def place(x_BCHW: Tensor, window_B4: Tensor | None) -> Tensor:
    """Where crops lie, as `slice_grid` takes it, from their edges as shares of the whole; B x 4.

    Args:
        x_BCHW: crops.
        window_B4: top, bottom, left and right of each, from 0 to 1; None for whole photos.
    """
    height, width = x_BCHW.shape[-2:]
    if window_B4 is None:
        return x_BCHW.new_tensor([[0, 0, height, width]], dtype=torch.float32).expand(len(x_BCHW), 4)
    top, bottom, left, right = window_B4.float().unbind(1)
    rows, columns = height / (bottom - top), width / (right - left)
    return torch.stack([top * rows, left * columns, rows, columns], 1)


def step(x_BCHW: Tensor) -> Tensor:
    """That of 8 bits, as training's and most other images have it: B x 1."""
    return x_BCHW.new_full((len(x_BCHW), 1), 1 / 255, dtype=torch.float32)


class LocalPass(nn.Module):
    """U-Net on 2x2 pixel-unshuffled input, modulated by the global pass; its view of the image is bounded.

    Args:
        widths: channels a level, finest first.
        depths: residual blocks per level, in the encoder and again in the decoder (the last: once).
        condition: length of the condition vector.
        modulated_from: first level with FiLM.
        leak: slope below 0 of the activations in blocks with FiLM.
        inner: channels a level between the two convolutions of a block; None for as many as around it.

    Raises:
        ValueError: not as many depths, or inner widths, as widths.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        condition: int,
        modulated_from: int,
        leak: float = 0.0,
        inner: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        within = inner or widths
        if not len(depths) == len(within) == len(widths):
            raise ValueError(f"{len(widths)} widths, but {len(depths)} depths and {len(within)} inner widths")

        def level(index: int) -> nn.ModuleList:
            size = condition if index >= modulated_from else 0
            return nn.ModuleList(
                Block(widths[index], within[index], size, leak if size else 0.0) for _ in range(depths[index])
            )

        coarser = list(pairwise(widths))
        self.depths = depths
        self.size_multiple = max(2 ** len(widths), CELL)
        self.stem = nn.Conv2d(4, widths[0], 6, stride=2, padding=2)
        self.encoder = nn.ModuleList(level(index) for index in range(len(widths)))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in coarser)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in coarser)
        self.decoder = nn.ModuleList(level(index) for index in range(len(widths) - 1))
        self.head = zeroed(nn.Conv2d(widths[0], 12, 3, padding=1))

    @property
    def halo(self) -> int:
        """How far around a pixel the output depends on the input, rounded up to the size rule, in pixels.

        A 3x3 convolution on a level of stride s reaches s pixels further; where the pixel lies in its
        coarsest cell adds less than one cell. What is debanded looks further.
        """
        blocks = [2 * depth for depth in self.depths[:-1]] + [self.depths[-1]]
        convolutions = [2 * count for count in blocks]
        convolutions[0] += 2  # stem and head
        reach = sum(count * 2 ** (level + 1) for level, count in enumerate(convolutions)) + self.size_multiple
        reach += REACH
        return -(-reach // self.size_multiple) * self.size_multiple

    def encode(self, x_BCHW: Tensor, decision: Decision, place_B4: Tensor, step_B1: Tensor) -> Encoding:
        """Brighten an image and return it with the encoder's output at each level.

        Args:
            x_BCHW: image in [0, 1], of any size; its right and lower edges are repeated up to the size rule.
            decision: what `GlobalPass` returned for the whole photo.
            place_B4: where the pixels lie in the photo, see `slice_grid`.
            step_B1: what the values were rounded to, see `debanded`.
        """
        gain_BC, condition_BK, grid_BKGG = decision
        with torch.autocast(x_BCHW.device.type, enabled=False):
            smooth, evidence = debanded(repeated(x_BCHW.float(), self.size_multiple), step_B1)
            bright, local_gain = tone(smooth, gain_BC, grid_BKGG, place_B4, evidence)
            total_gain = local_gain + gain_BC.log().mean(1)[:, None, None, None]
        # What noise was multiplied by tells it from detail.
        levels = self.descend(torch.cat([bright, 0.25 * total_gain], 1), condition_BK)
        return Encoding(bright, local_gain, levels, condition_BK)

    def descend(self, x_B4HW: Tensor, condition_BK: Tensor) -> list[Tensor]:
        """Return the encoder's output at each level, finest first, of the bright image and its gain."""
        hidden = self.stem(x_B4HW)
        levels: list[Tensor] = []
        for index, blocks in enumerate(self.encoder):
            if index:
                hidden = self.down[index - 1](hidden)
            for block in blocks.children():
                hidden = block(hidden, condition_BK)
            levels.append(hidden)
        return levels

    def decode(self, encoding: Encoding) -> list[Tensor]:
        """Return the decoder's output at each level, coarsest (the bottleneck) first."""
        maps = [encoding.levels[-1]]
        for index in reversed(range(len(self.decoder))):
            hidden = F.interpolate(self.up[index](maps[-1]), scale_factor=2.0, mode="nearest")
            hidden = hidden + encoding.levels[index]
            for block in self.decoder[index].children():
                hidden = block(hidden, encoding.condition_BK)
            maps.append(hidden)
        return maps

    def render(self, encoding: Encoding, maps: list[Tensor]) -> Tensor:
        """Return the enhanced image at the padded size, without limits on its range."""
        return encoding.bright_BCHW + interleaved(self.head(maps[-1])).float()

    def forward(self, x_BCHW: Tensor, decision: Decision, place_B4: Tensor, step_B1: Tensor) -> Tensor:
        """Return the enhanced image, B x 3 x H x W; clipped to [0, 1] outside training."""
        height, width = x_BCHW.shape[-2:]
        encoding = self.encode(x_BCHW, decision, place_B4, step_B1)
        enhanced = self.render(encoding, self.decode(encoding))[..., :height, :width]
        return enhanced if self.training else enhanced.clamp(0, 1)


class TwoPass(Network):
    """Both passes as one network: photo in, enhanced photo out.

    Args:
        widths, depths: channels and residual blocks per level of the local pass, finest first.
        condition: length of the condition vector.
        global_width: channels of the global pass's first convolution.
        modulated_from: first level of the local pass with FiLM.
        overview_size: longer side of the overview that the global pass sees, in pixels; a multiple of 16.
        knots: of the grid along luma; 0 for none, 1 for a map.
        dropout: dropout on the global pass's pooled features.
        leak: slope below 0 of the activations that look at pooled features or the condition. What these
            add is the same for all pixels, and where it is too small, a unit of slope 0 never learns again.
        local_leak: that of the local pass, where it is another one.
        hold: share by which what is lit already is kept from becoming much brighter, see `held`; without
            two knots nothing is.
        inner: channels a level inside the blocks of the local pass, finest first; as `widths` by default.

    Raises:
        ValueError: an overview that does not fit, or not as many depths, or inner widths, as widths.
    """

    def __init__(
        self,
        widths: Widths = (16, 32, 64, 160),
        depths: Widths = (1, 1, 1, 1),
        condition: Positive = 64,
        global_width: Positive = 24,
        modulated_from: Count = 2,
        overview_size: Positive = 128,
        knots: Count = 6,
        dropout: Share = 0.1,
        leak: Share = 0.0,
        local_leak: Share | None = None,
        hold: Share = 1.0,
        inner: Widths | None = None,
    ) -> None:
        super().__init__()
        if overview_size % (2 * _STRIDE):
            raise ValueError(f"an overview of {overview_size} pixels is not a multiple of {2 * _STRIDE}")
        self.overview_size = overview_size
        self.global_pass = GlobalPass(condition, global_width, dropout, knots, leak, hold)
        local_leak = leak if local_leak is None else local_leak
        self.local_pass = LocalPass(
            tuple(widths), tuple(depths), condition, modulated_from, local_leak, inner and tuple(inner)
        )
        self.capabilities = Capabilities(
            overview=self.overview_size,
            multiple=self.local_pass.size_multiple,
            maps=tuple(widths)[::-1],
            brightens=True,
            integers=tuple(
                f"local_pass.{name}"
                for name, layer in self.local_pass.named_modules()
                if isinstance(layer, nn.Conv2d) and not f"{name}.".startswith(FINE)
            ),
        )

    def decide(self, x_BCHW: Tensor, overview_BCST: Tensor | None) -> Decision:
        """Run the global pass on the given overview, otherwise on one of the whole image, both ways."""
        # The gain decides the brightness of every pixel, and costs next to nothing: always in full precision.
        with torch.autocast(x_BCHW.device.type, enabled=False):
            if overview_BCST is not None:
                return self.global_pass(overview_BCST.float())
            height, width = x_BCHW.shape[-2:]
            shape = overview_shape(height, width, self.overview_size)
            return self.global_pass.both_ways(F.adaptive_avg_pool2d(x_BCHW.float(), shape))

    def encode(
        self, x_BCHW: Tensor, overview_BCST: Tensor | None = None, window_B4: Tensor | None = None
    ) -> Encoding:
        """See `LocalPass.encode`; overview and window as for `forward`."""
        decision = self.decide(x_BCHW, overview_BCST)
        return self.local_pass.encode(x_BCHW, decision, place(x_BCHW, window_B4), step(x_BCHW))

    def decode(self, encoding: Encoding) -> list[Tensor]:
        """See `LocalPass.decode`."""
        return self.local_pass.decode(encoding)

    def render(self, encoding: Encoding, maps: list[Tensor]) -> Tensor:
        """See `LocalPass.render`."""
        return self.local_pass.render(encoding, maps)

    def forward(
        self, x_BCHW: Tensor, overview_BCST: Tensor | None = None, window_B4: Tensor | None = None
    ) -> Tensor:
        """Enhance images of any size, values in [0, 1].

        Args:
            x_BCHW: image, or a crop of one.
            overview_BCST: area average of the crop's surroundings, as training gives it; without it, `x_BCHW`
                is taken for a whole photo.
            window_B4: where the crop lies in what the overview shows: top, bottom, left, right as shares of
                its height and width; all of it by default.
        """
        decision = self.decide(x_BCHW, overview_BCST)
        return self.local_pass(x_BCHW, decision, place(x_BCHW, window_B4), step(x_BCHW))
