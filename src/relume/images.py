"""What people hold images in (arrays, Pillow's images) as a `Photo`, and back into the same kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np

from relume.arrays import Numbers
from relume.errors import UsageError
from relume.photo import Photo

Back: TypeAlias = Callable[[Photo], Any]

_BEYOND = 1
"""How far floats may leave [0, 1], as filters let them, and are clipped; farther ones mean another range."""

_MODES = ("L", "RGB", "RGBA")
"""Of Pillow's images whose pixels are taken as they are."""


def as_photo(image: object) -> tuple[Photo, Back]:
    """An image as a photo, and what makes an image of the first one's kind of a photo.

    Args:
        image: a `Photo`; sRGB pixels, H x W x 3, or H x W x 4 with alpha, or grey as H x W or H x W x 1, as
            uint8 or uint16 over their whole range or floats in [0, 1] (computed in 16 bits; a little beyond
            is clipped); or a Pillow image of mode L, RGB or RGBA, whose pixels
            count as sRGB and whose `info` stays.

    Raises:
        UsageError: anything else.
    """
    if isinstance(image, Photo):
        return image, lambda photo: photo
    if isinstance(image, np.ndarray):
        return _from_array(cast(Numbers, image))
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        return _from_pillow(image, pillow)
    raise UsageError(
        f"a {type(image).__name__} is not a photo",
        "Give a path, a Photo, a NumPy array or a Pillow image.",
    )


def _from_array(array: Numbers) -> tuple[Photo, Back]:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise UsageError(
            f"an array of shape {array.shape} is not an image",
            "Give height x width x 3, x 4 with alpha, or height x width for grey.",
        )
    pixels_HWC = _to_integers(array).reshape(*array.shape[:2], channels)
    alpha_HW = pixels_HWC[..., 3].copy() if channels == 4 else None
    grey = channels == 1
    rgb_HWC = np.repeat(pixels_HWC, 3, axis=2) if grey else np.ascontiguousarray(pixels_HWC[..., :3])

    def back(photo: Photo) -> Numbers:
        result_HWC = photo.rgb_HWC[..., :1] if grey else photo.rgb_HWC
        if array.dtype.kind == "f":
            result_HWC = (result_HWC / 65535).astype(array.dtype)
        if channels == 4:
            result_HWC = np.concatenate([result_HWC, array[..., 3:]], axis=2)
        return result_HWC.reshape(array.shape)

    return Photo(rgb_HWC, alpha_HW, grey), back


def _from_pillow(image: Any, pillow: Any) -> tuple[Photo, Back]:
    if image.mode not in _MODES:
        raise UsageError(
            f"a Pillow image of mode {image.mode} is not taken", "Convert it first: image.convert('RGB')."
        )
    photo, back = _from_array(np.asarray(image))

    def as_pillow(enhanced: Photo) -> Any:
        result = pillow.fromarray(back(enhanced))
        result.info = dict(image.info)
        return result

    return photo, as_pillow


def _to_integers(array: Numbers) -> Numbers:
    if array.dtype.name in ("uint8", "uint16"):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise UsageError(f"pixels are {array.dtype}", "Give uint8, uint16, or floats in [0, 1].")
    low, high = array.min(), array.max()
    if not (low >= -_BEYOND and high <= 1 + _BEYOND):  # not a number is neither
        raise UsageError(f"pixels go from {low} to {high}", "Give floats in [0, 1], or uint8 or uint16.")
    wide = array.astype(np.promote_types(array.dtype, np.float32), copy=False)  # 65535 is beyond float16
    return np.rint(np.clip(wide, 0, 1) * 65535).astype(np.uint16)
