"""Rendering: the local pass learns to carry out decisions that stay as they are, at a photo's edges too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.data.batch import Batch
from relume.lab.methods.base import Method
from relume.lab.networks.two_pass import Block, TwoPass
from relume.lab.options import Count


class Rendering(Method):
    """Supervision of the local pass alone; the global pass decides as in use, and stays what it is.

    In use a photo's outermost pixels are repeated around it, which looks like nothing inside a photo: noise
    becomes streaks. So half of each batch has its outer pixels replaced in that way. There the loss does not
    look at them.

    Args:
        network: two-pass.
        losses: weight of each paired loss term.
        margin: pixels at each side of a crop that repeat the next one inwards; in use as many as the
            network's size rule. 0 for none.
        modulation: whether the layers that turn the condition into scales and shifts learn, too. They add the
            same to all pixels, and can silence units for good.

    Raises:
        UsageError: another network.
    """

    recordable = True

    def __init__(
        self, network: nn.Module, losses: Mapping[str, float], margin: Count = 16, modulation: bool = True
    ) -> None:
        super().__init__()
        if not isinstance(network, TwoPass):
            raise UsageError("only two-pass networks render what was decided", "Choose two-pass.")
        self.network = network
        self.margin = margin
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

    def check_crop(self, side: int) -> None:
        if side <= 2 * self.margin:
            raise UsageError(
                f"of crops of {side} pixels a margin of {self.margin} leaves nothing",
                "Make the crops larger, or method_options.margin smaller.",
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term, the mean of both halves; what is minimised is their sum."""
        low_BCHW, *where = batch.inputs(self.network)
        half = len(low_BCHW) // 2 if self.margin else 0
        edged_BCHW = repeated_edges(low_BCHW[:half], self.margin)
        output_BCHW = self.network(torch.cat([edged_BCHW, low_BCHW[half:]]), *where)
        whole = self.paired_losses(output_BCHW[half:], batch.high_BCHW[half:])
        if not half:
            return whole
        inside = (
            image[:half, :, self.margin : -self.margin, self.margin : -self.margin]
            for image in (output_BCHW, batch.high_BCHW)
        )
        inner = self.paired_losses(*inside)
        return {name: (inner[name] + loss) / 2 for name, loss in whole.items()}


def repeated_edges(image_BCHW: Tensor, margin: int) -> Tensor:
    """Images whose outer pixels, so many at each side, are the next one inwards."""
    if not margin:
        return image_BCHW
    inside = image_BCHW[..., margin:-margin, margin:-margin]
    return F.pad(inside, (margin,) * 4, mode="replicate")
