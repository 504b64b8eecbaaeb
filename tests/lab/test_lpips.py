"""LPIPS with random weights of the classifiers, which tell the same about the code as the published ones."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from relume.errors import ExitCode, MissingExtra, ModelError
from relume.lab.losses import lpips
from relume.lab.losses.lpips import CLASSIFIERS, Lpips, load_lpips
from relume.photo import Photo, write_photo
from shared import Result

Run = Callable[..., Result]
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder as that of the `lpips` package, with random linear weights; PyTorch's downloads are empty."""
    torch.manual_seed(0)
    for name, widths in WIDTHS.items():
        file = tmp_path / "lpips/weights/v0.1" / f"{name}.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate(widths)}, file)
    monkeypatch.setattr(lpips, "_package", lambda: tmp_path / "lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "lpips"


def _classifier(path: Path, backbone: str) -> Path:
    """Random weights as torchvision stores them, the last layers of the classifier included."""
    torch.manual_seed(1)
    features = nn.Sequential(*CLASSIFIERS[backbone].layers())
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


def _tensor(image_HWC: np.ndarray) -> Tensor:
    """1 x 3 x H x W in [-1, 1]."""
    return torch.from_numpy(image_HWC).permute(2, 0, 1)[None].double() / 127.5 - 1


def _images(size: int = 64) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (size, size + 8, 3), dtype=np.uint8) for _ in range(2)]


def test_nothing_is_measured_without_the_package_or_the_weights(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_lpips() is None
    monkeypatch.setattr(lpips, "_package", lambda: None)
    assert load_lpips() is None
    with pytest.raises(MissingExtra, match="lpips"):
        load_lpips(package / "any.pth")


def test_weights_among_the_downloads_are_found_alexnet_first(package: Path) -> None:
    checkpoints = package.parent / "hub/checkpoints"
    _classifier(checkpoints / "vgg16-397923af.pth", "vgg")
    found = load_lpips()
    assert found is not None
    assert found.backbone == "vgg 0.1"
    _classifier(checkpoints / "alexnet-owt-7be5be79.pth", "alex")
    found = load_lpips()
    assert found is not None
    assert found.backbone == "alex 0.1"


@pytest.mark.parametrize("backbone", WIDTHS)
def test_the_distance_is_the_formula_of_the_paper(package: Path, backbone: str) -> None:
    file = _classifier(package.parent / "mine.pth", backbone)
    found = load_lpips(file)
    assert found is not None
    first, second = _images()
    expected = _by_hand(package, backbone, torch.load(file, weights_only=True), first, second)
    assert expected > 0.01
    assert found.distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert found.distance(first, first) == 0


def _by_hand(
    package: Path, backbone: str, state: dict[str, Tensor], first: np.ndarray, second: np.ndarray
) -> float:
    """Every layer's features of both images, normalised pixel by pixel, weighted, averaged, added up."""
    linear = torch.load(package / "weights/v0.1" / f"{backbone}.pth", weights_only=True)
    seen: list[list[Tensor]] = []
    for image in (first, second):
        x = _tensor(image)
        shift, scale = ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
        x = (x - torch.tensor(shift).double().view(3, 1, 1)) / torch.tensor(scale).double().view(3, 1, 1)
        maps: list[Tensor] = []
        for number, layer in enumerate(CLASSIFIERS[backbone].layers()):
            if isinstance(layer, nn.Conv2d):
                weight, bias = (state[f"features.{number}.{part}"].double() for part in ("weight", "bias"))
                x = nn.functional.conv2d(x, weight, bias, layer.stride, layer.padding)
            else:
                x = layer(x)
            if number + 1 in CLASSIFIERS[backbone].ends:
                maps.append(x[0])
        seen.append(maps)
    total = 0.0
    for number, (f, g) in enumerate(zip(*seen, strict=True)):
        f, g = f / f.norm(dim=0), g / g.norm(dim=0)
        weights = linear[f"lin{number}.model.1.weight"].double().view(-1, 1, 1)
        total += float((weights * (f.nan_to_num() - g.nan_to_num()) ** 2).sum(0).mean())
    return total


@pytest.mark.skipif(
    find_spec("lpips") is None or find_spec("tqdm") is None, reason="needs the lpips package and tqdm"
)
@pytest.mark.parametrize("backbone", WIDTHS)
def test_the_distance_is_that_of_the_published_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backbone: str
) -> None:
    """With its own linear weights; classifiers that torchvision would build are handed to it."""
    file = _classifier(tmp_path / "mine.pth", backbone)
    state = torch.load(file, weights_only=True)

    def build(name: str) -> Callable[..., SimpleNamespace]:
        features = nn.Sequential(*CLASSIFIERS[name].layers())
        if name == backbone:
            features.load_state_dict({key[9:]: state[key] for key in state if key.startswith("features.")})
        return lambda pretrained: SimpleNamespace(features=features)

    models = ModuleType("torchvision.models")
    models.alexnet, models.vgg16 = build("alex"), build("vgg")  # type: ignore[attr-defined]
    torchvision = ModuleType("torchvision")
    torchvision.models = models  # type: ignore[attr-defined]
    for name, module in (("torchvision", torchvision), ("torchvision.models", models)):
        monkeypatch.setitem(sys.modules, name, module)
    for name in [name for name in sys.modules if name.partition(".")[0] == "lpips"]:
        monkeypatch.delitem(sys.modules, name)
    published = importlib.import_module("lpips").LPIPS(net=backbone, verbose=False)
    found = load_lpips(file)
    assert found is not None
    first, second = _images(96)
    tensors = [
        torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1 for image in (first, second)
    ]
    with torch.no_grad():
        expected = float(published(*tensors))
    assert found.distance(first, second) == pytest.approx(expected, rel=1e-5)


