"""What stands in `examples/` for other programs does what they ask, as far as that shows without them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from relume import Enhancer
from relume.options import Controls
from shared import dark

torch = pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[1] / "examples"


def loaded(path: Path) -> ModuleType:
    """A file of Python as hosts load it: by its path."""
    spec = importlib.util.spec_from_file_location(path.parent.name.replace("-", "_") + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_comfyuis_node_enhances_a_batch() -> None:
    module = loaded(EXAMPLES / "comfyui-relume/__init__.py")
    [(name, node)] = module.NODE_CLASS_MAPPINGS.items()
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == {name}
    inputs = node.INPUT_TYPES()["required"]
    assert inputs["model"][0][0] == "photo"
    defaults = {key: spec[1]["default"] for key, spec in inputs.items() if len(spec) > 1}
    batch = torch.from_numpy(np.stack([dark(40, 56, seed=seed) for seed in (0, 1)]) / np.float32(255))
    for name in ("denoise", "highlight_guard", "colour_guard"):
        assert defaults[name] == getattr(Controls(), name)
    (result,) = getattr(node(), node.FUNCTION)(batch, model="lol", **defaults)
    assert (result.shape, result.dtype) == (batch.shape, torch.float32)
    alone = Enhancer("lol").enhance(dark(40, 56, seed=1)) / 255
    assert np.abs(result[1].numpy() - alone).max() <= 1.5 / 255
    (unchanged,) = node().enhance(batch, **{**defaults, "model": "lol", "automatic": False, "strength": 0.0})
    assert torch.equal(unchanged, batch)


def test_a_descriptor_like_spandrels() -> None:
    module = loaded(EXAMPLES / "spandrel_loader.py")
    model = module.load("lol", strength=1.0).to("cpu").eval()
    assert (model.scale, model.input_channels, model.tiling.name) == (1, 3, "INTERNAL")
    assert model.tags == ["lol", "1.1M"]
    image = torch.from_numpy(dark(41, 57) / np.float32(255)).permute(2, 0, 1)[None]
    result = model(image)
    assert (result.shape, result.dtype) == (image.shape, torch.float32)
    assert result.mean() > 2 * image.mean()
    assert torch.equal(model(image[0]), result[0])
    with pytest.raises(ValueError, match="one picture"):
        model(image.repeat(2, 1, 1, 1))
