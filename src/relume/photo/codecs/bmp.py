"""BMP, read by Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import BmpImagePlugin

from relume.errors import InputInvalid
from relume.photo.codecs.array import as_photo
from relume.photo.formats import BMP
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.refusals import MOST_DPI, check_size, damaged

# What Pillow raises for files that it cannot read.
_ERRORS = (ValueError, EOFError, SyntaxError, OSError, KeyError, IndexError, OverflowError, struct.error)
# How colours come out of each of Pillow's modes; a mode that is not here is a palette.
# Size of the fifth version's header, and how it says that a profile is in the file.
_FIFTH, _EMBEDDED = (124).to_bytes(4, "little"), b"DEBM"
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
        raise _damaged(_short(error), path) from error
    notes = () if image.mode in ("L", "RGB", "RGBA") else ("palette expanded to full colours",)
    dpi = image.info.get("dpi", (0, 0))
    about = Metadata(icc=_profile(data), dpi=dpi if 1 < min(dpi) <= max(dpi) < MOST_DPI else None)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return as_photo(pixels, about, BMP, lambda said: _damaged(said, path), notes=notes)


def _profile(data: bytes) -> bytes | None:
    """The colour profile that a header of the fifth version names; it counts its place from its own start."""
    if data[14:18] != _FIFTH or data[70:74] != _EMBEDDED:
        return None
    at, size = struct.unpack_from("<II", data, 126)
    return data[14 + at : 14 + at + size] or None


def _damaged(said: str, path: str) -> InputInvalid:
    return damaged("BMP", "damaged, cut off, or of an unsupported kind", said, path)


def _short(error: Exception) -> str:
    said = " ".join(str(error).split())
    return "".join(char for char in said if char.isprintable())[:90].rstrip(" .(")
