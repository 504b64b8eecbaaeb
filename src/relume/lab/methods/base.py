"""What the training loop asks of a method."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from relume.lab.capabilities import capabilities
from relume.lab.data.paired import Batch, PairedCrops
from relume.lab.losses import LOSSES, Loss, weighted_losses


class Method(nn.Module):
    """A training method, built from a network, the weight of each loss, and the recipe's `method_options`.

    Attributes:
        network: what is trained, averaged, validated and exported.
        adversary: what is trained against it, by an optimiser of its own; none in most methods.
        paired_weights: weight of each loss term that needs nothing but output and target; what validation
            measures a loss by. Empty where the method has no such term.
        paired_terms: these terms by name.
        recordable: its `forward` decides nothing by what is in a batch's tensors or names, so that on CUDA
            its operations can be recorded for each size of batches.
        progress: share of the run's steps that are done, 0 to 1; a tensor, so that compiled and captured
            steps see it move.
    """

    network: nn.Module
    adversary: nn.Module | None
    paired_weights: Mapping[str, float]
    paired_terms: Mapping[str, Loss]
    progress: Tensor
    recordable = False

    def __init__(self) -> None:
        super().__init__()
        self.adversary = None  # on the instance: a class attribute would hide a registered module
        self.paired_weights, self.paired_terms = {}, LOSSES
        self.register_buffer("progress", torch.zeros(()), persistent=False)

    @property
    def overview_size(self) -> int:
        """Long side of the thumbnails that batches must bring: the largest that any of its networks takes."""
        return capabilities(self.network).overview

    def check_crop(self, side: int) -> None:
        """Raises UsageError for crops of a side, in pixels, that it cannot train on; none by default."""

    def prepare(self, data: PairedCrops) -> None:
        """Called once before training, with what batches are made from; nothing by default."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted loss term; what is minimised is their sum."""
        raise NotImplementedError

    def paired_losses(self, output_BCHW: Tensor, target_BCHW: Tensor) -> dict[str, Tensor]:
        """The weighted terms that need nothing but both images, in float32."""
        return weighted_losses(self.paired_weights, output_BCHW, target_BCHW, self.paired_terms)

    def paired_loss(self, output_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """Their sum; a method without such terms has none."""
        return torch.stack(list(self.paired_losses(output_BCHW, target_BCHW).values())).sum()

    def adversary_loss(self, batch: Batch) -> Tensor:
        """What the adversary minimises, called after `forward` of the same batch."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Called after each optimiser step; nothing by default."""
