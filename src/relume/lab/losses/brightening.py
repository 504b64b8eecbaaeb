"""Brightening loss: the two-pass network's exposure curve alone shall meet the target's brightness."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def brightening(bright_BCHW: Tensor, target_BCHW: Tensor, cell: int = 16) -> Tensor:
    """Mean of `|bright - target|` over cells of `cell` x `cell` pixels; scalar, 0 or more.

    Without it the local pass learns to brighten, since it can, and the gains of the global pass mean little.
    Cells average noise away, which the curve cannot remove.

    Args:
        bright_BCHW: the input after the exposure curve, at least as large as the target, which may be padded.
        target_BCHW: images in [0, 1].
    """
    height, width = target_BCHW.shape[-2:]
    difference = bright_BCHW[..., :height, :width].float() - target_BCHW
    return F.avg_pool2d(difference, cell, ceil_mode=True).abs().mean()
