"""Perceptual loss: distance between the features that an ImageNet classifier sees in two images.

The classifiers are written here as far as their features are wanted. Parameter names are torchvision's, so
that its published weights load; torchvision itself is not needed. Older files of MobileNetV2
(tonylins/pytorch-mobilenet-v2), which have other names for the same parameters, load too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from relume.errors import ModelError, UsageError


def vgg(*stages: tuple[int, int]) -> list[nn.Module]:
    """The first stages of a VGG, each of a width and a number of convolutions.

    Source: Simonyan and Zisserman, ICLR 2015.
    """
    layers: list[nn.Module] = []
    before = 3
    for width, convolutions in stages:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
    return layers


def _normalised(before: int, after: int, side: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, its normalisation and ReLU6: torchvision counts the three as one layer."""
    convolution = nn.Conv2d(before, after, side, stride, side // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU6())


class _InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 convolution widens, 3x3 a channel, 1x1 narrows; a residual where it fits."""

    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = before * expansion
        layers: list[nn.Module] = [_normalised(before, hidden)] if expansion > 1 else []
        layers += [_normalised(hidden, hidden, 3, stride, groups=hidden)]
        layers += [nn.Conv2d(hidden, after, 1, bias=False), nn.BatchNorm2d(after)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and before == after

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.conv(x_BCHW) if self.residual else self.conv(x_BCHW)


def _mobilenet_v2() -> list[nn.Module]:
    """MobileNetV2 up to the last block of stride 8; Sandler et al., CVPR 2018."""
    blocks = [(32, 16, 1, 1), (16, 24, 2, 6), (24, 24, 1, 6), (24, 32, 2, 6), (32, 32, 1, 6), (32, 32, 1, 6)]
    return [_normalised(3, 32, 3, 2), *(_InvertedResidual(*block) for block in blocks)]


_OLDER_NAME = re.compile(r"features\.(\d+)\.conv\.(\d+)\.(.+)")
"""Of a parameter of MobileNetV2's blocks in files that count every layer of a block by itself."""


def _with_torchvision_names(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Rename MobileNetV2's parameters from older files; all other weights are returned as they are."""
    if "features.1.conv.0.weight" not in state:
        return state
    return {_torchvision_name(name): value for name, value in state.items()}


def _torchvision_name(name: str) -> str:
    """`features.2.conv.4.weight` is `features.2.conv.1.1.weight`: a block's layers are counted in threes.

    Its last convolution, which no ReLU6 follows, and its normalisation are counted one by one.
    """
    found = _OLDER_NAME.fullmatch(name)
    if found is None:
        return name
    block, layer, parameter = found.groups()
    group, member = divmod(int(layer), 3)
    last = 1 if block == "1" else 2  # the first block does not widen
    place = f"{group}.{member}" if group < last else str(group + member)
    return f"features.{block}.conv.{place}.{parameter}"


@dataclass(frozen=True)
class Backbone:
    """A classifier whose features are compared.

    Attributes:
        layers: builds its first layers.
        ends: how many layers lead to each named feature; the first name is the default.
        address: where torchvision publishes its weights; the name holds a part of their SHA-256.
    """

    layers: Callable[[], list[nn.Module]]
    ends: Mapping[str, int]
    address: str


BACKBONES: Mapping[str, Backbone] = {
    "vgg19": Backbone(
        lambda: vgg((64, 2), (128, 2), (256, 4)),
        {"relu3_4": 18, "conv3_4": 17},
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
    "mobilenet_v2": Backbone(
        _mobilenet_v2,
        {"block6": 7, "block3": 4},
        "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    ),
}
"""Every backbone by the name that recipes use."""

DEFAULT_BACKBONE = "vgg19"


class Perceptual(nn.Module):
    """`mean |phi(prediction) - phi(target)|`, phi the features of a frozen classifier; 0 or more.

    The perceptual loss of "Compact Clarity" (equation 3.12), after Johnson, Alahi, Fei-Fei, "Perceptual
    Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016. `Perceptual.load` gives it its
    published weights; built directly, they are random.

    Args:
        backbone: key of `BACKBONES`; losses of different backbones do not compare.
        layer: name of the feature; by default the backbone's first: relu3_4 of vgg19, block6 of mobilenet_v2.

    Raises:
        UsageError: no such backbone or layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: str = DEFAULT_BACKBONE, layer: str | None = None) -> None:
        super().__init__()
        _check(backbone, BACKBONES, "backbone")
        chosen = BACKBONES[backbone]
        layer = layer or next(iter(chosen.ends))
        _check(layer, chosen.ends, f"layer of {backbone}")
        self.features = nn.Sequential(*chosen.layers()[: chosen.ends[layer]]).requires_grad_(False)
        self.eval()  # stored statistics, where a backbone normalises
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    @classmethod
    def load(
        cls, backbone: str = DEFAULT_BACKBONE, file: Path | str | None = None, layer: str | None = None
    ) -> Perceptual:
        """The loss with a classifier's trained weights.

        Args:
            backbone, layer: as for the class.
            file: weights with torchvision's parameter names, or MobileNetV2's older ones, `.safetensors` or
                PyTorch's own format, of which only tensors are read, never code. Without it, or with an empty
                name, torchvision's are taken from where PyTorch keeps its downloads
                (`torch.hub.get_dir()/checkpoints`). Nothing is downloaded; `fetch` does that.

        Raises:
            ModelError: no weights there, or not the backbone's.
            UsageError: no such backbone or layer.
        """
        loss = cls(backbone, layer)
        path = Path(file) if file else _kept(backbone)
        state = _with_torchvision_names(read_tensors(path))
        try:
            loss.load_state_dict({name: state[name] for name in loss.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ModelError(
                f"the weights are not those of {backbone} ({error})",
                "Give torchvision's, or name the backbone that they belong to.",
                path=path,
            ) from error
        return loss

    def forward(self, prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """Compare RGB images in [0, 1], at least 16 pixels per side; only the prediction gets a gradient."""
        with torch.no_grad():
            wanted = self._seen(target_BCHW)
        return (self._seen(prediction_BCHW) - wanted).abs().mean()

    def _seen(self, image_BCHW: Tensor) -> Tensor:
        return self.features((image_BCHW - self.mean) / self.deviation)


def _check(name: str, among: Collection[str], what: str) -> None:
    if name not in among:
        raise UsageError(f"no {what} is called '{name}'", f"Choose from: {', '.join(sorted(among))}.")


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name from a `.safetensors` file or one of PyTorch's own format, never code.

    Raises:
        ModelError: no such file, or no tensors in it.
    """
    if not path.is_file():
        raise ModelError("there is no file of weights", "Check the path, or leave it out.", path=path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise ModelError(
            "the weights cannot be read", "Give a .safetensors or .pth file of tensors.", path=path
        ) from error


def _kept(backbone: str) -> Path:
    """Where PyTorch keeps a backbone's weights once they are downloaded.

    Raises:
        ModelError: they are not there.
    """
    path = _place(backbone)
    if not path.is_file():
        raise ModelError(
            f"the weights of {backbone} are not on this machine",
            "Name their file (method_options.perceptual.file), allow their download (--allow-download), "
            "or leave the perceptual term out (losses.perceptual=0).",
            path=path,
        )
    return path


def _place(backbone: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(BACKBONES[backbone].address).name


def fetch(backbone: str) -> Path:
    """Download torchvision's weights of a backbone to where PyTorch keeps them, unless they are there.

    Raises:
        ModelError: the download fails, or brings another file.
        UsageError: no such backbone.
    """
    _check(backbone, BACKBONES, "backbone")
    path, address = _place(backbone), BACKBONES[backbone].address
    if path.is_file():
        return path
    # torchvision's names end in the first digits of the file's SHA-256.
    expected = path.stem.rpartition("-")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), hash_prefix=expected, progress=False)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the weights of {backbone} could not be downloaded ({error})",
            f"Get {address} elsewhere and name the file, or leave the perceptual term out.",
        ) from error
    return path
