"""relume's models behind the interface that spandrel gives the networks of other projects.

spandrel (https://github.com/chaiNNer-org/spandrel) finds out what a file of weights holds and returns a
descriptor: a callable on B x C x H x W tensors in [0, 1], with facts about scale, channels, sizes and tiling.
Hosts that are written for such descriptors take this one as well:

    from spandrel_loader import load

    model = load("photo")              # a shipped model, or the card of an exported one
    bright = model(dark)               # 1 x 3 x H x W, float32 in [0, 1]

Unlike spandrel's, the model is not a `torch.nn.Module`: it runs in ONNX Runtime, on the processor. Everything
that a relume model does lies behind the call: the look at the whole picture, tiles, the controls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from typing import Any

import torch

from relume import Enhancer


class ModelTiling(Enum):
    """Whether a host should cut pictures; spandrel's names and numbers."""

    SUPPORTED = 1
    DISCOURAGED = 2
    INTERNAL = 3


@dataclass(frozen=True)
class SizeRequirements:
    """Sizes that a picture must have; any will do."""

    minimum: int = 0
    multiple_of: int = 1
    square: bool = False


@dataclass(frozen=True)
class RelumeDescriptor:
    """A model, callable as spandrel's `ImageModelDescriptor`.

    Attributes:
        enhancer: the loaded model.
        controls: keywords of `Enhancer.enhance`; none for what `relume enhance` does.
        tiling: relume cuts pictures itself. A host that cut them would have each piece judged by itself, and
            pieces of different brightness.
    """

    enhancer: Enhancer
    controls: dict[str, Any] = field(default_factory=dict)
    purpose: str = "Restoration"
    scale: int = 1
    input_channels: int = 3
    output_channels: int = 3
    supports_half: bool = False
    supports_bfloat16: bool = False
    size_requirements: SizeRequirements = SizeRequirements()
    tiling: ModelTiling = ModelTiling.INTERNAL

    @property
    def tags(self) -> list[str]:
        """What the model is, in words."""
        return [self.enhancer.card.name, f"{self.enhancer.card.params / 1e6:.1f}M"]

    def to(self, device: Any) -> RelumeDescriptor:
        """Itself: results come back to where pictures are."""
        del device
        return self

    def eval(self) -> RelumeDescriptor:
        """Itself: there is nothing to be trained."""
        return self

    @torch.inference_mode()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Enhance one picture.

        Args:
            image: 1 x 3 x H x W, or 3 x H x W, in [0, 1].

        Raises:
            ValueError: another shape.
        """
        batched = image if image.ndim == 4 else image[None]
        if batched.ndim != 4 or batched.shape[:2] != (1, 3):
            raise ValueError(f"one picture of three channels is taken, not {tuple(image.shape)}")
        pixels_HWC = batched[0].permute(1, 2, 0).float().cpu().numpy()
        result = torch.from_numpy(self.enhancer.enhance(pixels_HWC, **self.controls))
        return result.permute(2, 0, 1).reshape(image.shape).to(image.device, image.dtype)


def load(model: str | PathLike[str] = "photo", **controls: Any) -> RelumeDescriptor:
    """A shipped model by its name, or an exported one by its card (a `.json` file).

    Args:
        model: name or file.
        controls: how pictures are to look, see `relume.options.Controls`.
    """
    return RelumeDescriptor(Enhancer(model), controls)
