from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from relume.evaluate import load_perceptual


class FakeLpips:
    def __init__(self, net: str, version: str, verbose: bool) -> None:
        assert (net, version, verbose) == ("alex", "0.1", False)

    def eval(self) -> FakeLpips:
        return self

    def __call__(self, a_BCHW: torch.Tensor, b_BCHW: torch.Tensor) -> torch.Tensor:
        assert a_BCHW.shape == (1, 3, 4, 5)
        assert a_BCHW.dtype == torch.float32
        assert (a_BCHW.min(), b_BCHW.max()) == (-1.0, 1.0)
        return (a_BCHW - b_BCHW).abs().mean().reshape(1, 1, 1, 1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The packages are there; returns where the weights would lie."""
    models = ModuleType("torchvision.models")
    models.get_weight = lambda name: SimpleNamespace(url=f"https://example.org/models/{name}.pth")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=FakeLpips))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints" / "AlexNet_Weights.IMAGENET1K_V1.pth"


def test_no_package_no_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert load_perceptual() is None


def test_no_weights_no_lpips_and_no_download(installed: Path) -> None:
    assert not installed.exists()
    assert load_perceptual() is None


def test_lpips_gets_images_from_minus_one_to_one(installed: Path) -> None:
    installed.parent.mkdir()
    installed.touch()
    perceptual = load_perceptual()
    assert perceptual is not None
    assert perceptual.backbone == "alex 0.1"
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert perceptual.distance(black, white) == 2.0
