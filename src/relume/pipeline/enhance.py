"""One enhancement: the global pass once, the local pass tile by tile, strength applied on the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.engine import Engine
from relume.errors import InputTooLarge
from relume.photo import Photo, Pixels
from relume.pipeline.thumbnail import thumbnail
from relume.pipeline.tiles import Tile, tiles
from relume.zoo import Card

WHOLE_LIMIT = 16_000_000
"""Pixels of the largest photo that a model takes which cannot be cut into tiles: some 3 GB of memory."""


def enhance_photo(
    photo: Photo,
    card: Card,
    global_pass: Engine | None,
    local_pass: Engine,
    *,
    strength: float = 1.0,
    tile: int = 0,
) -> Photo:
    """Enhance a photo; size, depth and everything but its colours stay.

    Args:
        photo: what to enhance; its arrays are not changed.
        card: the model's facts.
        global_pass: engine of `card.global_graph`, if it has one.
        local_pass: engine of `card.local_graph`.
        strength: share of the change that is kept, in [0, 1]; 0 returns the photo itself.
        tile: side of a tile in pixels, 0 for the whole photo at once; changes memory, not the result. Models
            without a `halo` always take the whole photo.

    Raises:
        InputTooLarge: the photo must be taken whole, and is too large for that.
    """
    if strength == 0:
        return photo
    pixels = photo.rgb_HWC
    conditioning = _conditioning(pixels, card, global_pass)
    result = np.empty_like(pixels)
    for part in _parts(photo, card, tile):
        image = _to_network(pixels[part.rows.outer, part.columns.outer])
        enhanced = local_pass.run(image=image, **conditioning)
        kept = np.s_[..., part.rows.kept, part.columns.kept]
        blended = _blend(image[kept], enhanced[kept], strength)
        shown = _as_grey(blended) if photo.grey else blended
        _from_network(shown, result[part.rows.inner, part.columns.inner])
    return photo.with_pixels(result)


def _conditioning(pixels_HWC: Pixels, card: Card, global_pass: Engine | None) -> dict[str, Any]:
    """What the local pass is told of the whole photo; nothing where the model is one graph."""
    if global_pass is None or card.thumbnail_size is None:
        return {}
    return {"conditioning": global_pass.run(thumbnail=thumbnail(pixels_HWC, card.thumbnail_size))}


def _parts(photo: Photo, card: Card, tile: int) -> Iterator[Tile]:
    if card.halo is not None:
        return tiles(photo.height, photo.width, tile, card.halo, card.size_multiple)
    if photo.height * photo.width > WHOLE_LIMIT:
        raise InputTooLarge(
            f"model '{card.name}' takes whole photos of at most {WHOLE_LIMIT // 1_000_000} megapixels",
            "Make the photo smaller, or choose a model that works in tiles, such as the default.",
        )
    return tiles(photo.height, photo.width, 0, 0, card.size_multiple)


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
