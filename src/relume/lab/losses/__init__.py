"""Loss terms, one a file: plain functions `(prediction_BCHW, target_BCHW) -> scalar`, named here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from relume.errors import UsageError
from relume.lab.losses.charbonnier import charbonnier
from relume.lab.losses.mse import mse
from relume.lab.losses.ssim import ssim, ssim_loss

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Mapping[str, Loss] = {"charbonnier": charbonnier, "mse": mse, "ssim": ssim_loss}
"""Every paired loss term by the name that recipes use."""


def weighted_losses(
    weights: Mapping[str, float], prediction_BCHW: Tensor, target_BCHW: Tensor
) -> dict[str, Tensor]:
    """Each named term times its weight; their sum is the loss.

    Terms are computed in float32 even under mixed precision: variances within SSIM cancel in bfloat16.

    Raises:
        UsageError: a name that is no loss term.
    """
    unknown = set(weights) - set(LOSSES)
    if unknown:
        raise UsageError(f"no loss is called {sorted(unknown)}", f"Choose from: {', '.join(sorted(LOSSES))}.")
    with torch.autocast(prediction_BCHW.device.type, enabled=False):
        prediction_BCHW, target_BCHW = prediction_BCHW.float(), target_BCHW.float()
        return {name: weight * LOSSES[name](prediction_BCHW, target_BCHW) for name, weight in weights.items()}


__all__ = ["LOSSES", "Loss", "charbonnier", "mse", "ssim", "ssim_loss", "weighted_losses"]
