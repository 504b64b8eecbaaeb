"""The steps around a network as ONNX graphs, and all of it in one: for hosts without Python.

`step_graphs` gives what a host needs beside a model's own graphs to do what `relume.enhancer` does; a host
that takes one file alone, photo in and photo out, takes `whole_graph`. Both are traced from `relume.steps`,
the very functions that the product runs, so there is no second implementation.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from relume.lab.tracing import OPSET, SIZES, trace
from relume.options import Controls
from relume.steps.controls import Adjustment, Change, adjust, settle_arrays
from relume.steps.guided_filter import area_mean, fit, interleaved, transfer
from relume.steps.thumbnail import averaged

CONTROLS = ("strength", "denoise", "exposure", "highlight_guard", "colour_guard")
"""Inputs without a dimension; a strength below 0 is `auto`, an exposure below 0 is none."""

SETTLED = ("share", "gains", "corrections")
"""What `settle` finds: the share of the change that is kept, and two gains a channel."""

ENLARGED = ("full_after", "full_local_gain")
"""What `enlarge` returns: `after` and `local_gain` of the photo at its full size."""

FACTOR = 2
"""By which `reduce` and `enlarge` go, as `--downsample auto` does for large photos."""

_KEPT = ("denoise", "highlight_guard")
"""Controls that `adjust` takes, too."""

_SETTLED_SIZES = (1, 3, 3, 1, 1)
"""Of `SETTLED` and `_KEPT`, one after another."""

_STEP = 1 / 255
_TRACED = ("settle", "adjust", "reduce", "enlarge")


def default_controls() -> dict[str, float]:
    """What the controls' inputs are by default: those of the product, as numbers."""
    controls = {name: getattr(Controls(), name) for name in CONTROLS}
    return {name: value if isinstance(value, float) else -1.0 for name, value in controls.items()}


def step_graphs(side: int, multiple: int = 8) -> dict[str, bytes]:
    """The steps around a model's graphs, each as a graph that takes photos of any size.

    Images are 1 x 3 x H x W in [0, 1], sRGB-encoded, float32. A host runs, for a photo,

    1. `thumbnail`: image -> thumbnail; then the model's global graph.
    2. The model's local graph on the thumbnail, with `step` 0, `place` 0, 0, its rows and its columns.
    3. `settle`: before (the thumbnail), after, local_gain, and `CONTROLS` -> `SETTLED`. A `share` of 0 leaves
       the photo as it is.
    4. The model's local graph on the photo, or on tiles of it whose surroundings are cut off afterwards.
    5. `adjust`: before, after, local_gain, denoise, highlight_guard and `SETTLED` -> image.

    At half the resolution, `reduce` goes before 4 and makes an image of half the sides, and after it
    `enlarge` makes of before (the photo), reduced, after, local_gain and gains what `ENLARGED` names; what
    its tiles see must reach two pixels of the reduced photo farther than they go. `place` and `step` of 4 are
    then those of the reduced photo.

    Beyond its ends a photo is continued for the local graph by its mirror image, by the `margin` of the
    model's card, which is cut off again, as `relume.look.model` does.

    Args:
        side: longer side of the thumbnail, the card's `thumbnail_size`.
        multiple: sides of the thumbnail are multiples of it.
    """
    graphs = {"thumbnail": _thumbnail(side, multiple), **{step: traced_step(step) for step in _TRACED}}
    return {name: graph.SerializeToString() for name, graph in graphs.items()}


def whole_graph(
    parts: Mapping[str, bytes], side: int, margin: int, *, integers: bool = False, multiple: int = 8
) -> bytes:
    """One graph: a photo in, the enhanced photo out, the controls as inputs that may be left out.

    The photo is `image`, 1 x 3 x H x W, the result `enhanced` of the same size; the network sees it whole and
    at its full resolution. Memory grows with the photo, by about 250 bytes per pixel.

    Args:
        parts: a model's graphs, `global` and `local`.
        side, multiple: as for `step_graphs`.
        margin: the card's `margin`.
        integers: the photo is uint8 instead of float32 in [0, 1].
    """
    whole = _Composed()
    image = whole.take(
        "image", TensorProto.UINT8 if integers else TensorProto.FLOAT, [1, 3, "height", "width"]
    )
    if integers:
        image = whole.node(
            "Mul", whole.node("Cast", image, to=TensorProto.FLOAT), whole.constant(np.float32(_STEP))
        )
    controls = {
        name: whole.take(name, TensorProto.FLOAT, [], value) for name, value in default_controls().items()
    }
    told, settled = _decided(whole, parts, image, controls, side, margin, multiple)
    edges = _whole_edges(whole, image, margin)
    result = _rendered(whole, parts["local"], image, told, {**controls, **settled}, edges, whole.row(_STEP))
    if integers:
        scaled = whole.node("Round", whole.node("Mul", result, whole.constant(np.float32(255))))
        result = whole.node("Cast", scaled, to=TensorProto.UINT8)
    whole.give(
        "enhanced", result, TensorProto.UINT8 if integers else TensorProto.FLOAT, [1, 3, "height", "width"]
    )
    return whole.model().SerializeToString()


