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
from relume.models import Card
from relume.models.engines import Engine
from relume.photo import read_photo
from relume.steps.thumbnail import overview_shape, thumbnail

_SIDE = 256
"""Of the part of a photo that is looked at."""

_FINE = ("stem.", "encoder.0.", "up.0.", "decoder.0.", "head.")
"""In the names of the weights of convolutions at half the photo's resolution."""

_MOST = 24
"""Photos, evenly over the folder's."""


def samples(folder: Path, card: Card, global_pass: Engine) -> list[dict[str, Floats]]:
    """What a local graph gets for the middle of each of some dark photos of a folder.

    Raises:
        DataError: there is no photo.
    """
    files = [file for file, _ in find_inputs([str(folder)])]
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
        if node.op_type == "Conv" and any(part in node.input[1] for part in _FINE)
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
        return path.read_bytes()


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
    del model.graph.node[:]
    model.graph.node.extend(kept)
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
