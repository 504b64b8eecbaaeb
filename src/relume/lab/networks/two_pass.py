"""The default network: a global pass over a thumbnail, and a local pass that it conditions.

Ordinary low-light networks look at the whole image, so a tile of a photo comes out at another brightness
than its neighbour. Here everything global is decided once, on a thumbnail of the whole photo; what remains
is a U-Net of plain convolutions with a bounded receptive field, and tiles of it join without a seam.

Three properties come from the structure rather than from training:

- *scale equivariance*: the global pass sees the thumbnail divided by its mean, and its gain is divided by
  that mean again, so the same scene at half the exposure yields twice the gain;
- *safe highlights*: the gain acts through the curve `g x / (1 + (g - 1) x)`, which has slope g in the
  shadows, keeps 0 and 1 where they are, and is the identity at g = 1;
- *speed*: widths are multiples of 16 and only the coarse levels are modulated, which keeps ONNX Runtime in
  its blocked convolution layout where most pixels are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.lab.capabilities import Capabilities, Network
from relume.lab.networks.layers import repeated, zeroed
from relume.steps.curve import exposure_curve
from relume.steps.thumbnail import thumbnail

TARGET_MEAN = 0.45
"""Mean brightness that an untrained network aims at; about the mean of well-exposed photographs."""

MEAN_FLOOR = 1 / 510
"""Half a step of 8 bits: below this a thumbnail's mean says nothing."""


