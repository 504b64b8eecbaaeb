"""Distance between magnitude spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def frequency_loss(prediction_BCHW: Tensor, target_BCHW: Tensor, factor: float = 0.1) -> Tensor:
    r"""`factor * mean | |F(prediction)| - |F(target)| |` with F the real 2-D FFT; scalar, 0 or more.

    The frequency loss of "Compact Clarity" (equation 3.12). Its normalisation is not stated there; F is
    orthonormal here, so that by Parseval's theorem a magnitude has the unit of a pixel value and the term
    keeps its weight through a schedule of resolutions. The FFT without normalisation is `sqrt(H W)` times
    larger. The mean runs over the half spectrum that `rfft2` gives, H x (W // 2 + 1).

    Args:
        prediction_BCHW, target_BCHW: images of one shape and range, float32 or float64: there is no bfloat16
            FFT.
        factor: inner weight.
    """
    ours, theirs = (torch.fft.rfft2(image, norm="ortho").abs() for image in (prediction_BCHW, target_BCHW))
    return factor * (ours - theirs).abs().mean()
