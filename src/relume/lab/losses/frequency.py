"""Distance between magnitude spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def frequency_loss(prediction_BCHW: Tensor, target_BCHW: Tensor, factor: float = 0.1) -> Tensor:
    r"""`factor * mean | |F(prediction)| - |F(target)| |` with F the real 2-D FFT; scalar, 0 or more.

    The frequency loss of "Compact Clarity" (equation 3.12). Its normalisation is not stated there; the
    transform is the plain one, as libraries compute it without being asked, which the inner factor speaks
    for too: an orthonormal one is `sqrt(H W)` times smaller, and the term would be a thousandth of the whole.
    So the term grows with the side of the images. The mean runs over the half spectrum that `rfft2` gives,
    H x (W // 2 + 1).

    Args:
        prediction_BCHW, target_BCHW: images of one shape and range, float32 or float64: there is no bfloat16
            FFT.
        factor: inner weight.
    """
    ours, theirs = (torch.fft.rfft2(image).abs() for image in (prediction_BCHW, target_BCHW))
    return factor * (ours - theirs).abs().mean()
