"""libvips set up for untrusted files and little memory, and its errors made short."""

from __future__ import annotations

import logging
import re
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyvips
from pyvips.voperation import concurrency_set

# The cache keeps decoded pixels alive after their last use, and photos are large.
pyvips.cache_set_max(0)
# Loaders that libvips itself does not trust with hostile files stay off (SVG, PDF, ImageMagick...).
pyvips.block_untrusted_set(True)
# libvips' warnings come through here; without a handler Python would print them on stderr.
logging.getLogger("pyvips").addHandler(logging.NullHandler())

Image = pyvips.Image
Error = pyvips.Error

# Parts of libvips' messages that help nobody: who speaks, error numbers, and lines without content.
_PREFIX = re.compile(r"^(\w+: +)*(source input: +)?(Invalid input: +)?(Unspecified: +)?")
_TAIL = re.compile(r" *(at scanline 4294967295|\(\d+\.\d+\))")
_NOISE = (
    "unable to",
    "bad seek",
    "system error",
    "write error",
    "write failed",
    "libpng read error",
    "Success",
)


def limit_threads(count: int) -> None:
    """Let libvips take at most `count` threads a photo, most of all to encode AVIF; holds for the process."""
    concurrency_set(count)


def set_blob(image: pyvips.Image, name: str, value: bytes) -> None:
    """Attach a metadata block to `image`, which no other code may hold."""
    # pyvips declares no blobs here, though it takes them.
    image.set_type(pyvips.GValue.blob_type, name, cast(Any, value))


def blob(image: pyvips.Image, name: str) -> bytes | None:
    """A metadata block of `image`, or None."""
    if image.get_typeof(name) == 0:
        return None
    value = image.get(name)
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) and len(value) else None


def wrap(pixels: npt.NDArray[Any], *, grey: bool = False) -> pyvips.Image:
    """Look at an array (H x W x C, or H x W for one channel) as an image, without a copy.

    The image keeps the array alive. `grey` only chooses how libvips names one and two channels.
    """
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    deep = pixels.dtype == np.uint16
    image = Image.new_from_memory(pixels.data, width, height, channels, "ushort" if deep else "uchar")
    grey = grey or channels < 3
    name = ("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb")
    return image.copy(interpretation=name)


def pixels(image: pyvips.Image) -> npt.NDArray[Any]:
    """Compute the image into one array, H x W x C."""
    # pyvips leaves out the last axis of one channel, and every axis of one pixel.
    return image.numpy().reshape(image.height, image.width, image.bands)


def short_reason(error: pyvips.Error) -> str:
    """The part of libvips' message that tells most, in one short line; "" where it says nothing."""
    for line in str(error.detail or "").splitlines():
        text = _TAIL.sub("", _PREFIX.sub("", line.strip()))
        if text and not text.startswith(_NOISE):
            return "".join(char for char in text if char.isprintable())[:100].rstrip(" .(")
    return ""
