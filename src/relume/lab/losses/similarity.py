"""Similarity-preserving distillation: images that are alike to the teacher are alike to the student.

Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def similarities(maps_BCHW: Tensor) -> Tensor:
    """Products of the features of all images with one another, each row of unit length; B x B, float32."""
    flat_BD = maps_BCHW.float().flatten(1)
    return F.normalize(flat_BD @ flat_BD.T, dim=1)


def similarity_loss(student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
    """Mean squared difference of both matrices; scalar, 0 or more, and 0 for a batch of one.

    Args:
        student_BCHW, teacher_BCHW: features of the same images in the same order, of any sizes and widths;
            only the student's get a gradient.
    """
    return F.mse_loss(similarities(student_BCHW), similarities(teacher_BCHW.detach()))
