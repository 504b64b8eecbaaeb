"""Training methods, one a file: modules that turn a batch into named, weighted losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from relume.lab.data.paired import Batch
from relume.lab.methods.mirror import Mirror
from relume.lab.methods.supervised import Supervised


class Method(Protocol):
    """What the training loop asks of a method: an `nn.Module` with two calls.

    It is built from a network, the weight of each named loss, and the recipe's `method_options`.
    """

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Each weighted loss term; what is minimised is their sum."""
        ...

    def after_step(self) -> None:
        """Called after each optimiser step."""
        ...


METHODS: Mapping[str, type[nn.Module]] = {"mirror": Mirror, "supervised": Supervised}
"""Every method by the name that recipes use."""
