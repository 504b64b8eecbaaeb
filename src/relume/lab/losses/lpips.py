"""LPIPS: the learned perceptual distance, from parts that the user has; nothing is ever downloaded.

Its linear weights are those inside the `lpips` package, which is never imported: its code needs torchvision,
and that loads only beside the PyTorch that it was built for. The classifiers are built here; the published
weights of one of them, torchvision's file, are the user's.

Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from relume.arrays import EightBits
from relume.errors import MissingExtra, ModelError, install
from relume.evaluate.perceptual import Perceptual
from relume.lab.losses.perceptual import read_tensors, vgg

VERSION = "0.1"
"""Of the linear weights; 0.0 had an error in how images were scaled."""


@dataclass(frozen=True)
class Classifier:
    """A classifier that LPIPS has linear weights for.

    Attributes:
        layers: builds it as far as it is looked into.
        ends: how many layers lead to each feature.
        file: how torchvision calls its weights.
    """

    layers: Callable[[], list[nn.Module]]
    ends: Sequence[int]
    file: str


def _alexnet() -> list[nn.Module]:
    """Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014."""
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    ]


CLASSIFIERS: Mapping[str, Classifier] = {
    "alex": Classifier(_alexnet, (2, 5, 8, 10, 12), "alexnet-owt-7be5be79.pth"),
    "vgg": Classifier(
        lambda: vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
        (4, 9, 16, 23, 30),
        "vgg16-397923af.pth",
    ),
}
"""The classifiers by the name that LPIPS has for them; the first one is the default."""


class Lpips(nn.Module):
    """`sum over layers of mean over pixels of w . (f / |f| - g / |g|)^2`, f and g the features of two images.

    Args:
        backbone: key of `CLASSIFIERS`; the weights are random until they are loaded.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: str) -> None:
        super().__init__()
        classifier = CLASSIFIERS[backbone]
        layers = classifier.layers()
        starts = (0, *classifier.ends)
        self.features = nn.Sequential(*layers)
        self._slices = [slice(*ends) for ends in zip(starts, classifier.ends, strict=False)]
        widths = [_width(layers[:end]) for end in classifier.ends]
        self.linear = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        """The distance of each two images, in [-1, 1]: B values from 0 upwards."""
        f, g = ((image - self.shift) / self.scale for image in (first_BCHW, second_BCHW))
        total = torch.zeros(len(f))
        for part, linear in zip(self._slices, self.linear, strict=True):
            f, g = self.features[part](f), self.features[part](g)
            total = total + linear((_unit(f) - _unit(g)) ** 2).mean((1, 2, 3))
        return total


def load_lpips(file: Path | None = None) -> Perceptual | None:
    """LPIPS as far as its parts are on this machine.

    Args:
        file: weights of AlexNet or VGG16 with torchvision's names of parameters; which one it is is seen from
            its shapes. Without it, they are looked for where PyTorch keeps its downloads
            (`torch.hub.get_dir()/checkpoints`), AlexNet first.

    Returns:
        The distance; None if no file was named and a part is not there.

    Raises:
        MissingExtra: a file was named, and the `lpips` package is not installed.
        ModelError: the file cannot be read, or belongs to another network.
    """
    folder = _package()
    if folder is None:
        if file is not None:
            raise MissingExtra("LPIPS needs the lpips package", install("metrics"))
        return None
    found = file or _kept()
    if found is None:
        return None
    state = read_tensors(found)
    backbone = _backbone_of(state, found)
    network = Lpips(backbone)
    _fill(
        network.features,
        {name: state.get(f"features.{name}") for name in network.features.state_dict()},
        found,
    )
    weights = folder / "weights" / f"v{VERSION}" / f"{backbone}.pth"
    linear = read_tensors(weights)
    _fill(network.linear, {f"{n}.weight": linear.get(f"lin{n}.model.1.weight") for n in range(5)}, weights)
    return Perceptual(f"{backbone} {VERSION}", _distance(network))


def _package() -> Path | None:
    """The folder of the `lpips` package, without importing it."""
    spec = find_spec("lpips")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _kept() -> Path | None:
    """Weights of a classifier among PyTorch's downloads."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    files = (folder / classifier.file for classifier in CLASSIFIERS.values())
    return next((file for file in files if file.is_file()), None)


def _backbone_of(state: Mapping[str, Tensor], file: Path) -> str:
    """Which classifier the weights belong to, by the shape of the first ones."""
    first = state.get("features.0.weight")
    for name, classifier in CLASSIFIERS.items():
        wanted = classifier.layers()[0].weight
        if first is not None and isinstance(wanted, Tensor) and first.shape == wanted.shape:
            return name
    raise ModelError(
        "these are not the weights of AlexNet or VGG16",
        f"Give torchvision's, such as {CLASSIFIERS['alex'].file}.",
        path=file,
    )


def _fill(module: nn.Module, state: Mapping[str, Tensor | None], file: Path) -> None:
    try:
        module.load_state_dict({name: value for name, value in state.items() if value is not None})
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit ({error})", "Get the file again.", path=file) from error


def _width(layers: Sequence[nn.Module]) -> int:
    """Channels after these layers."""
    return [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)][-1]


def _unit(features_BCHW: Tensor) -> Tensor:
    """Each pixel's features scaled to the length 1."""
    return features_BCHW / (features_BCHW.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _distance(network: Lpips) -> Callable[[EightBits, EightBits], float]:
    def as_tensor(image_HWC: EightBits) -> Tensor:
        scaled_CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1.0
        return torch.from_numpy(scaled_CHW[None])

    def distance(prediction_HWC: EightBits, target_HWC: EightBits) -> float:
        with torch.no_grad():
            return float(network(as_tensor(prediction_HWC), as_tensor(target_HWC)))

    return distance
