"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average = decay * average + (1 - decay) * network`, floating buffers included; others are copied."""
    source = network.state_dict()
    floating, others = [], []
    for name, mean in average.state_dict().items():
        (floating if mean.is_floating_point() else others).append((mean, source[name]))
    if floating:
        means, values = zip(*floating, strict=True)
        torch._foreach_lerp_(means, values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
    for mean, value in others:
        mean.copy_(value)


class MovingAverage:
    """Keeps `average = decay * average + (1 - decay) * network`, buffers such as BatchNorm statistics too.

    The decay rises linearly from 0 during a warm-up, so that the start is forgotten (Tarvainen and Valpola,
    "Mean teachers are better role models", NeurIPS 2017, for the averaging itself).

    Args:
        network: the network to follow; the average starts as its copy.
        decay: share of the average that each step keeps, in [0, 1).
        warmup: steps until the decay is reached.
    """

    def __init__(self, network: nn.Module, decay: float, warmup: int = 0) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.warmup = warmup

    def update(self, network: nn.Module, step: int) -> None:
        """Follow `network` after 0-based `step`."""
        risen = min(1.0, step / self.warmup) if self.warmup else 1.0
        follow(self.network, network, self.decay * risen)
