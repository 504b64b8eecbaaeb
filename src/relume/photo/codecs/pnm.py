"""PNM (PBM, PGM and PPM), as text and as bytes, of any depth up to 16 bits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.photo.opened import Opened
from relume.photo.photo import Photo
from relume.photo.pixels import split
from relume.photo.refusals import check_size, damaged

# Kind, width, height and, except for bits, the largest value: between spaces and comments, then one space.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_SIZE = rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})"
_HEADER = {False: re.compile(_SIZE + _GAP + rb"(\d{1,5})\s"), True: re.compile(_SIZE + rb"()\s")}
_LONGEST_HEADER = 1 << 16
_MOST = 65535
_BITS = (b"P1", b"P4")
_TEXTS = (b"P1", b"P2", b"P3")
_COLOURS = (b"P3", b"P6")


def read(opened: Opened, max_pixels: int) -> Photo:
    """Read a PNM file; what is no depth of 8 or 16 bits is scaled to one, with a note.

    Args:
        opened: the file, which is read whole; pictures behind the first are left out.
        max_pixels: most pixels to accept, checked before any is decoded.

    Raises:
        InputInvalid: truncated or damaged.
        InputTooLarge: beyond `max_pixels`.
    """
    data, path = opened.whole(), opened.path
    kind = data[:2]
    head = _HEADER[kind in _BITS].match(data[:_LONGEST_HEADER])
    width, height, largest = (int(head[index] or 1) for index in (2, 3, 4)) if head else (0, 0, 0)
    if head is None or not (width and height and largest and largest <= _MOST):
        raise damaged("PNM", "damaged", "its header makes no sense", path)
    check_size(width, height, path, max_pixels)
    shape = (height, width, 3 if kind in _COLOURS else 1)
    try:
        values = _values(data, head.end(), kind, shape, largest)
    except ValueError:  # words among the numbers
        values = None
    if values is None or values.min() < 0 or values.max() > largest:
        raise damaged("PNM", "cut off or damaged", "", path)
    if kind in _BITS:
        values = 1 - values.astype(np.uint8)  # of which 1 is black
    rgb, alpha, grey = split(_scaled(values, largest))
    return Photo(rgb, alpha, grey, format="png", notes=_notes(largest))


def _values(
    data: bytes, at: int, kind: bytes, shape: tuple[int, int, int], largest: int
) -> npt.NDArray[Any] | None:
    """The numbers as they stand in the file; None if there are too few, or other things."""
    height, width, _ = shape
    count, size = height * width * shape[2], len(data) - at
    if kind == b"P4":
        row = (width + 7) // 8
        if size < row * height:
            return None
        packed = np.frombuffer(data, np.uint8, row * height, at).reshape(height, row)
        return np.unpackbits(packed, axis=1)[:, :width, None]
    if kind == b"P1":  # digits that nothing need part
        found = np.frombuffer(data, np.uint8, size, at) - np.uint8(ord("0"))
        found = found[found <= 1]
    elif kind in _TEXTS:
        # Where numbers are missing, NumPy takes none for 0, but not before what is no value of a file.
        whole = size >= 2 * count - 1
        found = np.fromstring(data[at:] + b" 99999", np.int32, count, sep=" ") if whole else np.empty(0)
    else:
        kept = np.dtype(np.uint8 if largest < 256 else ">u2")
        found = np.frombuffer(data, kept, min(count, size // kept.itemsize), at)
    return found[:count].reshape(shape) if found.size >= count else None


def _scaled(values: npt.NDArray[Any], largest: int) -> npt.NDArray[Any]:
    """Values up to `largest` over the whole range of 8 or 16 bits."""
    top = 255 if largest < 256 else _MOST
    kept = np.uint8 if top == 255 else np.uint16
    if largest == top:
        return values.astype(kept)
    table = np.rint(np.arange(largest + 1) * (top / largest)).astype(kept)
    return table[values]


def _notes(largest: int) -> tuple[str, ...]:
    if largest in (255, _MOST):
        return ()
    return (f"values up to {largest} spread over {8 if largest < 256 else 16} bits",)
