"""Contrastive distillation: a student's features shall be nearest to the teacher's of the same image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ProjectionHead(nn.Module):
    """Feature maps to one embedding an image: global average pool, a two-layer perceptron, unit length.

    Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020.

    Args:
        channels: of the feature maps.
        embedding: length of the embedding.
    """

    def __init__(self, channels: int, embedding: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, embedding))

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return B x D of unit length."""
        return F.normalize(self.layers(maps_BCHW.mean((2, 3))), dim=1)


def info_nce(student_BD: Tensor, teacher_BD: Tensor, temperature: float = 0.07) -> Tensor:
    r"""Mean over i of `-log(exp(s_i . t_i / tau) / sum_k exp(s_i . t_k / tau))`; scalar, 0 or more.

    s and t are scaled to unit length, so the products are cosine similarities; k runs over the batch, so the
    other images' teacher embeddings are the negatives, and a batch of one has no loss and no gradient.
    "Compact Clarity", equation 3.13; van den Oord et al., "Representation Learning with Contrastive
    Predictive Coding", 2018.

    Args:
        student_BD, teacher_BD: embeddings of the same images, in the same order; float32 also under mixed
            precision, since the temperature magnifies rounding.
        temperature: tau.
    """
    similarities_BB = F.normalize(student_BD, dim=1) @ F.normalize(teacher_BD, dim=1).T
    same = torch.arange(len(student_BD), device=student_BD.device)
    return F.cross_entropy(similarities_BB / temperature, same)
