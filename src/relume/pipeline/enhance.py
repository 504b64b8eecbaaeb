"""One enhancement: the global pass once, the local pass tile by tile, strength applied on the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from relume.engine import Engine
from relume.photo import Photo, Pixels
from relume.pipeline.thumbnail import thumbnail
from relume.pipeline.tiles import tiles
from relume.zoo import Card


def enhance_photo(
    photo: Photo, card: Card, global_pass: Engine, local_pass: Engine, *, strength: float = 1.0, tile: int = 0
) -> Photo:
    """Enhance a photo; size, depth and everything but its colours stay.

    Args:
        photo: what to enhance; its arrays are not changed.
        card: the model's facts.
        global_pass: engine of `card.global_graph`.
        local_pass: engine of `card.local_graph`.
        strength: share of the change that is kept, in [0, 1]; 0 returns the photo itself.
        tile: side of a tile in pixels, 0 for the whole photo at once; changes memory, not the result.
    """
    if strength == 0:
        return photo
    pixels = photo.rgb_HWC
    conditioning = global_pass.run(thumbnail=thumbnail(pixels, card.thumbnail_size))
    result = np.empty_like(pixels)
    for part in tiles(photo.height, photo.width, tile, card.halo, card.size_multiple):
        image = _to_network(pixels[part.rows.outer, part.columns.outer])
        enhanced = local_pass.run(image=image, conditioning=conditioning)
        kept = np.s_[..., part.rows.kept, part.columns.kept]
        blended = _blend(image[kept], enhanced[kept], strength)
        shown = _as_grey(blended) if photo.grey else blended
        _from_network(shown, result[part.rows.inner, part.columns.inner])
    return photo.with_pixels(result)


def _to_network(pixels_HWC: Pixels) -> npt.NDArray[np.float32]:
    """Integers over their whole range, H x W x 3 -> float32 in [0, 1], 1 x 3 x H x W."""
    image = np.empty((1, 3, *pixels_HWC.shape[:2]), np.float32)
    scale = np.float32(1 / np.iinfo(pixels_HWC.dtype).max)
    for channel in range(3):
        np.multiply(pixels_HWC[..., channel], scale, out=image[0, channel], casting="unsafe")
    return image


def _from_network(image_1CHW: npt.NDArray[np.float32], pixels_HWC: npt.NDArray[Any]) -> None:
    """float32 in [0, 1] -> integers over the whole range of `pixels_HWC`, rounded, into it.

    Channel by channel through one small buffer: twice as fast as whole arrays, and lighter.
    """
    scale = np.float32(np.iinfo(pixels_HWC.dtype).max)
    buffer = np.empty(image_1CHW.shape[2:], np.float32)
    for channel in range(3):
        np.multiply(image_1CHW[0, channel], scale, out=buffer)
        np.add(buffer, np.float32(0.5), out=buffer)
        pixels_HWC[..., channel] = buffer  # the cast cuts off, so 0.5 makes it round


def _blend(
    image: npt.NDArray[np.float32], enhanced: npt.NDArray[np.float32], strength: float
) -> npt.NDArray[np.float32]:
    if strength == 1:
        return enhanced
    return (image + np.float32(strength) * (enhanced - image)).astype(np.float32, copy=False)


def _as_grey(image_1CHW: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A grey photo stays grey: the Rec. 601 luma of the result, in all three channels."""
    luma_1HW = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), image_1CHW, axes=(0, 1))
    return np.repeat(luma_1HW[:, None], 3, axis=1)
