"""What the training loop asks of a method."""

from __future__ import annotations

from torch import Tensor, nn

from relume.lab.data.paired import Batch


class Method(nn.Module):
    """A training method, built from a network, the weight of each loss, and the recipe's `method_options`.

    Attributes:
        network: what is trained, averaged, validated and exported.
    """

    network: nn.Module

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after each optimiser step; nothing by default."""
