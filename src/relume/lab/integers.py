"""Training that knows of 8 bits: convolutions round as those of the exported graph of integers will.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018. Rounding has no slope, so gradients pass it as if it were not there (Bengio, Leonard, Courville,
"Estimating or Propagating Gradients Through Stochastic Neurons", 2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.errors import UsageError
from relume.lab.capabilities import capabilities

_SMALLEST = 1e-12
"""Of steps: maps and weights that are all 0 have one, too."""


def rounded_maps(maps_BCHW: Tensor) -> Tensor:
    """Maps of 256 levels between their own least and largest value, of which one is exactly 0.

    The exported graph has fixed ranges, from photos that it is calibrated on; in training they are a batch's.
    """
    least, largest = maps_BCHW.detach().amin().clamp(max=0), maps_BCHW.detach().amax().clamp(min=0)
    step = ((largest - least) / 255).clamp_min(_SMALLEST)
    zero = (-least / step).round()
    levels_BCHW = ((maps_BCHW.detach() / step).round() + zero).clamp(0, 255)
    return _passed(maps_BCHW, (levels_BCHW - zero) * step)


def rounded_weights(weights_OIHW: Tensor) -> Tensor:
    """Weights of 255 levels, from -127 to 127 steps, a step for each output channel."""
    largest_O111 = weights_OIHW.detach().abs().amax((1, 2, 3), keepdim=True)
    step_O111 = (largest_O111 / 127).clamp_min(_SMALLEST)
    return _passed(weights_OIHW, (weights_OIHW.detach() / step_O111).round() * step_O111)


def _passed(exact: Tensor, rounded: Tensor) -> Tensor:
    """The rounded values, with the gradient of the exact ones."""
    return exact + (rounded - exact.detach())


def check_integers(network: nn.Module) -> None:
    """Raises UsageError unless the network has a graph of 8 bits."""
    if not capabilities(network).integers:
        raise UsageError("the network has no graph of 8 bits", "Set method_options.integers=false.")


@contextmanager
def in_integers(network: nn.Module) -> Iterator[None]:
    """Within the block the network's convolutions round their input, weights and output to 8 bits.

    Those are meant that the exported graph computes so; all others, and what is kept, stay as they are.
    """
    layers = [cast(nn.Conv2d, network.get_submodule(name)) for name in capabilities(network).integers]
    for layer in layers:
        layer.__dict__["forward"] = partial(_convolved, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _convolved(layer: nn.Conv2d, maps_BCHW: Tensor) -> Tensor:
    with torch.autocast(maps_BCHW.device.type, enabled=False):
        output_BCHW = F.conv2d(
            rounded_maps(maps_BCHW.float()),
            rounded_weights(layer.weight.float()),
            layer.bias,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
        return rounded_maps(output_BCHW)
