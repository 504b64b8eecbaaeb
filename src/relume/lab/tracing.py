"""Modules of PyTorch -> ONNX graphs and programs that hold nothing of the machine they were made on."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
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
    with _quiet():
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


def program(
    module: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    sizes: Mapping[str, Any],
    facts: Mapping[str, str],
) -> bytes:
    """A module as a program that `torch.export.load` reads; it takes its inputs by their names.

    Args:
        module, inputs, sizes: as for `trace`; names are those of the module's arguments.
        facts: texts that lie beside it, by name.
    """
    shapes = {name: sizes[name] for name in inputs}
    # Otherwise a program is for images alone whose sides are rounded up as those of the example are.
    symbolic: Any = importlib.import_module("torch.fx.experimental._config")
    with symbolic.patch(backed_size_oblivious=True):
        made = torch.export.export(module.eval(), (), dict(inputs), dynamic_shapes=shapes)
    graphs = [part.graph for part in made.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes):
        for origin in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
            node.meta.pop(origin, None)
    content = io.BytesIO()
    torch.export.save(made, content, extra_files=dict(facts))
    return content.getvalue()


@contextmanager
def _quiet() -> Generator[None]:
    """Keep from the user what PyTorch's exporter says of itself, and of packages that nothing here needs."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of the source code: lines of it, and paths of the machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
