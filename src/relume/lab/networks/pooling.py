"""Pooling that networks share."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_and_peak(x_BCHW: Tensor) -> Tensor:
    """Mean and maximum over channels, B x 2 x H x W: what CBAM's attention over positions looks at.

    `max` remembers where the peak was. The gradient of `amax` seeks it again by its value, and finds none
    where compiled code keeps more digits than bfloat16 has: every gradient before it becomes NaN.
    """
    return torch.cat([x_BCHW.mean(1, keepdim=True), x_BCHW.max(1, keepdim=True).values], 1)
