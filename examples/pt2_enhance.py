"""A dark picture made bright by a model that was exported for PyTorch; PyTorch alone is needed.

    relume export photo --to pt2 --photo dark.jpg -o build/pt2
    python pt2_enhance.py build/pt2/photo

The second command enhances a picture of random numbers. Import `Model` to enhance your own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class Model:
    """Both passes of a model.

    Args:
        start: path of the files without `.global.pt2` and `.local.pt2`.
    """

    def __init__(self, start: str) -> None:
        facts = {"relume.json": ""}
        program = torch.export.load(f"{start}.global.pt2", extra_files=facts)
        self.facts: dict[str, Any] = json.loads(facts["relume.json"])
        self.global_pass = program.module()
        self.local_pass = torch.export.load(f"{start}.local.pt2").module()

    def decide(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gain, condition and grid of a whole picture, 1 x 3 x H x W in [0, 1], sRGB-encoded."""
        side, longer = self.facts["thumbnail_size"], max(image.shape[-2:])
        shape = [max(2, round(side * length / (longer * 8))) * 8 for length in image.shape[-2:]]
        return self.global_pass(thumbnail=F.adaptive_avg_pool2d(image, shape))

    @torch.inference_mode()
    def enhance(self, image: Tensor, step: float = 1 / 255) -> Tensor:
        """The enhanced picture.

        Args:
            image: a whole picture, 1 x 3 x H x W in [0, 1], sRGB-encoded.
            step: what its values were rounded to, 1/255 for 8 bits.
        """
        margin = self.facts["margin"]
        height, width = image.shape[-2:]
        # A border must not look like an edge, so a photo is continued by its mirror image.
        rows, columns = (mirrored(length, margin) for length in (height, width))
        wide = image[:, :, rows][..., columns]
        gain, condition, grid = self.decide(image)
        enhanced, _ = self.local_pass(
            image=wide,
            gain=gain,
            condition=condition,
            grid=grid,
            place=torch.tensor([[-margin, -margin, height, width]], dtype=torch.float32),
            step=torch.tensor([[step]]),
        )
        return enhanced[..., margin:-margin, margin:-margin]


def mirrored(length: int, margin: int) -> Tensor:
    """Numbers of rows or columns, with so many more at either end, back and forth."""
    ahead = torch.arange(-margin, length + margin) % max(2 * (length - 1), 1)
    return torch.minimum(ahead, max(2 * (length - 1), 1) - ahead)


if __name__ == "__main__":
    dark = 0.2 * torch.rand(1, 3, 331, 517)
    print(f"mean {dark.mean():.3f} -> {Model(sys.argv[1]).enhance(dark).mean():.3f}")  # noqa: T201
