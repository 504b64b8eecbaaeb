"""Memory layouts: training has channels last, and sums of maps of two layouts take several times as long."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_layout(x_BCHW: Tensor) -> Tensor:
    """`x_BCHW` itself, whose gradient will have the same memory layout.

    Gradients of pooled values come with channels first, and hand that on to every sum with them.
    """
    if x_BCHW.requires_grad and x_BCHW.is_contiguous(memory_format=torch.channels_last):
        x_BCHW.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))
    return x_BCHW


def channel_and_position(channel_BC11: Tensor, position_B1HW: Tensor) -> Tensor:
    """Sum of a term a channel and a term a position, B x C x H x W, its channels last in memory.

    Neither term has a layout to go by, so their plain sum would have channels first.
    """
    return (channel_BC11.movedim(1, -1) + position_B1HW.movedim(1, -1)).movedim(-1, 1)
