"""Loss terms, one per file: plain functions `(prediction_BCHW, target_BCHW) -> scalar`, named here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.losses.charbonnier import charbonnier
from relume.lab.losses.frequency import frequency_loss
from relume.lab.losses.gradient import gradient_loss
from relume.lab.losses.gt_mean import gt_mean_loss
from relume.lab.losses.luma_chroma import luma_chroma_loss
from relume.lab.losses.ssim import ms_ssim, ms_ssim_loss, ssim, ssim_loss

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Mapping[str, Loss] = {
    "charbonnier": charbonnier,
    "frequency": frequency_loss,
    "gradient": gradient_loss,
    "gt-mean": gt_mean_loss,
    "luma-chroma": luma_chroma_loss,
    "ms-ssim": ms_ssim_loss,
    "mse": F.mse_loss,
    "ssim": ssim_loss,
}
"""Every paired loss term that needs nothing but the two images, by the name that recipes use."""


def weighted_losses(
    weights: Mapping[str, float],
    prediction_BCHW: Tensor,
    target_BCHW: Tensor,
    terms: Mapping[str, Loss] = LOSSES,
) -> dict[str, Tensor]:
    """Each named term times its weight; their sum is the loss.

    Terms are computed in float32 even under mixed precision: variances within SSIM cancel in bfloat16.

    Args:
        weights: by the name of a term.
        prediction_BCHW, target_BCHW: images in [0, 1].
        terms: the terms to choose from; a method with more, such as one with weights of its own, adds them
            here.

    Raises:
        UsageError: a name that is not a loss term.
    """
    check_losses(weights, terms)
    with torch.autocast(prediction_BCHW.device.type, enabled=False):
        prediction_BCHW, target_BCHW = prediction_BCHW.float(), target_BCHW.float()
        return {name: weight * terms[name](prediction_BCHW, target_BCHW) for name, weight in weights.items()}


def check_losses(weights: Mapping[str, float], terms: Mapping[str, Loss] = LOSSES) -> None:
    """Raises UsageError for a weight of a name that is not a loss term."""
    unknown = set(weights) - set(terms)
    if unknown:
        raise UsageError(f"no loss is called {sorted(unknown)}", f"Choose from: {', '.join(sorted(terms))}.")


__all__ = [
    "LOSSES",
    "Loss",
    "charbonnier",
    "check_losses",
    "frequency_loss",
    "gradient_loss",
    "ms_ssim",
    "ms_ssim_loss",
    "ssim",
    "ssim_loss",
    "weighted_losses",
]
