"""A model as programs of PyTorch's own (`torch.export`): they load and run with PyTorch alone.

TorchScript, which served this before, is deprecated by PyTorch; there is no export to it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from relume.arrays import Floats
from relume.errors import ModelError
from relume.lab.export import traceable, without_norms
from relume.lab.networks import build
from relume.lab.networks.two_pass import TwoPass
from relume.lab.tracing import program
from relume.models import Card

FACTS = "relume.json"
"""Name of what a program carries of its model's card, as JSON, among its `extra_files`."""

_TOLD = ("name", "thumbnail_size", "size_multiple", "halo", "margin", "value_range", "licence")


def programs(card: Card, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Both passes of a model as programs, `global` and `local`, for images of any height and width.

    Inputs and outputs are those of the model's graphs, in their order; the outputs are tuples. Facts of the
    card lie beside each program as `FACTS`.

    Args:
        card: the model's card.
        parts: its graphs, `global` and `local`.

    Raises:
        ModelError: as `network_of`.
    """
    facts = json.dumps({name: getattr(card, name) for name in _TOLD})
    passes = traceable(network_of(card, parts)).items()
    return {
        part.removeprefix("."): program(module, inputs, sizes, {FACTS: facts})
        for part, (module, inputs, _, sizes) in passes
    }


def network_of(card: Card, parts: Mapping[str, bytes]) -> nn.Module:
    """The network of PyTorch that a model's graphs were made of, in evaluation mode.

    Its normalisations are part of the convolutions before them, as in the graphs.

    Args:
        card: of a network of two passes; its recipe names the network's options.
        parts: the graphs, `global` and `local`.

    Raises:
        ModelError: the card names no such network, or the graphs hold other weights than it has.
    """
    recipe = card.recipe or {}
    network = build(str(recipe.get("network", card.network)), recipe.get("network_options"))
    if not isinstance(network, TwoPass):
        raise ModelError(f"network '{card.network}' has no two passes", "Choose another model.")
    network = without_norms(network)
    held = _held(parts)
    missing = [name for name in network.state_dict() if name not in held]
    if missing:
        raise ModelError(f"the graphs hold no weights of {missing[0]}", "Export the model's run again.")
    try:
        network.load_state_dict({name: held[name] for name in network.state_dict()})
    except RuntimeError as error:
        raise ModelError("the graphs hold other weights than the network", "Export its run again.") from error
    return network.requires_grad_(False)


def _held(parts: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The weights in graphs, float32, by the network's names for them."""
    weights: dict[str, Tensor] = {}
    for graph in parts.values():
        for tensor in onnx.load_from_string(graph).graph.initializer:
            name = tensor.name.removesuffix(".half")
            name = f"{name.removesuffix('.weight_bias')}.bias" if name.endswith(".weight_bias") else name
            weights[name] = torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
    return weights


class ProgramEngine:
    """Runs a program; see `relume.models.engines.Engine`.

    Args:
        content: the program, from `programs`.
        graph: the model's graph that it was made of, which names the outputs.
    """

    def __init__(self, content: bytes, graph: bytes) -> None:
        self._module: Any = torch.export.load(io.BytesIO(content)).module()
        self._outputs = [output.name for output in onnx.load_from_string(graph).graph.output]

    @torch.inference_mode()
    def run(self, **inputs: Floats) -> dict[str, Floats]:
        """Return the outputs for inputs, all named as in the graph."""
        found = self._module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: each.numpy() for name, each in zip(self._outputs, found, strict=True)}

    def stop(self) -> None:
        """Nothing runs beside `run`."""
