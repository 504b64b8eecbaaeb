"""What a network costs: parameters, and multiply-accumulates."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module) -> int:
    """Number of trainable and fixed parameters; buffers do not count."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, side: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one `side` x `side` RGB image."""
    was_training = network.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.rand(1, 3, side, side))
    network.train(was_training)
    return counter.get_total_flops() // 2
