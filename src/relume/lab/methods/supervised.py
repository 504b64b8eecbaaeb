"""Supervised training: the network's output against the target, by named loss terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch
from relume.lab.losses.brightening import brightening
from relume.lab.methods.base import Method

BRIGHTENING = "brightening"
"""A loss of this name is on the two-pass network's exposure curve instead of its output."""


class Supervised(Method):
    """Pixel-wise supervision.

    Args:
        network: takes a dark image and, if its capabilities say so, the thumbnail of its surroundings.
        losses: weight of each named loss term; `brightening` is for the two-pass network only.

    Raises:
        UsageError: `brightening` of another network.
    """

    recordable = True

    def __init__(self, network: nn.Module, losses: Mapping[str, float]) -> None:
        super().__init__()
        self.network = network
        self.paired_weights = {name: weight for name, weight in losses.items() if name != BRIGHTENING}
        self.brightening_weight = losses.get(BRIGHTENING, 0.0)
        if self.brightening_weight and not capabilities(network).brightens:
            raise UsageError(
                "the network has no exposure curve", "Choose two-pass, or set losses.brightening=0."
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        inputs = batch.inputs(self.network)
        if not self.brightening_weight:
            return self.paired_losses(self.network(*inputs), batch.high_BCHW)
        network: Any = self.network
        encoding = network.encode(*inputs)
        height, width = batch.high_BCHW.shape[-2:]
        output = network.render(encoding, network.decode(encoding))[..., :height, :width]
        loss = self.brightening_weight * brightening(encoding.bright_BCHW, batch.high_BCHW)
        return self.paired_losses(output, batch.high_BCHW) | {BRIGHTENING: loss}
