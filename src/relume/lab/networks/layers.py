"""What networks share: padding, pooling over channels, memory layouts, layers that start at zero."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def zeroed(layer: Layer) -> Layer:
    """Start a layer at zero, so that what it adds to starts unchanged."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def mean_and_peak(x_BCHW: Tensor) -> Tensor:
    """Mean and maximum over channels, B x 2 x H x W: what CBAM's attention over positions looks at.

    `max` remembers where the peak was. The gradient of `amax` seeks it again by its value, and finds none
    where compiled code keeps more digits than bfloat16 has: every gradient before it becomes NaN.
    """
    return torch.cat([x_BCHW.mean(1, keepdim=True), x_BCHW.max(1, keepdim=True).values], 1)


def keep_layout(x_BCHW: Tensor) -> Tensor:
    """`x_BCHW` itself, whose gradient will have the same memory layout.

    Training has channels last, and sums of maps of two layouts take several times as long. Gradients of
    pooled values come with channels first, and hand that on to every sum with them.
    """
    if x_BCHW.requires_grad and x_BCHW.is_contiguous(memory_format=torch.channels_last):
        x_BCHW.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))
    return x_BCHW


def channel_and_position(channel_BC11: Tensor, position_B1HW: Tensor) -> Tensor:
    """Sum of a term a channel and a term a position, B x C x H x W, its channels last in memory.

    Neither term has a layout to go by, so their plain sum would have channels first.
    """
    return (channel_BC11.movedim(1, -1) + position_B1HW.movedim(1, -1)).movedim(-1, 1)


def reflected(x_BCHW: Tensor, multiple: int, margin: int = 0) -> Tensor:
    """Mirror an image at its right and lower edge until both sizes are multiples.

    Unlike `F.pad`, it takes images smaller than the padding, back and forth as often as needed, without a
    branch on the size, so that one exported graph holds for every size.

    Args:
        x_BCHW: an image.
        multiple: of which both sizes become multiples.
        margin: pixels to be added at each edge besides.
    """
    rows, columns = (
        _back_and_forth(size, margin, size + 2 * margin, multiple, x_BCHW.device)
        for size in x_BCHW.shape[-2:]
    )
    return x_BCHW.index_select(2, rows).index_select(3, columns)


def repeated(x_BCHW: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples."""
    # Written so that the exporter sees that the sum of size and missing pixels is a multiple.
    below, right = ((size + multiple - 1) // multiple * multiple - size for size in x_BCHW.shape[-2:])
    return F.pad(x_BCHW, (0, right, 0, below), mode="replicate")


def interleaved(x_BCHW: Tensor) -> Tensor:
    """`F.pixel_shuffle(x_BCHW, 2)`, columns before rows, in which ONNX Runtime takes half the time."""
    batch, channels, height, width = x_BCHW.shape
    columns = x_BCHW.reshape(batch, channels // 2, 2, height, width).movedim(2, -1)
    rows = columns.reshape(batch, channels // 4, 2, height, 2 * width).movedim(2, 3)
    return rows.reshape(batch, channels // 4, 2 * height, 2 * width)


def _back_and_forth(length: int, before: int, least: int, multiple: int, device: torch.device) -> Tensor:
    """Positions `before`, ..., 1, 0, 1, ..., length - 1, length - 2, ..., a multiple and at least `least`."""
    last = torch.arange(length, device=device)[-1:]  # a tensor, since ONNX export knows no other remainder
    period = (2 * last).clamp_min(1)
    phase = torch.remainder(torch.arange(least + -least % multiple, device=device) - before, period)
    return torch.minimum(phase, period - phase)
