"""Mean squared error."""

from __future__ import annotations

from torch import Tensor


def mse(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Mean of the squared difference; arguments of one shape and range."""
    return (prediction_BCHW - target_BCHW).square().mean()
