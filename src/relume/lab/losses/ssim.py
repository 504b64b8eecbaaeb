"""Structural similarity as a loss, at one scale and at several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.arrays import constant

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM from the finest scale to the coarsest (Wang et al. 2003)."""

_FLOOR = 1e-3
"""The smallest factor of MS-SSIM."""


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


def _luminance_and_structure(
    prediction_BCHW: Tensor, target_BCHW: Tensor, size: int, sigma: float
) -> tuple[Tensor, Tensor]:
    """The two factors of SSIM, each B x C x (H - size + 1) x (W - size + 1).

    `l = (2 ma mb + C1) / (ma^2 + mb^2 + C1)` and, contrast and structure together,
    `cs = (2 cov + C2) / (va + vb + C2)`.
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
    shape = prediction_BCHW.shape[:2]
    return luminance.unflatten(0, shape), structure.unflatten(0, shape)


def ssim(prediction_BCHW: Tensor, target_BCHW: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean SSIM over images, channels and all positions where the window fits; scalar in [-1, 1].

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", TIP 2004:
    Gaussian window, population moments, K1 = 0.01, K2 = 0.03, data range 1.

    Args:
        prediction_BCHW, target_BCHW: images in [0, 1], at least `size` pixels per side.
        size, sigma: side and standard deviation of the window, in pixels.
    """
    luminance, structure = _luminance_and_structure(prediction_BCHW, target_BCHW, size, sigma)
    return (luminance * structure).mean()


def ssim_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """`1 - SSIM`, in [0, 2]; arguments as for `ssim`."""
    return 1 - ssim(prediction_BCHW, target_BCHW)


def ms_ssim(prediction_BCHW: Tensor, target_BCHW: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean multi-scale SSIM over images; scalar in (0, 1].

    `SSIM_M^wM * product of cs_j^wj for j < M`: SSIM of the coarsest of M scales, contrast and structure of
    the others, each a mean over the channels and positions of an image; 2x2 means lead from scale to scale.
    Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003.

    Images too small for the paper's five scales use as many as leave room for the window at the coarsest,
    with the first weights, rescaled to a sum of 1: with 11 pixels, three scales from 44 a side, four from 88,
    five from 176.

    Negative factors have no real power, so none counts as less than `_FLOOR`. It lies above 0: there a power
    has an infinite slope, and a single factor would silence the gradients of all others.

    Args:
        prediction_BCHW, target_BCHW: images in [0, 1], at least `size` pixels per side.
        size, sigma: side and standard deviation of the window, in pixels.
    """
    scales = min((min(prediction_BCHW.shape[-2:]) // size).bit_length(), len(_SCALE_WEIGHTS))
    weights = constant(_SCALE_WEIGHTS[:scales], prediction_BCHW)
    factors: list[Tensor] = []
    for scale in range(1, scales + 1):
        luminance, structure = _luminance_and_structure(prediction_BCHW, target_BCHW, size, sigma)
        factor = luminance * structure if scale == scales else structure
        factors.append(factor.mean((1, 2, 3)))
        prediction_BCHW, target_BCHW = (F.avg_pool2d(image, 2) for image in (prediction_BCHW, target_BCHW))
    powers = torch.stack(factors, 1).clamp(min=_FLOOR) ** (weights / weights.sum())
    return powers.prod(1).mean()


def ms_ssim_loss(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """`1 - MS-SSIM`, in [0, 1); arguments as for `ms_ssim`."""
    return 1 - ms_ssim(prediction_BCHW, target_BCHW)
