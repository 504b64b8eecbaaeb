"""LPIPS, where its package and its weights are installed; nothing is ever downloaded.

LPIPS needs PyTorch, the `lpips` package and the published weights of an image classifier, its backbone. None
of them belongs to relume's own dependencies, so the modules are looked up by name when they are wanted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

Backbone: TypeAlias = Literal["alex", "vgg", "squeeze"]
Distance: TypeAlias = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], float]

_CLASSIFIERS: dict[Backbone, str] = {
    "alex": "AlexNet_Weights.IMAGENET1K_V1",
    "vgg": "VGG16_Weights.IMAGENET1K_V1",
    "squeeze": "SqueezeNet1_1_Weights.IMAGENET1K_V1",
}


@dataclass(frozen=True)
class Perceptual:
    """A perceptual distance and the network behind it.

    Attributes:
        backbone: name for the report; distances of different backbones do not compare.
        distance: takes prediction and target, uint8 H x W x 3, gives a number from 0 (alike) upwards.
    """

    backbone: str
    distance: Distance


def load_perceptual(backbone: Backbone = "alex") -> Perceptual | None:
    """LPIPS 0.1 with the given backbone, or None if a part of it is not on this machine.

    Looks for the packages `lpips`, `torch` and `torchvision` and for the backbone's weights in the folder
    where torchvision keeps its downloads (`torch.hub.get_dir()/checkpoints`).

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric", CVPR 2018.
    """
    try:
        torch, models, lpips = (importlib.import_module(n) for n in ("torch", "torchvision.models", "lpips"))
    except (ImportError, OSError, RuntimeError):  # torchvision fails so beside a PyTorch that it does not fit
        return None
    if not _weights_file(torch, models, backbone).is_file():
        return None
    network = lpips.LPIPS(net=backbone, version="0.1", verbose=False).eval()
    return Perceptual(f"{backbone} 0.1", _distance(torch, network))


def _weights_file(torch: Any, models: Any, backbone: Backbone) -> Path:
    """Where torchvision keeps the weights it would otherwise download."""
    address = urlsplit(models.get_weight(_CLASSIFIERS[backbone]).url).path
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name


def _distance(torch: Any, network: Any) -> Distance:
    def as_tensor(image_HWC: npt.NDArray[np.uint8]) -> Any:
        scaled_CHW = np.ascontiguousarray(image_HWC.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1.0
        return torch.from_numpy(scaled_CHW[None])

    def distance(prediction_HWC: npt.NDArray[np.uint8], target_HWC: npt.NDArray[np.uint8]) -> float:
        with torch.no_grad():
            return float(network(as_tensor(prediction_HWC), as_tensor(target_HWC)))

    return distance
