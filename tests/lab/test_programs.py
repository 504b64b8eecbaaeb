"""A model as programs of PyTorch: they say what relume says, and need nothing of it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from relume import Enhancer
from relume.errors import ModelError
from relume.lab import formats
from relume.lab.export import dark_image, run_graphs
from relume.lab.formats import convert, source_of
from relume.lab.programs import network_of
from relume.models.engines import OnnxEngine
from relume.options import MODEL_ALONE
from shared import dark

EXAMPLE = Path(__file__).parents[2] / "examples/pt2_enhance.py"

ALONE = """
import runpy, sys
import torch
sys.modules["relume"] = None
model = runpy.run_path(sys.argv[1])["Model"](sys.argv[2])
torch.save([model.enhance(image) for image in torch.load(sys.argv[3])], sys.argv[3])
"""
"""Enhances the tensors in a file, in a process that cannot import relume."""


def test_the_network_comes_back_from_its_graphs() -> None:
    source = source_of("lol")
    network = network_of(source.card, source.parts)
    image = dark_image((75, 130))
    engines = {f".{part}": OnnxEngine(graph, device="cpu") for part, graph in source.parts.items()}
    theirs = torch.from_numpy(run_graphs(engines, network, image)["enhanced"])
    with torch.inference_mode():
        assert (network(image) - theirs).abs().max() < 1e-5


def test_graphs_of_another_network_are_refused() -> None:
    source = source_of("lol")
    other = replace(source.card, recipe={"network": "two-pass", "network_options": {"knots": 1}})
    with pytest.raises(ModelError, match="other weights"):
        network_of(other, source.parts)
    local = onnx.load_from_string(source.parts["local"])
    local.graph.initializer.pop(0)
    with pytest.raises(ModelError, match="no weights of"):
        network_of(source.card, {**source.parts, "local": local.SerializeToString()})


@pytest.mark.slow  # torch.export takes half a minute
def test_programs_run_with_pytorch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "SIZES", ((160, 96), (75, 51)))
    photo = dark(96, 160)
    paths, parity = convert(source_of("lol"), "pt2", tmp_path, photo)
    assert [path.name for path in paths] == ["lol.global.pt2", "lol.local.pt2", "lol.pt2.parity.csv"]
    assert all(row.within for row in parity)
    for path in paths[:2]:
        with zipfile.ZipFile(path) as archive:
            held = [archive.read(name) for name in archive.namelist()]
        assert not any(str(Path(formats.__file__).parent).encode() in content for content in held)
    photos = [photo, dark(51, 75, seed=1)]
    images = [torch.from_numpy(each / np.float32(255)).permute(2, 0, 1)[None] for each in photos]
    torch.save(images, tmp_path / "images.pt")
    command = [sys.executable, "-c", ALONE, EXAMPLE, tmp_path / "lol", tmp_path / "images.pt"]
    subprocess.run(command, check=True)
    enhancer = Enhancer("lol", device="cpu", precision="float32")
    for pixels_HWC, result in zip(photos, torch.load(tmp_path / "images.pt"), strict=True):
        theirs = result[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(theirs - enhancer.enhance(pixels_HWC, **vars(MODEL_ALONE))).max() <= 1
