"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average = decay * average + (1 - decay) * network`, floating buffers included; others are copied."""
    source = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(source[name], 1 - decay)
        else:
            mean.copy_(source[name])


class MovingAverage:
    """Keeps `average = decay * average + (1 - decay) * network`, buffers such as BatchNorm statistics too.

    Early steps use the smaller decay `(1 + step) / (10 + step)`, so that the start is forgotten quickly
    (Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, for the averaging itself).

    Args:
        network: the network to follow; the average starts as its copy.
        decay: share of the average that each step keeps, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    def update(self, network: nn.Module, step: int) -> None:
        """Follow `network` after 0-based `step`."""
        follow(self.network, network, min(self.decay, (1 + step) / (10 + step)))
