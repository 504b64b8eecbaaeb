"""Supervised training: the network's output against the target, by named loss terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from relume.lab.data.paired import Batch
from relume.lab.losses import weighted_losses
from relume.lab.methods.base import Method


class Supervised(Method):
    """Pixel-wise supervision.

    Args:
        network: takes a dark image and, where it has a `thumbnail_size`, the thumbnail of its surroundings.
        losses: weight of each named loss term.
    """

    def __init__(self, network: nn.Module, losses: Mapping[str, float]) -> None:
        super().__init__()
        self.network = network
        self.weights = dict(losses)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        prediction_BCHW = self.network(*batch.inputs(self.network))
        return weighted_losses(self.weights, prediction_BCHW, batch.high_BCHW)