def decision_graph(parts: Mapping[str, bytes], side: int, margin: int, multiple: int = 8) -> bytes:
    """A photo -> what is decided for it, for hosts whose arrays are float32 and have dimensions.

    Inputs are `image`, of which what is beyond [0, 1] counts as its end, and `controls`: `CONTROLS` in their
    order. Outputs are those of the model's global graph, and `settled`, whose first number is 0 where the
    photo needs nothing; `tile_graph` takes them. Arguments as for `whole_graph`.
    """
    whole = _Composed()
    image = whole.limited(whole.take("image", TensorProto.FLOAT, [1, 3, "height", "width"]))
    given = whole.take("controls", TensorProto.FLOAT, [len(CONTROLS)])
    controls = {
        name: whole.node("Gather", given, whole.constant(np.int64(index)))
        for index, name in enumerate(CONTROLS)
    }
    told, settled = _decided(whole, parts, image, controls, side, margin, multiple)
    for output in onnx.load_from_string(parts["global"]).graph.output:
        whole.give(output.name, told[output.name], TensorProto.FLOAT, _sides(output))
    flat = whole.constant(np.asarray([-1]))
    numbers = [
        whole.node("Reshape", whole.node("Cast", value, to=TensorProto.FLOAT), flat)
        for value in (*settled.values(), *(controls[name] for name in _KEPT))
    ]
    whole.give("settled", whole.node("Concat", *numbers, axis=0), TensorProto.FLOAT, [sum(_SETTLED_SIZES)])
    return whole.model().SerializeToString()


def tile_graph(parts: Mapping[str, bytes], margin: int) -> bytes:
    """A tile of a photo -> the same tile enhanced, after `decision_graph`.

    Inputs are `image`, the tile with its surroundings as far as the card's `halo`; `place`, its first row and
    column, and the photo's rows and columns, 1 x 4; `step`, what values were rounded to or 0, 1 x 1; then
    the outputs of `decision_graph` in their order. The output is `enhanced`, of the tile's size.

    Args:
        parts: a model's graphs, `global` and `local`.
        margin: the card's `margin`.
    """
    whole = _Composed()
    image = whole.limited(whole.take("image", TensorProto.FLOAT, [1, 3, "height", "width"]))
    place = whole.take("place", TensorProto.FLOAT, [1, 4])
    step = whole.take("step", TensorProto.FLOAT, [1, 1])
    local = {each.name: each for each in onnx.load_from_string(parts["local"]).graph.input}
    told: dict[str, str] = {}
    for output in onnx.load_from_string(parts["global"]).graph.output:
        told[output.name] = whole.take(output.name, TensorProto.FLOAT, _sides(local[output.name]))
    given = whole.take("settled", TensorProto.FLOAT, [sum(_SETTLED_SIZES)])
    sizes = whole.constant(np.asarray(_SETTLED_SIZES))
    share, *gains, denoise, guard = whole.nodes("Split", len(_SETTLED_SIZES), given, sizes, axis=0)
    double = [whole.node("Cast", each, to=TensorProto.DOUBLE) for each in (share, *gains)]
    axis = whole.constant(np.asarray([0]))
    settled = dict(zip(SETTLED, (whole.node("Squeeze", double[0], axis), *double[1:]), strict=True))
    kept = {
        name: whole.node("Squeeze", each, axis) for name, each in zip(_KEPT, (denoise, guard), strict=True)
    }
    edges = _tile_edges(whole, image, place, margin)
    result = _rendered(whole, parts["local"], image, told, {**settled, **kept}, edges, step)
    whole.give("enhanced", whole.limited(result), TensorProto.FLOAT, [1, 3, "height", "width"])
    return whole.model().SerializeToString()


def _sides(value: onnx.ValueInfoProto) -> list[int | str]:
    """An array's sides; those of any length have names of their own."""
    sides = value.type.tensor_type.shape.dim
    return [each.dim_value or f"{value.name}_{axis}" for axis, each in enumerate(sides)]


