"""One enhancement: the global pass once, the local pass tile by tile, controls applied on the way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.engine import Engine
from relume.errors import InputTooLarge
from relume.options import Controls
from relume.photo import Photo, Pixels
from relume.pipeline.controls import LUMA_C, Adjustment, adjust, settle
from relume.pipeline.thumbnail import thumbnail
from relume.pipeline.tiles import Tile, tiles
from relume.zoo import Card

Array = npt.NDArray[np.float32]

WHOLE_LIMIT = 16_000_000
"""Pixels of the largest photo that a model takes which cannot be cut into tiles: some 3 GB of memory."""


PREVIEW = 160
"""Side of the thumbnail that a model of one graph is judged by, in pixels; others bring their own."""

_ROWS = 32
"""Rows finished at a time, so that they stay in the processor's cache."""


def enhance_photo(
    photo: Photo,
    card: Card,
    global_pass: Engine | None,
    local_pass: Engine,
    *,
    controls: Controls,
    tile: int = 0,
) -> Photo:
    """Enhance a photo; size, depth and everything but its colours stay.

    Args:
        photo: what to enhance; its arrays are not changed.
        card: the model's facts.
        global_pass: engine of `card.global_graph`, if it has one.
        local_pass: engine of `card.local_graph`.
        controls: what the result is to look like; a strength of 0, given or found, returns the photo itself.
        tile: side of a tile in pixels, 0 for the whole photo at once; changes memory, not the result. Models
            without a `halo` always take the whole photo.

    Raises:
        InputTooLarge: the photo must be taken whole, and is too large for that.
    """
    if controls.strength == 0:
        return photo
    pixels = photo.rgb_HWC
    overview = thumbnail(pixels, card.thumbnail_size or PREVIEW)
    conditioning = {} if global_pass is None else {"conditioning": global_pass.run(thumbnail=overview)}
    adjustment = settle(controls, overview[0], lambda: local_pass.run(image=overview, **conditioning)[0])
    if adjustment.strength == 0:
        return photo
    result = np.empty_like(pixels)
    for part in _parts(photo, card, tile):
        image = _to_network(pixels[part.rows.outer, part.columns.outer])
        enhanced = local_pass.run(image=image, **conditioning)
        kept = np.s_[0, :, part.rows.kept, part.columns.kept]
        shown = result[part.rows.inner, part.columns.inner]
        _finish(image[kept], enhanced[kept], adjustment, photo.grey, shown)
    return photo.with_pixels(result)


def _finish(
    image_3HW: Array, enhanced_3HW: Array, adjustment: Adjustment, grey: bool, pixels_HWC: Pixels
) -> None:
    """Apply the controls to a tile and write it into `pixels_HWC`; `enhanced_3HW` is used up."""
    for start in range(0, image_3HW.shape[1], _ROWS):
        rows = np.s_[start : start + _ROWS]
        strip_3HW = enhanced_3HW[:, rows]
        adjust(image_3HW[:, rows], strip_3HW, adjustment)
        _from_network(_as_grey(strip_3HW) if grey else strip_3HW, pixels_HWC[rows])


def _parts(photo: Photo, card: Card, tile: int) -> Iterator[Tile]:
    if card.halo is not None:
        return tiles(photo.height, photo.width, tile, card.halo, card.size_multiple)
    if photo.height * photo.width > WHOLE_LIMIT:
        raise InputTooLarge(
            f"model '{card.name}' takes whole photos of at most {WHOLE_LIMIT // 1_000_000} megapixels",
            "Make the photo smaller, or choose a model that works in tiles, such as the default.",
        )
    return tiles(photo.height, photo.width, 0, 0, card.size_multiple)


def _to_network(pixels_HWC: Pixels) -> Array:
    """Integers over their whole range, H x W x 3 -> float32 in [0, 1], 1 x 3 x H x W."""
    image = np.empty((1, 3, *pixels_HWC.shape[:2]), np.float32)
    scale = np.float32(1 / np.iinfo(pixels_HWC.dtype).max)
    for channel in range(3):
        np.multiply(pixels_HWC[..., channel], scale, out=image[0, channel], casting="unsafe")
    return image


def _from_network(image_3HW: Array, pixels_HWC: npt.NDArray[Any]) -> None:
    """float32 in [0, 1] -> integers over the whole range of `pixels_HWC`, rounded, into it.

    Channel by channel through one small buffer: twice as fast as whole arrays, and lighter.
    """
    scale = np.float32(np.iinfo(pixels_HWC.dtype).max)
    buffer = np.empty(image_3HW.shape[1:], np.float32)
    for channel in range(3):
        np.multiply(image_3HW[channel], scale, out=buffer)
        np.add(buffer, np.float32(0.5), out=buffer)
        pixels_HWC[..., channel] = buffer  # the cast cuts off, so 0.5 makes it round


def _as_grey(image_3HW: Array) -> Array:
    """A grey photo stays grey: the luma of the result, in all three channels."""
    luma_HW = np.tensordot(LUMA_C, image_3HW, axes=(0, 0))
    return np.broadcast_to(luma_HW, image_3HW.shape)
