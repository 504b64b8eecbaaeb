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
    right = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    return (
        right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :],
        down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:],
    )


def gradient_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """`mean |Sx(prediction) - Sx(target)| + mean |Sy(prediction) - Sy(target)|`, S from `sobel`; 0 or more.

    The gradient loss of "Compact Clarity" (equation 3.12), which leaves kernel size and border open.

    Args:
        prediction_BCHW, target_BCHW: images of one shape and range.
    """
    right, down = sobel(prediction_BCHW - target_BCHW)  # Sobel is linear: one pass is enough
    return right.abs().mean() + down.abs().mean()
