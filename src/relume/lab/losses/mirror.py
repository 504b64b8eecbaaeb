"""The illumination-aware mirror loss: the student's decoder follows a teacher's that saw the clean image.

After IAML (arXiv 2603.13363).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from relume.evaluate.metrics import LUMA_REC601


def luma(rgb_BCHW: Tensor) -> Tensor:
    """Rec. 601 luma of RGB in [0, 1]; B x 1 x H x W."""
    red, green, blue = LUMA_REC601
    return rgb_BCHW[:, :1] * red + rgb_BCHW[:, 1:2] * green + rgb_BCHW[:, 2:] * blue


def illumination_weight(low_BCHW: Tensor, beta: float) -> Tensor:
    """`1 + beta (1 - Yn)`, larger where the dark image is darker; B x 1 x H x W in [1, 1 + beta].

    Args:
        low_BCHW: dark images in [0, 1].
        beta: strength; 0 weighs all positions alike.
    """
    y = luma(low_BCHW)
    smallest, largest = y.amin((2, 3), keepdim=True), y.amax((2, 3), keepdim=True)
    return 1 + beta * (1 - (y - smallest) / (largest - smallest + 1e-7))


def standardise(maps_BCHW: Tensor, per_channel: bool = False, eps: float = 1e-6) -> Tensor:
    """Zero mean and unit standard deviation for each sample.

    Over channels and positions together, as IAML does, a map of one constant a channel passes unchanged, so a
    projection that ignores the image agrees with its teacher. For each channel over positions, such a map
    becomes zero; a pattern that is the same for all images still passes.

    Args:
        maps_BCHW: projected maps.
        per_channel: for each channel by itself.
        eps: added to the standard deviation.
    """
    over = (2, 3) if per_channel else (1, 2, 3)
    centred = maps_BCHW - maps_BCHW.mean(over, keepdim=True)
    # The square root has no slope at zero, where a channel is constant.
    spread = centred.square().mean(over, keepdim=True).clamp_min(eps**2).sqrt()
    return centred / (spread + eps)


def mirror_losses(
    student: Sequence[Tensor], teacher: Sequence[Tensor], weight_B1HW: Tensor, per_channel: bool = False
) -> list[Tensor]:
    """`mean(W_i |u_i - t_i|)` at each scale, maps standardised, W resized bilinearly, the teacher detached.

    Args:
        student, teacher: projected maps of the same shapes, one a scale.
        weight_B1HW: from `illumination_weight`.
        per_channel: as for `standardise`.
    """
    terms: list[Tensor] = []
    for ours, theirs in zip(student, teacher, strict=True):
        weight = F.interpolate(weight_B1HW, ours.shape[-2:], mode="bilinear", align_corners=False)
        terms.append(
            (
                weight * (standardise(ours, per_channel) - standardise(theirs.detach(), per_channel)).abs()
            ).mean()
        )
    return terms
