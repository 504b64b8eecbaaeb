"""Rendering: the local pass learns to carry out decisions that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab.data.batch import Batch
from relume.lab.methods.base import Method
from relume.lab.networks.two_pass import Block, TwoPass


class Rendering(Method):
    """Supervision of the local pass alone; the global pass decides as in use, and stays what it is.

    Args:
        network: two-pass.
        losses: weight of each paired loss term.
        modulation: whether the layers that turn the condition into scales and shifts learn, too. They add the
            same to all pixels, and can silence units for good.

    Raises:
        UsageError: another network.
    """

    recordable = True

    def __init__(self, network: nn.Module, losses: Mapping[str, float], modulation: bool = True) -> None:
        super().__init__()
        if not isinstance(network, TwoPass):
            raise UsageError("only two-pass networks render what was decided", "Choose two-pass.")
        self.network = network
        self.paired_weights = dict(losses)
        network.global_pass.requires_grad_(False)
        for block in network.local_pass.modules():
            if isinstance(block, Block) and block.film is not None:
                block.film.requires_grad_(modulation)

    def train(self, mode: bool = True) -> Rendering:
        """The global pass is always as in use."""
        super().train(mode)
        network: Any = self.network
        network.global_pass.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        return self.paired_losses(self.network(*batch.inputs(self.network)), batch.high_BCHW)
