"""A local graph whose convolutions compute in integers of 8 bits, and the photos that it is calibrated on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from relume.arrays import Floats
from relume.errors import DataError
from relume.jobs.inputs import find_inputs
from relume.lab.networks.two_pass import FINE
from relume.models import Card
from relume.models.engines import Engine
from relume.photo import read_photo
from relume.steps.thumbnail import overview_shape, thumbnail

_SIDE = 256
"""Of the part of a photo that is looked at."""

_MOST = 24
"""Photos, evenly over the folder's."""


def samples(folder: Path, card: Card, global_pass: Engine) -> list[dict[str, Floats]]:
    """What a local graph gets for the middle of each of some dark photos of a folder.

    Raises:
        DataError: there is no photo.
    """
    files = [file for file, _ in find_inputs([str(folder)], recursive=None)]
    if not files:
        raise DataError("there is no photo to calibrate on", "Name a folder of dark photos.", path=folder)
    chosen = np.unique(np.linspace(0, len(files) - 1, _MOST).round().astype(int))
    return [_sample(files[index], card, global_pass) for index in chosen]


def _sample(file: Path, card: Card, global_pass: Engine) -> dict[str, Floats]:
    pixels_HWC = read_photo(file).rgb_HWC
    top = np.iinfo(pixels_HWC.dtype).max
    image = pixels_HWC.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(top)
    height, width = image.shape[2:]
    told = global_pass.run(
        thumbnail=thumbnail(image, overview_shape(height, width, card.thumbnail_size or 0))
    )
    row, column = (max(0, (side - _SIDE) // 2) // 16 * 16 for side in (height, width))
    return {
        "image": np.ascontiguousarray(image[:, :, row : row + _SIDE, column : column + _SIDE]),
        "place": np.asarray([[row, column, height, width]], np.float32),
        "step": np.asarray([[1 / top]], np.float32),
        **told,
    }


def quantized(graph: bytes, examples: list[dict[str, Floats]]) -> bytes:
    """The graph with convolutions of 8 bits, per channel, by ranges that the examples have.

    Those at half the photo's resolution stay as they are: they gain no time, for their channels are few, and
    what they lose is seen in flat areas. So does all that is no convolution: the curve, the grid, modulation
    and sums. Ranges are fixed, so tiles join as exactly as before.

    Args:
        graph: a local graph, whose weights may be stored in half precision.
        examples: its inputs, from `samples`.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Examples(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[Mapping[str, Floats]] = iter(examples)

        def get_next(self) -> Any:
            return next(self._left, None)

    model = in_single(onnx.load_from_string(graph))
    fine = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and any(part in node.input[1] for part in FINE)
    ]
    with TemporaryDirectory(prefix="relume-") as folder, _without_advice():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            Examples(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=fine,
        )
        return even_at_borders(rounded_once(path.read_bytes()))


def rounded_once(graph: bytes) -> bytes:
    """The same ranges with fewer steps: what is in float anyway, and what is rounded twice, is not rounded.

    The quantizer rounds a value for all that take it. Sums and skips need no rounding, and where it is left
    out, ONNX Runtime keeps its blocked layout. A convolution before a rectifier is rounded to the range
    behind it, which begins at zero and so rectifies.
    """
    model = onnx.load_from_string(graph)
    nodes = _Nodes(model.graph)
    for back in nodes.of("DequantizeLinear"):
        there = nodes.makers.get(back.input[0])
        if there is None or nodes.is_rounded(there.input[0]):
            continue
        for taker in nodes.takers(back.output[0]):
            if taker.op_type != "Conv":
                taker.input[:] = [there.input[0] if name == back.output[0] else name for name in taker.input]
    gone: list[str] = []
    for rectifier in nodes.of("Relu"):
        back = nodes.makers.get(rectifier.input[0])
        there = nodes.makers.get(back.input[0]) if back is not None and back.input else None
        if back is None or there is None or not nodes.is_rounded(there.input[0]):
            continue
        after = nodes.takers(rectifier.output[0])
        alone = all(len(nodes.takers(each.output[0])) == 1 for each in (there, back))
        if alone and all(nodes.begins_at_zero(each) for each in after):
            for each in after:
                each.input[0] = there.input[0]
            gone += [each.output[0] for each in (there, back, rectifier)]
    _keep(model.graph, [node for node in model.graph.node if node.output[0] not in gone])
    onnx.checker.check_model(model)
    return model.SerializeToString()


def even_at_borders(graph: bytes) -> bytes:
    """The same, but what lies next to a border is taken for what lies beyond it: flat photos stay flat.

    Convolutions in float take zeros for what lies beyond. What that changes fades within a photo's margin,
    but where it is rounded, a step of 8 bits may be left. So convolutions of 8 bits repeat the outermost
    values, and in what the first of them makes, the cells that zeros have reached are replaced in that way.
    """
    model = onnx.load_from_string(graph)
    nodes = _Nodes(model.graph)
    convolutions = nodes.of("Conv")
    rounded = [node.output[0] for node in convolutions if nodes.is_rounded(node.output[0])]
    if not rounded:
        return graph

    def made(kind: str, value: str, *numbers: list[int], **attributes: Any) -> onnx.NodeProto:
        output = f"{value}.{kind.lower()}"
        names = [f"{output}.{index}" for index in range(len(numbers))]
        for name, each in zip(names, numbers, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(each, np.int64), name))
        return helper.make_node(kind, [value, *names], [output], output, **attributes)

    def repeated(value: str, cells: int) -> onnx.NodeProto:
        return made("Pad", value, [0, 0, cells, cells] * 2, mode="edge")

    (first,) = nodes.takers(rounded[0])
    in_float = convolutions[: [node.output[0] for node in convolutions].index(rounded[0])]
    # Each convolution reaches a cell further, and the first of 8 bits joins 2 x 2 of them.
    cells = -(-sum(any(_pads(node)) for node in in_float) // 2)
    inner = made("Slice", first.output[0], [cells, cells], [-cells, -cells], [2, 3])
    repaired = repeated(inner.output[0], cells)
    for taker in nodes.takers(first.output[0]):
        taker.input[0] = repaired.output[0]
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.output[0] in rounded and any(_pads(node)):
            value, *scale = nodes.makers[node.input[0]].input
            wide = repeated(value, 1)
            node.input[0] = f"{wide.output[0]}.float"
            _pads(node)[:] = [0, 0, 0, 0]
            kept += [
                wide,
                helper.make_node(
                    "DequantizeLinear", [wide.output[0], *scale], [node.input[0]], node.input[0]
                ),
            ]
        kept.append(node)
        if node.output[0] == first.output[0]:
            kept += [inner, repaired]
    _keep(model.graph, kept)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _pads(convolution: onnx.NodeProto) -> Any:
    """By how many zeros a convolution continues its input, at each end of each axis."""
    return next(attribute.ints for attribute in convolution.attribute if attribute.name == "pads")


class _Nodes:
    """The nodes of a graph by what they make and take."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._nodes = list(graph.node)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {output: node for node in graph.node for output in node.output}

    def of(self, kind: str) -> list[onnx.NodeProto]:
        """All of a kind."""
        return [node for node in self._nodes if node.op_type == kind]

    def takers(self, value: str) -> list[onnx.NodeProto]:
        """What takes a value."""
        return [node for node in self._nodes if value in node.input]

    def is_rounded(self, value: str) -> bool:
        """Whether a convolution of 8 bits makes it, whose results must be rounded."""
        node = self.makers.get(value)
        if node is None or node.op_type != "Conv":
            return False
        before = self.makers.get(node.input[0])
        return before is not None and before.op_type == "DequantizeLinear"

    def begins_at_zero(self, node: onnx.NodeProto) -> bool:
        """Whether a node rounds to a range without negative values."""
        return (
            node.op_type == "QuantizeLinear" and not numpy_helper.to_array(self._stored[node.input[2]]).any()
        )


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Leave other nodes out, and numbers that nothing takes any more."""
    del graph.node[:]
    graph.node.extend(nodes)
    taken = {name for node in nodes for name in node.input}
    stored = [tensor for tensor in graph.initializer if tensor.name in taken]
    del graph.initializer[:]
    graph.initializer.extend(stored)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leave out what the quantizer says to the root logger: it advises what `in_single` has done already."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def in_single(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with weights in single precision, where they are stored in half of it behind a cast."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT16:
            kept.append(node)
            continue
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    _keep(model.graph, kept)
    return model


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model whose convolutions compute in half precision, and nothing else.

    Positions in a large photo, and gains, need more than it has.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Conv":
            nodes.append(node)
            continue
        for name in node.input[1:]:
            values = numpy_helper.to_array(stored[name]).astype(np.float16)
            stored[name].CopyFrom(numpy_helper.from_array(values, name))
        before, after = f"{node.name}.half", f"{node.name}.result"
        nodes.append(helper.make_node("Cast", [node.input[0]], [before], before, to=TensorProto.FLOAT16))
        nodes.append(node)
        nodes.append(helper.make_node("Cast", [after], [node.output[0]], after, to=TensorProto.FLOAT))
        node.input[0], node.output[0] = before, after
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
