"""Charbonnier loss: a smooth L1."""

from __future__ import annotations

from torch import Tensor


def charbonnier(prediction_BCHW: Tensor, target_BCHW: Tensor, eps: float = 1e-3) -> Tensor:
    r"""Mean of `sqrt((prediction - target)^2 + eps^2)`.

    Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed imaging",
    ICIP 1994; in this form Lai et al., "Deep Laplacian Pyramid Networks", CVPR 2017.

    Args:
        prediction_BCHW, target_BCHW: images of one shape and range.
        eps: width of the quadratic region, in units of the image range.
    """
    return ((prediction_BCHW - target_BCHW).square() + eps * eps).sqrt().mean()
