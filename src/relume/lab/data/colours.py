"""Jitter of brightness, contrast, saturation and hue, of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from relume.lab.losses.mirror import luma

_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""Luma and two axes of colour, NTSC."""

_FROM_YIQ = torch.linalg.inv(torch.tensor(_TO_YIQ, dtype=torch.float64)).tolist()


def jitter_colours(images_BCHW: Tensor, factors_B4: Tensor) -> Tensor:
    """Change the colours of RGB images in [0, 1], each by its own factors; cut off to [0, 1] at last.

    Brightness multiplies first; then contrast stretches about the image's mean luma, saturation about each
    pixel's luma; hue turns colours about the grey axis, which keeps luma. As torchvision's `ColorJitter`, but
    in one order, cut off once, and with a linear turn instead of one in HSV.

    Args:
        images_BCHW: images in [0, 1].
        factors_B4: factors of brightness, contrast and saturation, where 1 changes nothing, and the turn of
            hue as a share of the circle, where 0 does.
    """
    brightness, contrast, saturation, hue = factors_B4.to(images_BCHW)[:, :, None, None, None].unbind(1)
    images_BCHW = images_BCHW * brightness
    middle_B111 = luma(images_BCHW).mean((1, 2, 3), keepdim=True)
    images_BCHW = middle_B111 + contrast * (images_BCHW - middle_B111)
    grey_B1HW = luma(images_BCHW)
    images_BCHW = grey_B1HW + saturation * (images_BCHW - grey_B1HW)
    turned_BCHW = torch.einsum("bij,bjhw->bihw", _hue_turn(hue[:, 0, 0, 0]), images_BCHW)
    return turned_BCHW.clamp(0, 1)


def _hue_turn(turn_B: Tensor) -> Tensor:
    """B x 3 x 3 matrices that turn RGB about the grey axis."""
    to_yiq, from_yiq = turn_B.new_tensor(_TO_YIQ), turn_B.new_tensor(_FROM_YIQ)
    angle_B = 2 * torch.pi * turn_B
    cos, sin, none, one = angle_B.cos(), angle_B.sin(), torch.zeros_like(angle_B), torch.ones_like(angle_B)
    rows = [torch.stack(row, 1) for row in ((one, none, none), (none, cos, -sin), (none, sin, cos))]
    return from_yiq @ torch.stack(rows, 1) @ to_yiq
