"""Distance between image gradients."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def sobel(x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel derivatives to the right and downwards, of every channel; each B x C x H x W.

    The kernel is `[1, 2, 1]` across times `[-1, 0, 1]` along, so a ramp of slope 1 a pixel gives 8. Edges are
    replicated.
    """
    padded = F.pad(x_BCHW, (1, 1, 1, 1), mode="replicate")
    by_columns = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    by_rows = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return by_columns[..., 2:] - by_columns[..., :-2], by_rows[..., 2:, :] - by_rows[..., :-2, :]


def gradient_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """`mean |Sx(prediction) - Sx(target)| + mean |Sy(prediction) - Sy(target)|`, S from `sobel`; 0 or more.

    The gradient loss of "Compact Clarity" (equation 3.12), which leaves kernel size and border open.

    Args:
        prediction_BCHW, target_BCHW: images of one shape and range.
    """
    right, down = sobel(prediction_BCHW - target_BCHW)  # Sobel is linear: one pass is enough
    return right.abs().mean() + down.abs().mean()
