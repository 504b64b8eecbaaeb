"""The boxes that ISO media files (AVIF, HEIC, JPEG XL) are made of (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator

_MOST_BOXES = 1 << 16


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two offsets of an ISO media file: name, and offsets of content and end."""
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        after = at + size if size else end
        if after < start:
            raise ValueError("a box is damaged")
        yield data[at + 4 : at + 8], start, min(after, end)
        at = after
    raise ValueError("too many boxes")
