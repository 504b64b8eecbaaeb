"""Structural similarity as a loss."""

from __future__ import annotations

import torch
from torch import Tensor


def _filter_matrix(length: int, size: int, sigma: float, like: Tensor) -> Tensor:
    """Gaussian filter as a banded matrix, length x (length - size + 1).

    A matrix product replaces the usual one-channel convolution, whose gradient is ten times slower on a CPU.
    """
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    columns = torch.arange(length - size + 1, device=like.device)
    band = columns[None] + torch.arange(size, device=like.device)[:, None]
    matrix = like.new_zeros(length, length - size + 1)
    return matrix.scatter_(0, band, (window / window.sum())[:, None].expand_as(band).contiguous())


def _smooth(maps_NHW: Tensor, size: int, sigma: float) -> Tensor:
    """Separable Gaussian filter over the inside only; each map loses `size - 1` rows and columns."""
    height, width = maps_NHW.shape[-2:]
    by_rows = _filter_matrix(height, size, sigma, maps_NHW)
    return by_rows.T @ (maps_NHW @ _filter_matrix(width, size, sigma, maps_NHW))


def ssim(prediction_BCHW: Tensor, target_BCHW: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean SSIM over images, channels and all positions where the window fits; scalar in [-1, 1].

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", TIP 2004:
    Gaussian window, population moments, K1 = 0.01, K2 = 0.03, data range 1.

    Args:
        prediction_BCHW, target_BCHW: images in [0, 1], at least `size` pixels a side.
        size, sigma: side and standard deviation of the window, in pixels.
    """
    a, b = (image.flatten(0, 1) for image in (prediction_BCHW, target_BCHW))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _smooth(
        torch.cat([a, b, a * a, b * b, a * b]), size, sigma
    ).chunk(5)
    variance_a, variance_b = mean_aa - mean_a**2, mean_bb - mean_b**2
    covariance = mean_ab - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean()


def ssim_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """`1 - SSIM`, in [0, 2]; arguments as for `ssim`."""
    return 1 - ssim(prediction_BCHW, target_BCHW)
