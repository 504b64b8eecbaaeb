"""Reading photos: header first, limits next, pixels last, straight into one array."""

from __future__ import annotations

from dataclasses import replace

from relume.errors import InputTooLarge
from relume.options import DEFAULT_MAX_PIXELS
from relume.photo.codecs import reader
from relume.photo.formats import HEAD_BYTES, sniff
from relume.photo.opened import Opened, Source, in_memory, opened
from relume.photo.photo import Photo
from relume.photo.refusals import no_memory

MAX_BYTES = 512 << 20


def read_photo(source: Source, *, max_pixels: int = DEFAULT_MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Photo:
    """Read a photo: upright, with sRGB's curve, at the bit depth of its file.

    The formats (`relume.photo.formats.READABLE`) are told apart by their content, never by their name.
    The limits are checked on the header, before any pixel is decoded.

    >>> from relume import read_photo
    >>> photo = read_photo("night.jpg")
    >>> photo.rgb_HWC.shape, photo.rgb_HWC.dtype, photo.notes
    ((24, 32, 3), dtype('uint8'), ())

    Args:
        source: a file, or the bytes of one.
        max_pixels: most pixels (width x height) to accept.
        max_bytes: largest file to accept.

    Returns:
        The photo; `notes` say what reading had to change.

    Raises:
        InputUnreadable: missing, a folder, a pipe or device, or no permission.
        InputInvalid: not one of the formats, truncated, damaged, or pixels of an unsupported kind.
        InputTooLarge: beyond `max_pixels` or `max_bytes`, or more than memory holds.
        MissingExtra: HEIC, JPEG XL or camera raw, and the optional package that reads it is not installed.
        UsageError: neither a path nor bytes.
    """
    with opened(source) as file:
        if file.size > max_bytes:
            raise InputTooLarge(
                f"the file has {file.size:,} bytes, more than the limit of {max_bytes:,}",
                "Save it smaller first; from Python, `max_bytes` raises the limit.",
                path=file.path,
            )
        try:
            return _read(file, max_pixels)
        except MemoryError:
            raise no_memory(file.path) from None


def _read(file: Opened, max_pixels: int) -> Photo:
    """Read a photo by the reader of its format, and one that holds another file by that one's."""
    kind = sniff(file.read_at(0, HEAD_BYTES), file.path)
    photo = reader(kind).read(file, max_pixels)
    if isinstance(photo, Photo):
        return photo
    return replace(_read(in_memory(photo, file.path), max_pixels), stored="")
