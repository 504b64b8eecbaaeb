"""Attention transfer: the student looks where the teacher looks.

Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def attention(maps_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean square over channels, averaged to a size, of unit length over positions; B x (H W), float32."""
    energy_B1HW = maps_BCHW.float().square().mean(1, keepdim=True)
    return F.normalize(F.adaptive_avg_pool2d(energy_B1HW, size).flatten(1), dim=1)


def attention_loss(student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
    """Mean over images of the squared distance between both attention maps; scalar in [0, 2].

    The maps are compared at the smaller of both sizes. The distance is summed over positions, where the
    published code takes their mean, so that its weight does not depend on the size.

    Args:
        student_BCHW, teacher_BCHW: features of the same images, of any sizes and widths; only the student's
            get a gradient.
    """
    height, width = (min(student_BCHW.shape[axis], teacher_BCHW.shape[axis]) for axis in (2, 3))
    ours, theirs = (attention(maps, (height, width)) for maps in (student_BCHW, teacher_BCHW.detach()))
    return (ours - theirs).square().sum(1).mean()
