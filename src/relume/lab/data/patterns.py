"""Synthetic noise images: what a student sees who is taught without any photograph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DARKEST, BRIGHTEST = 0.01, 0.35
"""Range of the mean of an image, drawn log-uniformly: that of dark photographs."""

FINE = 0.1
"""Largest share of white noise, as a share of an image's mean."""


def noise_images(count: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Dark images of coloured noise, B x 3 x H x W in [0, 1].

    Noise of every octave, from a few cells a side to single pixels, with amplitudes that halve as cells do:
    the spectrum falls with frequency as that of photographs does. Each channel has patterns of its own beside
    those that all share; each image a contrast, a mean and white noise of its own.

    Args:
        count, height, width: of the images.
        device: where they are made, by its own random numbers.
    """
    pattern_BCHW = torch.zeros(count, 3, height, width, device=device)
    cells, amplitude = 2, 1.0
    while cells <= max(height, width):
        rows, columns = (min(cells, size) for size in (height, width))
        for channels, strength in ((1, 1.0), (3, 0.3)):  # what all share, and colours
            octave = torch.rand(count, channels, rows, columns, device=device) - 0.5
            enlarged = F.interpolate(octave, (height, width), mode="bilinear", align_corners=False)
            pattern_BCHW = pattern_BCHW + amplitude * strength * enlarged
        cells, amplitude = 2 * cells, amplitude / 2
    draws_B3 = torch.rand(count, 3, device=device)[:, :, None, None, None]
    contrast, mean, fine = (draws_B3[:, one] for one in range(3))
    light_BCHW = torch.exp((1 + 3 * contrast) * pattern_BCHW)
    light_BCHW = light_BCHW / light_BCHW.mean((1, 2, 3), keepdim=True)
    light_BCHW = light_BCHW + FINE * fine * torch.randn_like(light_BCHW)
    return (light_BCHW * (DARKEST * (BRIGHTEST / DARKEST) ** mean)).clamp(0, 1)
