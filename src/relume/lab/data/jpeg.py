"""What JPEG compression does to a batch of pictures, by tensor operations: no entropy coding, no gradients.

The transform, the tables of annex K of ITU-T T.81 (1992) and their scaling by a quality are those of libjpeg,
as are the rounding of YCbCr to 8 bits (BT.601, JFIF) and the triangle filter for subsampled chroma.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA_STEPS = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_STEPS = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


def compressed(
    levels_BCHW: Tensor, quality: Sequence[int], grids: Sequence[tuple[int, int]], *, subsampled: bool
) -> Tensor:
    """Through a JPEG file each, whose blocks begin anywhere, as those of a crop do.

    Args:
        levels_BCHW: sRGB in [0, 255].
        quality: 1 to 100, as libjpeg counts.
        grids: rows and columns that the blocks begin above and left of the picture.
        subsampled: 4:2:0 in place of 4:4:4.

    Returns:
        B x 3 x H x W, whole numbers in [0, 255].
    """
    height, width = levels_BCHW.shape[-2:]
    block = 16 if subsampled else 8
    canvas = _shifted(levels_BCHW, [(top % block, left % block) for top, left in grids], block)
    steps = torch.from_numpy(np.stack([_steps(one) for one in quality])).to(canvas.device)
    planes = _mixed(_matrix(canvas.device), canvas)
    # libjpeg rounds halves of chroma downwards.
    planes[:, 1:] += 128 - 1e-3
    planes = _rounded(planes)
    chroma = _halved(planes[:, 1:]) if subsampled else planes[:, 1:]
    light, chroma = _coded(planes[:, :1], steps[:, :1]), _coded(chroma, steps[:, 1:])
    if subsampled:
        chroma = _rounded(F.interpolate(chroma, scale_factor=2, mode="bilinear"))
    decoded = _mixed(_inverse(canvas.device), torch.cat([light, chroma.sub_(128)], 1))
    decoded = _rounded(decoded).clamp_(0, 255)
    return torch.stack(
        [
            image[:, top % block :, left % block :][:, :height, :width]
            for image, (top, left) in zip(decoded, grids, strict=True)
        ]
    )


def _shifted(images: Tensor, grids: Sequence[tuple[int, int]], block: int) -> Tensor:
    """On canvases of whole blocks, the edges repeated."""
    height, width = images.shape[-2:]
    most = [max(grid[axis] for grid in grids) for axis in (0, 1)]
    rows, columns = (
        -(-(side + more) // block) * block for side, more in zip((height, width), most, strict=True)
    )
    return torch.stack(
        [
            F.pad(image, (left, columns - width - left, top, rows - height - top), mode="replicate")
            for image, (top, left) in zip(images, grids, strict=True)
        ]
    )


def _halved(chroma: Tensor) -> Tensor:
    """Means of 2 x 2, halves rounded downwards and upwards in turn, as libjpeg does against a drift."""
    means = F.avg_pool2d(chroma, 2)
    means[..., ::2] -= 0.25
    return _rounded(means)


def _coded(planes: Tensor, steps: Tensor) -> Tensor:
    """Each block of 8 x 8 transformed, rounded to its steps, and back to 8 bits.

    Args:
        planes: B x C x H x W, H and W multiples of 8, whole numbers in [0, 255].
        steps: B x 1 x 64.
    """
    count, channels, height, width = planes.shape
    blocks = (planes - 128).view(count, channels, height // 8, 8, width // 8, 8)
    blocks = blocks.permute(0, 1, 2, 4, 3, 5).reshape(count, -1, 64)
    transform = _transform(planes.device)
    coefficients = (blocks @ transform.T).div_(steps)
    sizes = _rounded(coefficients.abs(), 1e-4).copysign_(coefficients)
    blocks = (sizes.mul_(steps) @ transform).view(count, channels, height // 8, width // 8, 8, 8)
    blocks = blocks.permute(0, 1, 2, 4, 3, 5).reshape(planes.shape)
    return _rounded(blocks.add_(128)).clamp_(0, 255)


def _rounded(values: Tensor, more: float = 0.0) -> Tensor:
    """To the nearest whole number, halves upwards, which flat dark blocks often hit; in place."""
    return values.add_(0.5 + more).floor_()


def _mixed(matrix: Tensor, image_BCHW: Tensor) -> Tensor:
    return (matrix @ image_BCHW.flatten(2)).view(image_BCHW.shape)


@cache
def _steps(quality: int) -> np.ndarray:
    """Steps of luma and chroma, 2 x 64."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = (np.array([_LUMA_STEPS, _CHROMA_STEPS]) * scale + 50) // 100
    return steps.clip(1, 255).astype(np.float32)


@cache
def _matrix(device: torch.device) -> Tensor:
    return torch.tensor(_FROM_RGB, device=device)


@cache
def _inverse(device: torch.device) -> Tensor:
    return torch.from_numpy(np.linalg.inv(np.array(_FROM_RGB))).float().to(device)


@cache
def _transform(device: torch.device) -> Tensor:
    """The two-dimensional DCT of 64 values, row by row: 64 x 64, orthonormal."""
    k = np.arange(8)
    cosines = np.cos((2 * k + 1) * k[:, None] * np.pi / 16) * np.where(k == 0, 1 / np.sqrt(8), 0.5)[:, None]
    return torch.from_numpy(np.kron(cosines, cosines)).float().to(device)
