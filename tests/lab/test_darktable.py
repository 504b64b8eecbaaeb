"""darktable's bundle and script: what darktable finds and asks, run by a Lua interpreter."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from relume import Enhancer
from relume.lab.darktable import Darktable, Tensor, bundle, script
from relume.models import Card, load_card, load_graph
from shared import dark

pytest.importorskip("lupa")

CARD = load_card("lol")


def packed(card: Card, **graphs: bytes) -> bytes:
    """A bundle of some graphs."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, graph in graphs.items():
            archive.writestr(f"relume-{card.name}/{name}.onnx", graph)
    return content.getvalue()


def unchanging(inputs: dict[str, list[int | str]], outputs: dict[str, str]) -> bytes:
    """A graph whose outputs are some of its inputs."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, inputs[of]) for name, of in outputs.items()
    ]
    nodes = [helper.make_node("Identity", [of], [name]) for name, of in outputs.items()]
    graph = helper.make_graph(nodes, "unchanging", given, results)
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


IMAGE: list[int | str] = [1, 3, "height", "width"]


def idle(card: Card, tile: int) -> Darktable:
    """The script, with graphs that change nothing."""
    decide = unchanging({"image": IMAGE, "controls": [5]}, {"settled": "controls"})
    others: dict[str, list[int | str]] = {"place": [1, 4], "step": [1, 1], "settled": [5]}
    render = unchanging({"image": IMAGE, **others}, {"enhanced": "image"})
    return Darktable(packed(card, **{"global": decide, "local": render}), script(card, tile))


@pytest.mark.parametrize("size", [(1, 1), (15, 64), (64, 33), (70, 129)])
def test_the_script_cuts_a_photo_and_puts_it_together(size: tuple[int, int]) -> None:
    host = idle(replace(CARD, halo=16), 32)
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for _ in range(2):
        result = host.enhance(pixels_HWC)
        assert result is not None
        assert np.array_equal(result, pixels_HWC)
    assert host.messages == []


def test_what_needs_nothing_is_not_saved() -> None:
    host = idle(CARD, 32)
    automatic, strength = host.widgets[:2]
    automatic["value"], strength["value"] = False, 0.0
    assert host.enhance(dark(20, 30)) is None
    assert host.messages == ["photo.jpg: needs nothing"]


def test_problems_are_said_in_darktable() -> None:
    missing = Darktable(packed(CARD), script(CARD))
    assert missing.enhance(dark(20, 30)) is None
    assert "import relume-lol.dtmodel in preferences -> AI first" in missing.messages[0]
    broken = Darktable(packed(CARD, **{"global": b"", "local": b""}), script(CARD))
    assert broken.enhance(dark(20, 30)) is None
    assert len(broken.messages) == 1


def test_arrays_have_the_limits_of_darktables() -> None:
    host = idle(CARD, 32)
    tensor = Tensor(np.zeros((1, 3, 4, 5), np.float32), host._lua)
    with pytest.raises(ValueError, match="beyond"):
        tensor.crop(0, 0, 5, 5)
    with pytest.raises(ValueError, match="beyond"):
        tensor.paste(Tensor(np.zeros((1, 3, 2, 2), np.float32), host._lua), 3, 0)
    with pytest.raises(ValueError, match="dimensions"):
        Tensor(np.zeros((), np.float32), host._lua)
    with pytest.raises(ValueError, match="float64"):
        Tensor(np.zeros(3), host._lua)


@pytest.mark.slow  # traces the search for gains, which takes most of a minute
def test_the_bundle_does_what_relume_does() -> None:
    parts = {part: load_graph("lol", CARD, file) for part, file in CARD.graphs.items()}
    content = bundle(CARD, parts)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(files) == [f"relume-lol/{name}" for name in ("config.json", "global.onnx", "local.onnx")]
    config = json.loads(files["relume-lol/config.json"])
    assert (config["id"], config["backend"]) == ("relume-lol", "onnx")
    assert config["task"] not in ("denoise", "rawdenoise", "mask", "upscale", "embed")
    for name in ("global", "local"):
        graph = onnx.load_from_string(files[f"relume-lol/{name}.onnx"]).graph
        for value in (*graph.input, *graph.output):
            assert value.type.tensor_type.elem_type == TensorProto.FLOAT
            assert 1 <= len(value.type.tensor_type.shape.dim) <= 8
    host = Darktable(content, script(CARD, tile=128))
    enhancer = Enhancer("lol", device="cpu", precision="float32", downsample=1)
    for size in ((150, 300), (51, 75)):
        pixels_HWC = dark(*size)
        result = host.enhance(pixels_HWC)
        assert result is not None
        assert np.abs(result.astype(int) - enhancer.enhance(pixels_HWC)).max() <= 1
    automatic, strength, denoise = host.widgets[:3]
    automatic["value"], strength["value"], denoise["value"] = False, 0.5, 0.25
    result = host.enhance(pixels_HWC)
    wanted = enhancer.enhance(pixels_HWC, strength=0.5, denoise=0.25)
    assert result is not None
    assert np.abs(result.astype(int) - wanted).max() <= 1
    assert np.abs(result.astype(int) - pixels_HWC).max() > 10