class _Edges(NamedTuple):
    """How an image is put into its margins and taken out of them; arrays of 2 but `place`, 1 x 4."""

    before: str
    after: str
    end: str
    place: str


def _whole_edges(whole: _Composed, image: str, margin: int) -> _Edges:
    """Of a whole photo: margins all round."""
    sizes = whole.node("Cast", whole.node("Shape", image, start=2), to=TensorProto.FLOAT)
    corner = whole.constant(np.asarray([-margin, -margin], np.float32))
    place = whole.stacked(corner, sizes)
    before, end = (whole.constant(np.asarray([value, value])) for value in (margin, -margin))
    return _Edges(before, before, end, place)


def _tile_edges(whole: _Composed, image: str, place: str, margin: int) -> _Edges:
    """Of a tile: margins where the photo ends."""
    row = whole.node("Squeeze", place, whole.constant(np.asarray([0])))
    first, rest = whole.nodes("Split", 2, row, whole.constant(np.asarray([2, 2])), axis=0)
    shape = whole.node("Shape", image, start=2)
    last = whole.node("Add", first, whole.node("Cast", shape, to=TensorProto.FLOAT))
    ends = (
        whole.node("LessOrEqual", first, whole.constant(np.float32(0))),
        whole.node("GreaterOrEqual", last, rest),
    )
    wide, none = whole.constant(np.int64(margin)), whole.constant(np.int64(0))
    before, after = (whole.node("Where", at_end, wide, none) for at_end in ends)
    corner = whole.node("Sub", first, whole.node("Cast", before, to=TensorProto.FLOAT))
    return _Edges(before, after, whole.node("Add", before, shape), whole.stacked(corner, rest))


def _decided(
    whole: _Composed,
    parts: Mapping[str, bytes],
    image: str,
    controls: Mapping[str, str],
    side: int,
    margin: int,
    multiple: int,
) -> tuple[dict[str, str], dict[str, str]]:
    """What the global graph tells of a whole photo, and what `settle` finds on its thumbnail."""
    small = whole.include("thumbnail", _thumbnail(side, multiple), {"image": image})["thumbnail"]
    told = whole.include("global", onnx.load_from_string(parts["global"]), {"thumbnail": small})
    edges = _whole_edges(whole, small, margin)
    preview = _changed(whole, parts["local"], small, told, edges, whole.row(0.0))
    settled = whole.include("settle", traced_step("settle"), {"before": small, **preview, **controls})
    return told, settled


def _rendered(
    whole: _Composed,
    local: bytes,
    image: str,
    told: Mapping[str, str],
    settled: Mapping[str, str],
    edges: _Edges,
    step: str,
) -> str:
    """The local graph on a photo or a tile, and the controls."""
    change = _changed(whole, local, image, told, edges, step)
    taken = {name: settled[name] for name in (*_KEPT, *SETTLED)}
    return whole.include("adjust", traced_step("adjust"), {"before": image, **change, **taken})["image"]


def _changed(
    whole: _Composed, local: bytes, image: str, told: Mapping[str, str], edges: _Edges, step: str
) -> dict[str, str]:
    """The local graph on an image that is continued for it by its mirror image."""
    sizes = whole.node("Shape", image, start=2)
    ends = whole.node("Neg", edges.before), whole.node("Add", sizes, edges.after)
    one = whole.constant(np.int64(1))
    period = whole.node(
        "Max", whole.node("Mul", whole.node("Sub", sizes, one), whole.constant(np.int64(2))), one
    )
    mirrored = image
    for axis in range(2):
        index = whole.constant(np.int64(axis))
        start, stop, there_and_back = (whole.node("Gather", each, index) for each in (*ends, period))
        ahead = whole.node("Mod", whole.node("Range", start, stop, one), there_and_back)
        numbers = whole.node("Min", ahead, whole.node("Sub", there_and_back, ahead))
        mirrored = whole.node("Gather", mirrored, numbers, axis=2 + axis)
    inputs = {"image": mirrored, "place": edges.place, "step": step, **told}
    outputs = whole.include("local", onnx.load_from_string(local), inputs)
    axes = whole.constant(np.asarray([2, 3]))
    return {
        name: whole.node("Slice", outputs[output], edges.before, edges.end, axes)
        for name, output in (("after", "enhanced"), ("local_gain", "local_gain"))
    }


