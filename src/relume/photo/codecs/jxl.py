"""JPEG XL, read through the optional package `pillow-jxl-plugin` (libjxl)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.errors import MissingExtra, install
from relume.photo import metadata
from relume.photo.boxes import boxes
from relume.photo.codecs.array import as_photo
from relume.photo.codecs.extras import CLAIMS
from relume.photo.formats import JXL
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.refusals import check_size, damaged

_START = b"\xff\x0a"
# Bits of a side's length, by the two bits before them; and widths by height (ISO/IEC 18181-1, annex A).
_LENGTHS = (9, 13, 18, 30)
_LOST = {b"jhgm": metadata.GAIN_MAP, b"jumb": CLAIMS}
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def read(opened: Opened, max_pixels: int) -> Photo | bytes:
    """Read a JPEG XL file, which libjxl itself turns upright.

    Args:
        opened: the file, which is read whole.
        max_pixels: most pixels to accept, checked before any is decoded.

    Returns:
        The photo; the bytes of the JPEG file that it was made from, where it holds one.

    Raises:
        InputInvalid: truncated or damaged, or of floating-point pixels.
        InputTooLarge: beyond `max_pixels`, or more than memory holds.
        MissingExtra: `pillow-jxl-plugin` is not installed.
    """
    data, path = opened.whole(), opened.path
    try:
        decoder: Any = import_module("pillow_jxl").Decoder(num_threads=1)  # which has no types
    except ImportError:
        reason, remedy = "JPEG XL needs pillow-jxl-plugin", install("jxl")
        raise MissingExtra(reason, remedy, path=path) from None
    try:
        check_size(*_size(_codestream(data)), path, max_pixels)
        rebuilt, info, decoded, icc, found = decoder(data)
    except (ValueError, RuntimeError) as error:
        raise _failed(path) from error
    if rebuilt:
        return decoded
    pixels = _pixels(decoded, info)
    if pixels is None:
        raise damaged("JPEG XL", "of an unsupported kind", "floating-point pixels", path)
    about, dropped = _metadata({box.box_type: box.data for box in found}, icc)
    return as_photo(pixels, about, JXL, lambda said: _failed(path), dropped=dropped)


def _failed(path: str) -> Exception:
    return damaged("JPEG XL", "damaged, cut off, or of an unsupported kind", "", path)


def _codestream(data: bytes) -> bytes:
    """The first bytes of the compressed picture."""
    if data.startswith(_START):
        return data[:16]
    for name, start, end in boxes(data, 0, len(data)):
        if name in (b"jxlc", b"jxlp"):
            start += 4 if name == b"jxlp" else 0
            return data[start : min(end, start + 16)]
    raise ValueError("no picture")


def _size(head: bytes) -> tuple[int, int]:
    """Width and height by a picture's first bytes."""
    bits, at = int.from_bytes(head[2:], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    def side(small: int) -> int:
        return 8 * (1 + take(5)) if small else 1 + take(_LENGTHS[take(2)])

    small = take(1)
    height = side(small)
    ratio = take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return side(small), height


def _pixels(decoded: bytes, info: Any) -> npt.NDArray[Any] | None:
    """The pixels, H x W x C; None where they are not integers."""
    height, width = info.height, info.width
    bits = len(decoded) // (width * height * info.num_channels) * 8
    if info.mode.startswith("F") or bits not in (8, 16):
        return None
    kept = np.uint8 if bits == 8 else np.uint16
    return np.frombuffer(decoded, kept).reshape(height, width, -1).copy()


def _metadata(found: dict[bytes, bytes], icc: bytes | None) -> tuple[Metadata, list[str]]:
    """The metadata made upright, and what is dropped."""
    exif = found.get(b"Exif", b"")
    if exif[:2] not in (b"II", b"MM"):  # the offset of the header, which libjxl may have left out
        exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    exif, xmp, dropped = metadata.cleaned(exif, found.get(b"xml "))
    dropped += [note for name, note in _LOST.items() if name in found and note not in dropped]
    return Metadata(exif=exif, xmp=xmp, icc=icc or None), dropped
