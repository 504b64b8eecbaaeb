"""Modules of PyTorch -> ONNX graphs that hold nothing of the machine they were made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import nn

OPSET = 18

SIZES = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
"""Of images of any height and width."""


def trace(
    module: nn.Module, inputs: Mapping[str, torch.Tensor], outputs: Sequence[str], sizes: Mapping[str, Any]
) -> onnx.ModelProto:
    """The graph of a module.

    Args:
        module: what to trace.
        inputs: an example of each input by its name, in the order of the module's arguments.
        outputs: names of the outputs.
        sizes: of each input, which of its dimensions are of any size; None where none is.
    """
    program = torch.onnx.export(
        module.eval(),
        args=tuple(inputs.values()),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=tuple(sizes[name] for name in inputs),
        verbose=False,
    )
    assert program is not None  # noqa: S101 - the new exporter always returns a program
    model = program.model_proto
    onnx.checker.check_model(model)
    _forget_origin(model)
    return model


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of the source code: lines of it, and paths of the machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