class _Composed:
    """A graph made of others, whose weights are shared where one is included twice."""

    def __init__(self) -> None:
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._count = 0

    def take(self, name: str, kind: int, shape: Sequence[int | str], default: float | None = None) -> str:
        """An input, which may be left out if it has a default."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        if default is not None:
            self._weights[name] = numpy_helper.from_array(np.asarray(default, np.float32), name)
        return name

    def give(self, name: str, value: str, kind: int, shape: Sequence[int | str]) -> None:
        """An output."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, values: np.ndarray | np.generic) -> str:
        """An array that does not change."""
        name = self._name("constant")
        self._weights[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def row(self, value: float) -> str:
        """A number as 1 x 1."""
        return self.constant(np.asarray([[value]], np.float32))

    def stacked(self, *rows: str) -> str:
        """Arrays of one dimension, one after another, as 1 x their length."""
        return self.node("Unsqueeze", self.node("Concat", *rows, axis=0), self.constant(np.asarray([0])))

    def limited(self, image: str) -> str:
        """An image within [0, 1]."""
        return self.node("Clip", image, *(self.constant(np.float32(end)) for end in (0, 1)))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operation of one output."""
        return self.nodes(kind, 1, *inputs, **attributes)[0]

    def nodes(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """One operation of some outputs."""
        name = self._name(kind.lower())
        outputs = [name, *(f"{name}.{index}" for index in range(1, count))]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name, **attributes))
        return outputs

    def include(self, name: str, model: onnx.ModelProto, inputs: Mapping[str, str]) -> dict[str, str]:
        """A whole graph on these values; returns its outputs by their names there."""
        prefix = self._name(name)
        weights = {weight.name: f"{name}.{weight.name}" for weight in model.graph.initializer}
        for weight in model.graph.initializer:
            kept = self._weights.setdefault(weights[weight.name], onnx.TensorProto())
            kept.CopyFrom(weight)
            kept.name = weights[weight.name]
        known = {"": "", **weights, **{each.name: inputs[each.name] for each in model.graph.input}}

        def named(value: str) -> str:
            return known.setdefault(value, f"{prefix}.{value}")

        for node in model.graph.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            copied.name = f"{prefix}.{node.name}"
            for values in (copied.input, copied.output):
                values[:] = [named(value) for value in values]
            self._nodes.append(copied)
        return {each.name: named(each.name) for each in model.graph.output}

    def model(self) -> onnx.ModelProto:
        """What was put together, checked."""
        graph = helper.make_graph(
            self._nodes, "relume", self._inputs, self._outputs, list(self._weights.values())
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, of: str) -> str:
        self._count += 1
        return f"{of}_{self._count}"


_NUMBERS = ("rows", "columns")


@functools.cache
def _traced_average() -> onnx.ModelProto:
    """Image, and numbers from 0 for each row and column of its thumbnail -> thumbnail."""
    numbers = dict(zip(_NUMBERS, (torch.arange(16), torch.arange(24)), strict=True))
    inputs = {"image": torch.rand(1, 3, 70, 90), **numbers}
    any_length = {name: {0: torch.export.Dim.DYNAMIC} for name in numbers}
    return trace(_Averaged(), inputs, ["thumbnail"], {"image": SIZES, **any_length})


def _thumbnail(side: int, multiple: int) -> onnx.ModelProto:
    """Image -> thumbnail, whose shape `overview_shape` gives: the same arithmetic in nodes."""
    whole = _Composed()
    image = whole.take("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    sizes = whole.node("Cast", whole.node("Shape", image, start=2), to=TensorProto.DOUBLE)
    longer = whole.node("ReduceMax", sizes)
    cells = whole.node("Div", whole.node("Mul", sizes, whole.constant(np.float64(side))), longer)
    cells = whole.node("Round", whole.node("Div", cells, whole.constant(np.float64(multiple))))
    cells = whole.node("Cast", whole.node("Max", cells, whole.constant(np.float64(2))), to=TensorProto.INT64)
    cells = whole.node("Mul", cells, whole.constant(np.int64(multiple)))
    zero, one = whole.constant(np.int64(0)), whole.constant(np.int64(1))
    counted = {
        name: whole.node(
            "Range", zero, whole.node("Gather", cells, whole.constant(np.int64(axis)), axis=0), one
        )
        for axis, name in enumerate(_NUMBERS)
    }
    small = whole.include("average", _traced_average(), {"image": image, **counted})["thumbnail"]
    whole.give("thumbnail", small, TensorProto.FLOAT, [1, 3, "rows", "columns"])
    return whole.model()


@functools.cache
def traced_step(step: str) -> onnx.ModelProto:
    """One of the steps but the thumbnail, see `step_graphs`."""
    change = dict(zip(("before", "after", "local_gain"), _change((70, 90)), strict=True))
    reduced = dict(zip(("reduced", "after", "local_gain"), _change((35, 45)), strict=True))
    controls = {name: torch.tensor(value) for name, value in default_controls().items()}
    share, gains = torch.ones((), dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    some = {name: controls[name] for name in ("denoise", "highlight_guard")}
    settled = dict(zip(SETTLED, (share, gains, gains.clone()), strict=True))
    module, images, others, outputs = {
        "settle": (_Settled(), change, controls, SETTLED),
        "adjust": (_Adjusted(), change, {**some, **settled}, ["image"]),
        "reduce": (_Reduced(), {"image": change["before"]}, {}, ["reduced"]),
        "enlarge": (_Enlarged(), {"before": change["before"], **reduced}, {"gains": gains}, ENLARGED),
    }[step]
    sizes = {**dict.fromkeys(images, SIZES), **dict.fromkeys(others)}
    return trace(module, {**images, **others}, outputs, sizes)


def _change(size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """A dark image, a bright one, and a gain that differs from place to place."""
    before = 0.3 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    return before, (2 * before).clamp(0, 1), before[:, :1]


class _Averaged(nn.Module):
    def forward(self, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return averaged(image, rows, columns)


class _Settled(nn.Module):
    def forward(
        self,
        before: Tensor,
        after: Tensor,
        local_gain: Tensor,
        strength: Tensor,
        denoise: Tensor,
        exposure: Tensor,
        highlight_guard: Tensor,
        colour_guard: Tensor,
    ) -> tuple[Tensor, ...]:
        preview = Change(before[0], after[0], local_gain[0])
        found = settle_arrays(preview, strength, denoise, exposure, highlight_guard, colour_guard)
        gains: Any = found.correction_C
        return found.strength, found.gain_C, gains


class _Adjusted(nn.Module):
    def forward(
        self,
        before: Tensor,
        after: Tensor,
        local_gain: Tensor,
        denoise: Tensor,
        highlight_guard: Tensor,
        share: Tensor,
        gains: Tensor,
        corrections: Tensor,
    ) -> Tensor:
        adjustment = Adjustment(share.to(before.dtype), denoise, highlight_guard, gains, corrections)
        return adjust(Change(before[0], after[0], local_gain[0]), adjustment)[None]


class _Reduced(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        rows, columns = ((length + FACTOR - 1) // FACTOR for length in image.shape[-2:])
        return area_mean(_filled(image, rows, columns)[0].movedim(0, -1), FACTOR)[None]


class _Enlarged(nn.Module):
    def forward(
        self, before: Tensor, reduced: Tensor, after: Tensor, local_gain: Tensor, gains: Tensor
    ) -> tuple[Tensor, ...]:
        rows, columns = after.shape[-2:]
        change = Change(reduced[0], after[0], local_gain[0])
        model_5HW = fit(change, gains, slice(0, rows), slice(0, columns))
        height, width = before.shape[-2:]
        photo = _filled(before, rows, columns)[0]
        phases = [torch.cat([done.after, done.local_gain]) for done in _phases(photo, model_5HW, gains)]
        # Phase by phase, row by row, as a shuffle of pixels wants its channels.
        by_column = torch.stack(phases, 1).unflatten(1, (FACTOR, FACTOR))
        channels = by_column.transpose(1, 2).flatten(0, 2)
        whole = torch.nn.functional.pixel_shuffle(channels, FACTOR)[:, :height, :width]
        return whole[None, :3], whole[None, 3:]


def _filled(image: Tensor, rows: int, columns: int) -> Tensor:
    """The last row and column repeated up to `FACTOR` times as many.

    By positions: whether anything is missing, and how much, would be that of the example in the graph.
    """
    inside = [
        torch.arange(FACTOR * cells).clamp(max=length - 1)
        for cells, length in zip((rows, columns), image.shape[-2:], strict=True)
    ]
    return image[:, :, inside[0]][:, :, :, inside[1]]


def _phases(photo_3HW: Tensor, model_5HW: Tensor, gain_C: Tensor) -> Iterator[Change]:
    """What the network does to the photo, a set of its pixels at a time."""
    for row, column, there_5HW in interleaved(model_5HW, FACTOR):
        yield transfer(photo_3HW[:, row, column], there_5HW, gain_C)
