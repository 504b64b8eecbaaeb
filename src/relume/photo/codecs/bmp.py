"""BMP, read by Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import BmpImagePlugin

from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import split
from relume.photo.refusals import MOST_DPI, check_size, damaged

# What Pillow raises for files that it cannot read.
_ERRORS = (ValueError, EOFError, SyntaxError, OSError, KeyError, IndexError, OverflowError, struct.error)
# How colours come out of each of Pillow's modes; a mode that is not here is a palette.
_MODES = {"1": "L", "L": "L", "RGB": "RGB", "RGBA": "RGBA"}


def read(opened: Opened, max_pixels: int) -> Photo:
    """Read a BMP file.

    Args:
        opened: the file, which is read whole.
        max_pixels: most pixels to accept, checked before any is decoded.

    Raises:
        InputInvalid: truncated or damaged, or of a kind that Pillow does not read.
        InputTooLarge: beyond `max_pixels`.
    """
    data, path = opened.whole(), opened.path
    try:
        # Not by `Image.open`, which prints warnings of its own of large pictures.
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
        width, height = image.size
        check_size(width, height, path, max_pixels)
        pixels = np.array(image.convert(_MODES.get(image.mode, "RGB")))
    except _ERRORS as error:
        raise damaged("BMP", "damaged, cut off, or of an unsupported kind", _short(error), path) from error
    rgb, alpha, grey = split(pixels.reshape(*pixels.shape[:2], -1))
    notes = () if image.mode in ("L", "RGB", "RGBA") else ("palette expanded to full colours",)
    dpi = image.info.get("dpi", (0, 0))
    about = Metadata(dpi=dpi if 1 < min(dpi) <= max(dpi) < MOST_DPI else None)
    return Photo(rgb, alpha, grey, about, "png", notes)


def _short(error: Exception) -> str:
    said = " ".join(str(error).split())
    return "".join(char for char in said if char.isprintable())[:90].rstrip(" .(")
