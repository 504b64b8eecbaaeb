"""Training methods, one a file: modules that turn a batch into named, weighted losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from relume.lab.methods.supervised import Supervised

METHODS: Mapping[str, Callable[[nn.Module, Mapping[str, float]], nn.Module]] = {"supervised": Supervised}
"""Every method by the name that recipes use. Called with a batch, a method returns `dict[str, Tensor]`; the
trained network is its attribute `network`."""
