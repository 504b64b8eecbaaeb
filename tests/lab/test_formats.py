"""Other programs' formats: their pictures are relume's, and what is too far is not written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from relume import Enhancer
from relume.errors import ModelError, OutputUnwritable, UsageError
from relume.lab import formats
from relume.lab.formats import Source, convert, fitted, source_of
from relume.options import MODEL_ALONE
from relume.photo import Photo, write_photo


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SIZES", ((160, 96), (75, 51)))


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of("lol")


def dark(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    blocks = random.integers(2, 50, (height // 20, width // 20, 3)).repeat(20, 0).repeat(20, 1)
    return (blocks + random.integers(0, 9, (height, width, 3))).astype(np.uint8)


def rows(report: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(report.read_text().splitlines()))


@pytest.mark.parametrize("name", ["onnx", "onnx-fp16"])
def test_graphs_with_a_card_are_a_model_of_relume(source: Source, tmp_path: Path, name: str) -> None:
    paths, parity = convert(source, name, tmp_path, dark())
    assert all(path.exists() for path in paths)
    assert [(row.width, row.height, row.within) for row in parity] == [(160, 96, True), (75, 51, True)]
    assert [row["format"] for row in rows(tmp_path / f"lol.{name}.parity.csv")] == [name] * 2
    precision = {"onnx": "float32", "onnx-fp16": "float16"}[name]
    ours, theirs = (
        Enhancer(model, device="cpu", precision=each).enhance(dark(), strength=1.0).astype(int)
        for model, each in (("lol", "float32"), (tmp_path / "lol.json", precision))
    )
    assert np.abs(ours - theirs).max() <= 2


def test_integers_are_calibrated_on_photos(source: Source, tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    for seed in range(3):
        write_photo(Photo(dark(seed=seed)), tmp_path / f"dark/{seed}.png")
    with pytest.raises(UsageError, match="calibrated"):
        convert(source, "onnx-int8", tmp_path / "out", dark())
    parity = convert(source, "onnx-int8", tmp_path / "out", dark(), tmp_path / "dark")[1]
    assert all(row.largest > 0 and row.psnr > 42 for row in parity)
    graph = onnx.load(tmp_path / "out/lol.int8.local.onnx").graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    fine = [node for node in convolutions if made.get(node.input[0]) != "DequantizeLinear"]
    assert (len(convolutions), len(fine)) == (22, 7)
    # Nothing else takes what was rounded, but the results of convolutions; rectifiers are ranges.
    assert all(row.psnr > 50 for row in parity)
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        for value in node.input if node.op_type in ("Add", "Resize", "Relu") else ():
            if (back := makers.get(value)) is not None and back.op_type == "DequantizeLinear":
                there = makers[back.input[0]]
                while there.op_type in ("Pad", "Slice"):  # at borders
                    there = makers[there.input[0]]
                assert makers[there.input[0]].op_type == "Conv"
                assert node.op_type != "Relu"
    # No convolution of 8 bits sees zeros beyond a border.
    for node in convolutions:
        padded = any(any(each.ints) for each in node.attribute if each.name == "pads")
        assert not padded or made.get(node.input[0]) != "DequantizeLinear"
    # Ranges are fixed, so tiles join.
    whole, tiles = (
        Enhancer(tmp_path / "out/lol.json", device="cpu", precision="int8", tile=tile).enhance(
            fitted(dark(), 300, 420), strength=1.0, highlight_guard=0.0, colour_guard=0.0
        )
        for tile in (0, 128)
    )
    assert np.abs(whole.astype(int) - tiles).max() <= 1


def test_a_model_with_integers_needs_no_calibration(tmp_path: Path) -> None:
    own = source_of("photo")
    parity = convert(own, "onnx-int8", tmp_path, dark())[1]
    assert all(row.within and row.largest > 0 for row in parity)
    assert (tmp_path / "photo.int8.local.onnx").read_bytes() == own.integers


def test_openvino_reads_its_files_and_says_the_same(source: Source, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    parity = convert(source, "openvino", tmp_path, dark())[1]
    assert all(row.within for row in parity)
    model = openvino.Core().read_model(tmp_path / "lol.local.xml")
    assert "enhanced" in {output.any_name for output in model.outputs}


def test_what_is_too_far_is_not_written(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._LIMITS, "onnx-fp16", (0.0, 99.9))
    with pytest.raises(ModelError, match="too far"):
        convert(source, "onnx-fp16", tmp_path, dark())
    assert [path.name for path in tmp_path.iterdir()] == ["lol.onnx-fp16.parity.csv"]
    assert {row["within"] for row in rows(tmp_path / "lol.onnx-fp16.parity.csv")} == {"False"}


def test_what_cannot_all_be_written_leaves_nothing_new(source: Source, tmp_path: Path) -> None:
    (tmp_path / "lol.json").mkdir()  # where the card would be, the last of the files but for the report
    (tmp_path / "lol.global.onnx").write_bytes(b"an earlier one")
    with pytest.raises(OutputUnwritable, match=r"lol\.json"):
        convert(source, "onnx", tmp_path, dark())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lol.global.onnx", "lol.json"]


def test_openvino_without_room_is_no_fault(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")

    def full(*_: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "save_model", full)
    with pytest.raises(OutputUnwritable, match="iostream error"):
        convert(source, "openvino", tmp_path / "out", dark())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "remedy"), [("onnx9", "onnx-whole"), ("onnx", "dark one")])
def test_what_cannot_be_made_is_refused(source: Source, tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=remedy):
        convert(source, name, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_a_variant_is_chosen_by_its_precision(source: Source, tmp_path: Path) -> None:
    convert(source, "onnx-fp16", tmp_path, dark())
    card = tmp_path / "lol.json"
    assert Enhancer(card, device="cpu", precision="float16").precision == "float16"
    with pytest.raises(ModelError, match=r"no graphs of int8\. Choose one of: auto, float32, float16\."):
        Enhancer(card, device="cpu", precision="int8")
    told = json.loads(card.read_text())
    assert [variant["precision"] for variant in told["variants"]][-1] == "float16"
    assert told["metrics"] == source.card.metrics
    assert Enhancer("lol", device="cpu").enhance(dark(), **vars(MODEL_ALONE)).shape == (120, 160, 3)
