"""GIF, of which the first picture is read."""

from __future__ import annotations

from relume.photo.codecs.base import Reader
from relume.photo.formats import GIF
from relume.photo.opened import Opened
from relume.photo.photo import Photo


class _Gif(Reader):
    form = GIF
    loader = "gifload_source"

    def declared_sizes(self) -> list[tuple[int, int]]:
        head = self.opened.read_at(0, 10)
        return [(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))]


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _Gif(opened).read(max_pixels)
