"""PatchGAN: a discriminator that judges every 70 x 70 patch of an image.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from relume.lab.capabilities import Network
from relume.lab.options import Positive


def _convolution(before: int, after: int, stride: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, 4, stride, padding=1))


class PatchGAN(Network):
    """Five 4x4 convolutions, three of them of stride 2: logits of being real, one per patch of 70 x 70.

    Spectral norm (Miyato et al., ICLR 2018) bounds every convolution, in place of the paper's batch norm.

    Args:
        width: channels of the first convolution; they double at each of the next three.
    """

    def __init__(self, width: Positive = 64) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise(widths), (2, 2, 2, 1), strict=True):
            layers += [_convolution(before, after, stride), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, _convolution(widths[-1], 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits, B x 1 x h x w with h = floor(H / 8) - 2, w likewise.

        Args:
            x_BCHW: image in [0, 1], at least 24 pixels per side; the layers see it in [-1, 1].
        """
        return self.layers(2 * x_BCHW - 1)
