"""PSNR and SSIM of batches on the device; `relume.evaluate.metrics` defines them, and a test compares."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.colour import LUMA_REC601
from relume.evaluate.metrics import PSNR_CAP

_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(output_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Decibels of each image, B; images in [0, 1]."""
    return _decibels((output_BCHW - target_BCHW).square().flatten(1).mean(1))


def psnr_gt_mean(output_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """The same after scaling each output to its target's mean luma and cutting it off at white, B."""
    predicted_B, wanted_B = _mean_luma(output_BCHW), _mean_luma(target_BCHW)
    scale_B = torch.where(predicted_B > 0, wanted_B / predicted_B, 1.0)
    return psnr((output_BCHW * scale_B[:, None, None, None]).clamp(0, 1), target_BCHW)


def ssim(output_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Structural similarity of each image under a Gaussian window, where it lies inside, B."""
    a, b = output_BCHW.flatten(0, 1), target_BCHW.flatten(0, 1)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _smooth(torch.cat([a, b, a * a, b * b, a * b])).chunk(5)
    covariance = mean_ab - mean_a * mean_b
    spread = (mean_aa - mean_a**2) + (mean_bb - mean_b**2)
    centre = mean_a**2 + mean_b**2
    similar = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2) / ((centre + _C1) * (spread + _C2))
    return similar.unflatten(0, output_BCHW.shape[:2]).flatten(1).mean(1)


def _decibels(error_B: Tensor) -> Tensor:
    return (-10 * error_B.clamp(min=1e-20).log10()).clamp(max=PSNR_CAP)


def _mean_luma(rgb_BCHW: Tensor) -> Tensor:
    return rgb_BCHW.mean((2, 3)) @ rgb_BCHW.new_tensor(LUMA_REC601)


def _smooth(maps_NHW: Tensor) -> Tensor:
    """Separable Gaussian filter; each map loses ten rows and columns."""
    offsets = torch.arange(_SIDE, dtype=maps_NHW.dtype, device=maps_NHW.device) - _SIDE // 2
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    window = window / window.sum()
    maps_N1HW = F.conv2d(maps_NHW[:, None], window.view(1, 1, -1, 1))
    return F.conv2d(maps_N1HW, window.view(1, 1, 1, -1))[:, 0]