def test_other_weights_are_refused(package: Path) -> None:
    file = package.parent / "other.pth"
    torch.save({"features.0.weight": torch.zeros(32, 3, 3, 3)}, file)
    with pytest.raises(ModelError, match="not the weights of AlexNet or VGG16") as caught:
        load_lpips(file)
    assert caught.value.path == file
    _classifier(file, "alex")
    state = torch.load(file, weights_only=True)
    del state["features.3.bias"]
    torch.save(state, file)
    with pytest.raises(ModelError, match="do not fit"):
        load_lpips(file)


def test_a_batch_has_a_distance_for_each_pair() -> None:
    network = Lpips("alex")
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    both = network(images, images.flip(0))
    assert both.shape == (2,)
    assert torch.allclose(both[0], network(images[:1], images[1:])[0], rtol=1e-4)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    for side, image in zip(("low", "high"), _images(), strict=True):
        (tmp_path / side).mkdir()
        write_photo(Photo(image), tmp_path / side / "a.png")
    return tmp_path / "low", tmp_path / "high"


def _report(relume: Run, pairs: tuple[Path, Path], *options: object) -> dict[str, object]:
    result = relume("evaluate", *pairs, "--classical", "input", "--json", *options)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_column_is_there_with_the_weights_and_absent_without(
    relume: Run, package: Path, pairs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relume.cli.evaluate.find_spec", lambda name: name)
    assert not {"lpips", "lpips_backbone"} & _report(relume, pairs).keys()
    file = _classifier(package.parent / "mine.pth", "alex")
    report = _report(relume, pairs, "--lpips", file)
    assert report["lpips_backbone"] == "alex 0.1"
    assert isinstance(report["lpips"], float)
    assert report["lpips"] > 0


def test_naming_weights_without_the_package_is_an_error(
    relume: Run, pairs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relume.cli.evaluate.find_spec", lambda name: None if name == "lpips" else name)
    result = relume("evaluate", *pairs, "--classical", "input", "--lpips", "any.pth")
    assert result.code == ExitCode.MISSING_EXTRA
    assert "'.[metrics]'" in result.err
    assert "lpips" not in _report(relume, pairs)
