"""The illumination-aware mirror loss: the student's decoder follows a teacher's that saw the clean image.

After IAML (arXiv 2603.13363).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from relume.colour import LUMA_REC601


class Axes(NamedTuple):
    """Axes of B x C x H x W over which maps get zero mean, and unit standard deviation."""

    mean: tuple[int, ...]
    deviation: tuple[int, ...]


STANDARDISATIONS: Mapping[str, Axes] = {
    "sample": Axes((1, 2, 3), (1, 2, 3)),
    "channel": Axes((2, 3), (2, 3)),
    "batch": Axes((0,), (0, 2, 3)),
}
"""What maps are standardised over: each sample as a whole, as IAML does; each channel of each sample; or each
channel over the batch, the mean at each position by itself, which leaves only how images differ."""


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


def dimmed(clean_BCHW: Tensor, low_BCHW: Tensor, eps: float = 1e-7) -> Tensor:
    """Clean images scaled to the mean luma of their dark ones: as dark, without their noise; in [0, 1].

    What is trained on dark images knows such an image, while the clean one itself lies far outside of what
    its normalisation has seen.

    Args:
        clean_BCHW, low_BCHW: pairs in [0, 1].
        eps: added to the clean image's mean.
    """
    wanted, given = (luma(image).mean((1, 2, 3), keepdim=True) for image in (low_BCHW, clean_BCHW))
    return (clean_BCHW * (wanted / (given + eps))).clamp(max=1)


def standardise(maps_BCHW: Tensor, over: str = "sample", eps: float = 1e-6) -> Tensor:
    """Zero mean and unit standard deviation, the unbiased one: divided by the count less the means taken.

    A projection that ignores the image agrees with its teacher for free. Over a sample, as IAML does, one
    constant a channel passes unchanged, and so does any pattern. For each channel constants vanish; a pattern
    that is the same for all images still passes. Over the batch it vanishes too.

    Args:
        maps_BCHW: projected maps.
        over: key of `STANDARDISATIONS`.
        eps: added to the standard deviation.
    """
    axes = STANDARDISATIONS[over]
    centred = maps_BCHW - maps_BCHW.mean(axes.mean, keepdim=True)
    free = 1 - 1 / math.prod(
        [maps_BCHW.shape[axis] for axis in axes.mean]
    )  # 0 where each mean is of one value
    variance = centred.square().mean(axes.deviation, keepdim=True) / (free or 1)
    # The square root has no slope at zero, where a channel is constant.
    spread = variance.clamp_min(eps**2).sqrt()
    return centred / (spread + eps)


def mirror_losses(
    student: Sequence[Tensor], teacher: Sequence[Tensor], weight_B1HW: Tensor, over: str = "sample"
) -> list[Tensor]:
    """`mean(W_i |u_i - t_i|)` at each scale, maps standardised, W resized bilinearly, the teacher detached.

    Args:
        student, teacher: projected maps of the same shapes, one a scale.
        weight_B1HW: from `illumination_weight`.
        over: as for `standardise`.
    """
    terms: list[Tensor] = []
    for ours, theirs in zip(student, teacher, strict=True):
        weight = F.interpolate(weight_B1HW, ours.shape[-2:], mode="bilinear", align_corners=False)
        distance = (standardise(ours, over) - standardise(theirs.detach(), over)).abs()
        terms.append((weight * distance).mean())
    return terms
