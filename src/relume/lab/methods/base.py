"""What the training loop asks of a method."""

from __future__ import annotations

from torch import Tensor, nn

from relume.lab.data.paired import Batch, PairedCrops


class Method(nn.Module):
    """A training method, built from a network, the weight of each loss, and the recipe's `method_options`.

    Attributes:
        network: what is trained, averaged, validated and exported.
        adversary: what is trained against it, by an optimiser of its own; none in most methods.
    """

    network: nn.Module
    adversary: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.adversary = None  # on the instance: a class attribute would hide a registered module

    @property
    def thumbnail_size(self) -> int:
        """Side of the thumbnails that batches must bring: the largest that any of its networks looks at."""
        return getattr(self.network, "thumbnail_size", 1)

    def prepare(self, data: PairedCrops) -> None:
        """Called once before training, with what batches are made from; nothing by default."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        raise NotImplementedError

    def adversary_loss(self, batch: Batch) -> Tensor:
        """What the adversary minimises, called after `forward` of the same batch."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after each optimiser step; nothing by default."""
