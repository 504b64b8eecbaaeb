"""Pixels in place: bit depth spread, turned upright, split into colours and alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from relume.photo.photo import Pixels

# Rows handled at once where pixels are moved in place.
_ROWS = 256


def fill_range(pixels: npt.NDArray[Any], bits: int) -> None:
    """Spread 10 or 12 bits, which the decoder leaves in the upper bits, over the whole 16-bit range.

    Repeating the upper bits in the empty lower ones is exact at both ends, and dropping them again
    gives back the value that was read.
    """
    if pixels.dtype == np.uint16 and 8 < bits < 16:
        for top in range(0, pixels.shape[0], _ROWS):
            rows = pixels[top : top + _ROWS]
            rows |= rows >> bits


def whole_range(channel: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """A channel of the range of video, 16 to 235 of 256 levels, over the whole range.

    Args:
        channel: H x W, spread over its type's range.
        bits: of the file.
    """
    top = int(np.iinfo(channel.dtype).max)
    unit = top / (2**bits - 1) * 2 ** (bits - 8)
    table = np.rint(np.clip((np.arange(top + 1) - 16 * unit) / (219 * unit), 0, 1) * top).astype(
        channel.dtype
    )
    return table[channel]


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn and mirror pixels as EXIF orientation 1..8 asks."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def is_grey(rgb_HWC: npt.NDArray[Any]) -> bool:
    """Whether all pixels have R = G = B; a few tell it of nearly every photo in colour."""
    some = rgb_HWC[:: rgb_HWC.shape[0] // 64 + 1, :: rgb_HWC.shape[1] // 64 + 1]
    strips = (rgb_HWC[top : top + _ROWS] for top in range(0, rgb_HWC.shape[0], _ROWS))
    return _equal(some) and all(_equal(strip) for strip in strips)


def _equal(rgb_HWC: npt.NDArray[Any]) -> bool:
    return all(np.array_equal(rgb_HWC[..., 0], rgb_HWC[..., channel]) for channel in (1, 2))


def split(pixels: npt.NDArray[Any]) -> tuple[Pixels, Pixels | None, bool]:
    """RGB, alpha and whether the photo is grey, of 1..4 channels."""
    channels = pixels.shape[2]
    alpha = pixels[..., -1].copy() if channels in (2, 4) else None
    if channels < 3:
        return np.repeat(pixels[..., :1], 3, axis=2), alpha, True
    return (pixels if channels == 3 else _squeeze_rgb(pixels)), alpha, False


def _squeeze_rgb(pixels: npt.NDArray[Any]) -> Pixels:
    """RGB of RGBA as one block, moved together inside the same memory: a copy would need it twice."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(-1)
    for top in range(0, height, _ROWS):
        rows = pixels[top : top + _ROWS, :, :3].reshape(-1)  # a copy, so overlapping is safe
        flat[top * width * 3 : top * width * 3 + rows.size] = rows
    return flat[: height * width * 3].reshape(height, width, 3)
