"""Zero-DCE: brightening by curves that a small network estimates for every pixel.

Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020. Parameter names
are those of the published weights, so that a user's own file of them loads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.lab.capabilities import Capabilities, Network
from relume.lab.options import Positive


class ZeroDCE(Network):
    """Seven 3x3 convolutions with skip connections estimate eight curves a pixel and channel.

    Args:
        width: channels of the hidden layers.
        iterations: how many curves are applied, one after another.
    """

    capabilities = Capabilities(curves=True)

    def __init__(self, width: Positive = 32, iterations: Positive = 8) -> None:
        super().__init__()
        self.iterations = iterations
        self.e_conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.e_conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.e_conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.e_conv4 = nn.Conv2d(width, width, 3, padding=1)
        self.e_conv5 = nn.Conv2d(2 * width, width, 3, padding=1)
        self.e_conv6 = nn.Conv2d(2 * width, width, 3, padding=1)
        self.e_conv7 = nn.Conv2d(2 * width, 3 * iterations, 3, padding=1)

    def curves(self, x_BCHW: Tensor) -> Tensor:
        """Curve parameters in [-1, 1], B x 3 iterations x H x W."""
        first = F.relu(self.e_conv1(x_BCHW))
        second = F.relu(self.e_conv2(first))
        third = F.relu(self.e_conv3(second))
        fourth = F.relu(self.e_conv4(third))
        fifth = F.relu(self.e_conv5(torch.cat([third, fourth], 1)))
        sixth = F.relu(self.e_conv6(torch.cat([second, fifth], 1)))
        return torch.tanh(self.e_conv7(torch.cat([first, sixth], 1)))

    def apply_curves(self, x_BCHW: Tensor, curves_BCHW: Tensor) -> Tensor:
        """`x + r (x^2 - x)` once for each curve (the paper's equation 3); in and out in [0, 1]."""
        for curve_BCHW in curves_BCHW.chunk(self.iterations, 1):
            x_BCHW = x_BCHW + curve_BCHW * (x_BCHW.square() - x_BCHW)
        return x_BCHW

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Enhance an image by its own curves; in and out in [0, 1]."""
        return self.apply_curves(x_BCHW, self.curves(x_BCHW))
