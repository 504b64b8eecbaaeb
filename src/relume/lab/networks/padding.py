"""Padding to a network's size rule."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def reflected(x_BCHW: Tensor, multiple: int) -> Tensor:
    """Mirror an image at its right and lower edge until both sizes are multiples.

    Unlike `F.pad`, it takes images smaller than the padding, back and forth as often as needed, without a
    branch on the size, so that one exported graph holds for every size.
    """
    height, width = x_BCHW.shape[-2:]
    rows = _back_and_forth(height, height + -height % multiple, x_BCHW.device)
    columns = _back_and_forth(width, width + -width % multiple, x_BCHW.device)
    return x_BCHW[:, :, rows][:, :, :, columns]


def repeated(x_BCHW: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples."""
    # Written so that the exporter sees that the sum of size and missing pixels is a multiple.
    below, right = ((size + multiple - 1) // multiple * multiple - size for size in x_BCHW.shape[-2:])
    return F.pad(x_BCHW, (0, right, 0, below), mode="replicate")


def _back_and_forth(length: int, padded: int, device: torch.device) -> Tensor:
    """Positions 0, 1, ..., length - 1, length - 2, ..., 0, 1, ...; `padded` of them."""
    last = torch.arange(length, device=device)[-1:]  # a tensor, since ONNX export knows no other remainder
    period = (2 * last).clamp_min(1)
    phase = torch.remainder(torch.arange(padded, device=device), period)
    return torch.minimum(phase, period - phase)
