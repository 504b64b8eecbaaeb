"""GIF, of which the first picture is read (specification of version 89a)."""

from __future__ import annotations

from collections.abc import Iterator

from relume.photo.codecs.base import Reader
from relume.photo.codecs.extras import Extras
from relume.photo.formats import GIF
from relume.photo.ifd import ReadAt
from relume.photo.opened import Opened
from relume.photo.photo import Photo

_APPLICATION = b"\xff"
_LOST = {b"\xfe": "comment", b"XMP DataXMP": "XMP", b"ICCRGBG1012": "colour profile"}
_MOST_BLOCKS = 1 << 15


class _Gif(Reader):
    form = GIF
    loader = "gifload_source"

    def declared_sizes(self) -> list[tuple[int, int]]:
        head = self.opened.read_at(0, 10)
        return [(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))]

    def extras(self) -> Extras:
        found = Extras()
        for name in _extensions(self.opened.read_at):
            if name in _LOST:
                found.drop(f"{_LOST[name]} dropped")
        return found


def _extensions(read_at: ReadAt) -> Iterator[bytes]:
    """The kinds of a file's extensions up to its first picture, of applications' own the names."""
    at, inside = 13 + _table(read_at(10, 1)), False
    for _ in range(_MOST_BLOCKS):
        head = read_at(at, 14)
        if not inside and head[:1] != b"\x21":
            return
        if not inside:
            yield head[3:14] if head[1:2] == _APPLICATION else head[1:2]
            at += 2
            inside = True
        elif head[:1] > b"\0":
            at += 1 + head[0]
        else:
            at += 1
            inside = False


def _table(packed: bytes) -> int:
    """Bytes of the table of colours that stands behind a header."""
    return 3 << (packed[0] & 7) + 1 if packed and packed[0] & 0x80 else 0


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _Gif(opened).read(max_pixels)
