"""The steps as graphs, and the whole enhancement as one: they say what the product does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from relume import Enhancer
from relume.lab import graphs
from relume.lab.graphs import CONTROLS, ENLARGED, SETTLED, step_graphs, whole_graph
from relume.models import load_card, load_graph
from relume.models.engines import OnnxEngine
from relume.steps.controls import Change
from relume.steps.guided_filter import area_mean, fit, interleaved, transfer
from relume.steps.thumbnail import overview_shape, thumbnail

pytestmark = pytest.mark.slow  # tracing the search for gains takes most of a minute
CARD = load_card("photo")
PARTS = {part: load_graph("photo", CARD, file) for part, file in CARD.graphs.items()}
GIVEN: list[dict[str, Any]] = [
    {},
    {"strength": 0.5, "denoise": 0.3},
    {"exposure": 0.3, "colour_guard": 0.2},
    {"strength": 1.0, "highlight_guard": 0.0, "colour_guard": 0.0},
    {"strength": 0.0},
]


@pytest.fixture(scope="module")
def steps() -> dict[str, bytes]:
    return step_graphs(CARD.thumbnail_size or 0)


@pytest.fixture(scope="module")
def whole(steps: dict[str, bytes]) -> bytes:
    return whole_graph(PARTS, CARD.thumbnail_size or 0, CARD.margin)


def photo(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height)
    blocks = random.integers(0, 60, (-(-height // 20), -(-width // 20), 3)).repeat(20, 0).repeat(20, 1)
    return (blocks[:height, :width] + random.integers(0, 9, (height, width, 3))).astype(np.uint8)


def planes(pixels_HWC: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


@pytest.mark.parametrize("size", [(1, 1), (40, 33), (131, 217), (300, 90)])
def test_a_thumbnail_is_that_of_the_product(steps: dict[str, bytes], size: tuple[int, int]) -> None:
    image = planes(photo(*size))
    small = OnnxEngine(steps["thumbnail"], device="cpu").run(image=image)["thumbnail"]
    expected = thumbnail(image, overview_shape(*size, CARD.thumbnail_size or 0))
    assert small.shape == expected.shape
    np.testing.assert_allclose(small, expected, atol=1e-6)


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("size", [(40, 33), (131, 217)])
def test_one_graph_does_what_the_product_does(
    whole: bytes, given: dict[str, Any], size: tuple[int, int]
) -> None:
    pixels = photo(*size)
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    controls = {name: np.asarray(value, np.float32) for name, value in given.items()}
    result = session.run(["enhanced"], {"image": planes(pixels), **controls})[0]
    expected = Enhancer(downsample=1, device="cpu", precision="float32").enhance(pixels, **given)
    assert np.abs(255 * result[0].transpose(1, 2, 0) - expected).max() < 0.75


def test_whole_numbers_are_taken_and_given(whole: bytes, steps: dict[str, bytes]) -> None:
    graph = whole_graph(PARTS, CARD.thumbnail_size or 0, CARD.margin, integers=True)
    pixels = photo(40, 33)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    result = session.run(None, {"image": pixels.transpose(2, 0, 1)[None]})[0]
    assert result.dtype == np.uint8
    expected = Enhancer(downsample=1, device="cpu", precision="float32").enhance(pixels).astype(int)
    assert np.abs(result[0].transpose(1, 2, 0) - expected).max() <= 1


def test_weights_are_there_once_and_controls_may_be_left_out(whole: bytes) -> None:
    model = onnx.load_from_string(whole)
    assert len(whole) < 1.3 * sum(map(len, PARTS.values()))
    assert [each.name for each in model.graph.input] == ["image", *CONTROLS]
    assert set(CONTROLS) <= {each.name for each in model.graph.initializer}


def test_reducing_and_enlarging_are_those_of_the_product(steps: dict[str, bytes]) -> None:
    before, gains = planes(photo(61, 90)), np.asarray([4.0, 5.0, 6.0])
    reduced = OnnxEngine(steps["reduce"], device="cpu").run(image=before)["reduced"]
    np.testing.assert_allclose(reduced[0], area_mean(before[0].transpose(1, 2, 0), 2), atol=1e-6)
    change = Change(reduced[0], np.sqrt(reduced[0]), reduced[0, :1])
    model = fit(change, gains, slice(0, 31), slice(0, 45))
    expected = np.empty((4, 61, 90), np.float32)
    for rows, columns, there in interleaved(model, 2):
        done = transfer(before[0, :, rows, columns], there, gains)
        expected[:, rows, columns] = np.concatenate([done.after, done.local_gain])
    inputs = {"reduced": reduced, "after": change.after[None], "local_gain": change.local_gain[None]}
    outputs = OnnxEngine(steps["enlarge"], device="cpu").run(before=before, **inputs, gains=gains)
    found = np.concatenate([outputs[name][0] for name in ENLARGED])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_search_for_gains_has_no_branch(steps: dict[str, bytes]) -> None:
    settle = onnx.load_from_string(steps["settle"])
    assert [each.name for each in settle.graph.output] == list(SETTLED)
    assert not {"If", "Loop"} & {node.op_type for node in settle.graph.node}
    assert graphs.default_controls()["strength"] == -1
