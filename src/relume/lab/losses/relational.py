"""Relational distillation: the distances and angles within a batch, not the features themselves.

Park et al., "Relational Knowledge Distillation", CVPR 2019. Student and teacher may have features of any
widths: only relations between images are compared.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GRID = 4
"""Features are averaged over so many cells a side, so that where something is counts too."""

ANGLE_WEIGHT = 2.0
"""Of angles beside distances, as in the paper."""


def embedded(maps_BCHW: Tensor) -> Tensor:
    """Feature maps as one vector per image, B x (C x 16), float32."""
    return F.adaptive_avg_pool2d(maps_BCHW.float(), GRID).flatten(1)


def relative_distances(points_BD: Tensor, eps: float = 1e-12) -> Tensor:
    """Distances between all images, B x B, as shares of the mean distance of different ones."""
    squares_BB = (points_BD[:, None] - points_BD[None]).square().sum(2)
    count = len(points_BD)
    # The square root has no slope at zero, where an image meets itself.
    distances_BB = squares_BB.clamp_min(eps).sqrt() * (1 - torch.eye(count, device=points_BD.device))
    return distances_BB / (distances_BB.sum() / max(1, count * (count - 1))).clamp_min(eps)


def angles(points_BD: Tensor) -> Tensor:
    """Cosine of the angle at image i between the ways to j and k, B x B x B; 0 where a way has no length."""
    ways_BBD = F.normalize(points_BD[None] - points_BD[:, None], dim=2)
    return ways_BBD @ ways_BBD.transpose(1, 2)


def relational_loss(student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
    """Huber distance of the relative distances, and twice that of the angles; scalar, 0 or more.

    A batch of one has no relations and no loss, one of two no angles.

    Args:
        student_BCHW, teacher_BCHW: features of the same images in the same order, of any sizes and widths;
            only the student's get a gradient.
    """
    ours, theirs = embedded(student_BCHW), embedded(teacher_BCHW.detach())
    distance = F.smooth_l1_loss(relative_distances(ours), relative_distances(theirs))
    return distance + ANGLE_WEIGHT * F.smooth_l1_loss(angles(ours), angles(theirs))