def views(overview_BCNN: Tensor, size: int) -> Tensor:
    """Nine overlapping parts of an overview, each also mirrored, as thumbnails: 18 B x C x size x size.

    Each part spans four fifths of either side, as the regions do that training shows.

    Args:
        overview_BCNN: area average of whole photos, `N = 5/2 size` pixels a side.
        size: side of a thumbnail.
    """
    starts = range(0, size // 2 + 1, size // 4)
    parts = [
        overview_BCNN[..., row : row + 2 * size, column : column + 2 * size]
        for row in starts
        for column in starts
    ]
    thumbnails = F.avg_pool2d(torch.cat(parts), 2)
    return torch.cat([thumbnails, thumbnails.flip(-1)])


class GlobalPass(nn.Module):
    """Thumbnail of the whole photo -> gain per channel and condition vector.

    Args:
        condition: length of the condition vector.
        width: channels of the first convolution; they double at each of three more.
        dropout: probability of dropping a pooled feature while training.
    """

    def __init__(self, condition: int = 64, width: int = 24, dropout: float = 0.1) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        pooled = 3 * widths[-1]
        self.dropout = nn.Dropout(dropout)
        self.log_gain = nn.Sequential(
            nn.Linear(pooled, 2 * condition),
            nn.ReLU(),
            nn.Dropout(dropout),
            zeroed(nn.Linear(2 * condition, 3)),
        )
        self.condition = nn.Sequential(
            nn.Linear(pooled + 1, 2 * condition), nn.ReLU(), nn.Linear(2 * condition, condition), nn.ReLU()
        )

    def forward(self, thumbnail_BCSS: Tensor) -> Tensor:
        """Return B x (3 + condition): gains first, then the condition vector.

        Args:
            thumbnail_BCSS: thumbnail of the whole photo, in [0, 1].
        """
        mean_B111 = thumbnail_BCSS.mean((1, 2, 3), keepdim=True).clamp_min(MEAN_FLOOR)
        maps_BFSS = self.features(torch.log1p(thumbnail_BCSS / mean_B111))
        mean_BF = maps_BFSS.mean((2, 3))
        spread_BF = (maps_BFSS - mean_BF[:, :, None, None]).square().mean((2, 3)).add(1e-6).sqrt()
        # `max` with its positions, not `amax`, as in `mean_and_peak`.
        pooled_BF = self.dropout(torch.cat([mean_BF, spread_BF, maps_BFSS.flatten(2).max(2).values], 1))
        log_mean_B1 = mean_B111.flatten(1).log()
        gain_BC = torch.exp(self.log_gain(pooled_BF) - log_mean_B1) * TARGET_MEAN
        condition_BK = self.condition(torch.cat([pooled_BF, log_mean_B1], 1))
        return torch.cat([gain_BC, condition_BK], 1)

    def over_views(self, overview_BCNN: Tensor, size: int) -> Tensor:
        """The same, averaged over `views`: gains geometrically, conditions arithmetically.

        How bright a photo should be is the hardest thing to tell, and the answers for its parts differ;
        their average is better than any single one.
        """
        answers_VBK = self(views(overview_BCNN, size)).unflatten(0, (-1, overview_BCNN.shape[0]))
        gain_BC = answers_VBK[..., :3].log().mean(0).exp()
        return torch.cat([gain_BC, answers_VBK[..., 3:].mean(0)], 1)


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, the inner activation modulated by the condition (FiLM).

    FiLM: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018.
    """

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.film = zeroed(nn.Linear(condition, 2 * width)) if condition else None

    def forward(self, x_BCHW: Tensor, condition_BK: Tensor) -> Tensor:
        inner = self.first(x_BCHW)
        if self.film is not None:
            scale_BC, shift_BC = self.film(condition_BK).chunk(2, 1)
            inner = inner * (1 + scale_BC[:, :, None, None]) + shift_BC[:, :, None, None]
        return x_BCHW + self.second(F.relu(inner))


class Encoding(NamedTuple):
    """What the decoder needs: the brightened image, the encoder's levels (finest first), the condition."""

    bright_BCHW: Tensor
    levels: list[Tensor]
    condition_BK: Tensor


class LocalPass(nn.Module):
    """U-Net on 2x2 pixel-unshuffled input, modulated by the global pass; its view of the image is bounded.

    Args:
        widths: channels a level, finest first.
        depths: residual blocks a level, in the encoder and again in the decoder (the last: once).
        condition: length of the condition vector.
        modulated_from: first level with FiLM.
    """

    def __init__(
        self, widths: tuple[int, ...], depths: tuple[int, ...], condition: int, modulated_from: int
    ) -> None:
        super().__init__()

        def level(index: int) -> nn.ModuleList:
            size = condition if index >= modulated_from else 0
            return nn.ModuleList(Block(widths[index], size) for _ in range(depths[index]))

        coarser = list(pairwise(widths))
        self.depths = depths
        self.size_multiple = 2 ** len(widths)
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(level(index) for index in range(len(widths)))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in coarser)
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in coarser)
        self.decoder = nn.ModuleList(level(index) for index in range(len(widths) - 1))
        self.head = zeroed(nn.Conv2d(widths[0], 12, 3, padding=1))

    @property
    def halo(self) -> int:
        """How far around a pixel the output depends on the input, rounded up to the size rule, in pixels.

        A 3x3 convolution on a level of stride s reaches s pixels further; where the pixel lies in its
        coarsest cell adds less than one cell.
        """
        blocks = [2 * depth for depth in self.depths[:-1]] + [self.depths[-1]]
        convolutions = [2 * count for count in blocks]
        convolutions[0] += 2  # stem and head
        reach = sum(count * 2 ** (level + 1) for level, count in enumerate(convolutions)) + self.size_multiple
        return -(-reach // self.size_multiple) * self.size_multiple

    def _stem_kernel(self) -> Tensor:
        """The stem's 3x3 kernel on 12 unshuffled channels, as the same 6x6 kernel of stride 2 on 3 channels.

        One convolution instead of an unshuffle and a convolution: an eighth of the time at 1080p went into
        moving pixels. Channel `4 c + 2 i + j` of an unshuffled image is pixel (i, j) of channel c.
        """
        kernel = self.stem.weight.unflatten(1, (3, 2, 2)).permute(0, 1, 4, 2, 5, 3)
        return kernel.reshape(-1, 3, 6, 6)

    def encode(self, x_BCHW: Tensor, conditioning_BK: Tensor) -> Encoding:
        """Brighten an image and return it with the encoder's output at each level.

        Args:
            x_BCHW: image in [0, 1], of any size; its right and lower edges are repeated up to the size rule.
            conditioning_BK: what `GlobalPass` returned for the whole photo.
        """
        gain_BC, condition_BK = conditioning_BK[:, :3], conditioning_BK[:, 3:]
        bright = exposure_curve(repeated(x_BCHW, self.size_multiple), gain_BC[:, :, None, None])
        hidden = F.conv2d(bright, self._stem_kernel(), self.stem.bias, stride=2, padding=2)
        levels: list[Tensor] = []
        for index, blocks in enumerate(self.encoder):
            if index:
                hidden = self.down[index - 1](hidden)
            for block in blocks.children():
                hidden = block(hidden, condition_BK)
            levels.append(hidden)
        return Encoding(bright, levels, condition_BK)

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
        return encoding.bright_BCHW + F.pixel_shuffle(self.head(maps[-1]), 2).float()

    def forward(self, x_BCHW: Tensor, conditioning_BK: Tensor) -> Tensor:
        """Return the enhanced image, B x 3 x H x W; clipped to [0, 1] outside training."""
        height, width = x_BCHW.shape[-2:]
        encoding = self.encode(x_BCHW, conditioning_BK)
        enhanced = self.render(encoding, self.decode(encoding))[..., :height, :width]
        return enhanced if self.training else enhanced.clamp(0, 1)


class TwoPass(Network):
    """Both passes as one network: photo in, enhanced photo out.

    Args:
        widths, depths: channels and residual blocks a level of the local pass, finest first.
        condition: length of the condition vector.
        global_width: channels of the global pass's first convolution.
        modulated_from: first level of the local pass with FiLM.
        thumbnail_size: side of the square thumbnail, in pixels; a multiple of 4.
        dropout: dropout on the global pass's pooled features.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 160),
        depths: tuple[int, ...] = (1, 1, 1, 1),
        condition: int = 64,
        global_width: int = 24,
        modulated_from: int = 2,
        thumbnail_size: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.thumbnail_size = thumbnail_size
        self.global_pass = GlobalPass(condition, global_width, dropout)
        self.local_pass = LocalPass(tuple(widths), tuple(depths), condition, modulated_from)
        self.capabilities = Capabilities(
            overview=self.overview_size,
            square=thumbnail_size,
            multiple=self.local_pass.size_multiple,
            maps=tuple(widths)[::-1],
            brightens=True,
        )

    @property
    def overview_size(self) -> int:
        """Side of the area average of a whole photo that `views` are cut from."""
        return 5 * self.thumbnail_size // 2

    def conditioning(self, x_BCHW: Tensor, thumbnail_BCSS: Tensor | None) -> Tensor:
        """Run the global pass on the given thumbnail, otherwise on views of the whole image."""
        # The gain decides the brightness of every pixel, and costs next to nothing: always in full precision.
        with torch.autocast(x_BCHW.device.type, enabled=False):
            if thumbnail_BCSS is not None:
                return self.global_pass(thumbnail_BCSS.float())
            side = self.overview_size
            overview_BCNN = thumbnail(x_BCHW.float(), (side, side))
            return self.global_pass.over_views(overview_BCNN, self.thumbnail_size)

    def encode(self, x_BCHW: Tensor, thumbnail_BCSS: Tensor | None = None) -> Encoding:
        """See `LocalPass.encode`; the thumbnail as for `forward`."""
        return self.local_pass.encode(x_BCHW, self.conditioning(x_BCHW, thumbnail_BCSS))

    def decode(self, encoding: Encoding) -> list[Tensor]:
        """See `LocalPass.decode`."""
        return self.local_pass.decode(encoding)

    def render(self, encoding: Encoding, maps: list[Tensor]) -> Tensor:
        """See `LocalPass.render`."""
        return self.local_pass.render(encoding, maps)

    def forward(self, x_BCHW: Tensor, thumbnail_BCSS: Tensor | None = None) -> Tensor:
        """Enhance images of any size, values in [0, 1].

        Args:
            x_BCHW: image, or a crop of one.
            thumbnail_BCSS: thumbnail of the crop's surroundings, as training gives it; without it, `x_BCHW`
                is taken for a whole photo.
        """
        return self.local_pass(x_BCHW, self.conditioning(x_BCHW, thumbnail_BCSS))
