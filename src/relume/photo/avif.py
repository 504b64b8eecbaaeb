"""AVIF: the range of its transparency, which libheif takes for the whole one whatever the file says.

The file is one of boxes (ISO/IEC 14496-12), its pictures are of AV1 (its specification, section 5.5).
"""

from __future__ import annotations

from collections.abc import Iterator

from relume.photo.containers import boxes
from relume.photo.ifd import ReadAt

_LONGEST_META = 1 << 20
_MOST_ITEMS = 1000
_PICTURE_HEAD = 256
_SEQUENCE_HEADER = 1
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")


def has_limited_alpha(read_at: ReadAt) -> bool:
    """Whether the transparency of a file uses 16 to 235 of its 256 levels, or as much of more."""
    head = read_at(0, _LONGEST_META)
    try:
        _, start, end = next(box for box in boxes(head, 0, len(head)) if box[0] == b"meta")
        inside = {name: head[at:stop] for name, at, stop in boxes(head, start + 4, end)}
        alpha = set(_alpha_items(inside[b"iprp"]))
        for item, at, size in _places(inside[b"iloc"]):
            if item in alpha:
                return _is_limited(read_at(at, min(size, _PICTURE_HEAD)))
    except (ValueError, KeyError, StopIteration):
        return False
    return False


def _alpha_items(properties: bytes) -> Iterator[int]:
    """Numbers of the items that are transparency, by the box of properties (iprp)."""
    inside = {name: properties[at:end] for name, at, end in boxes(properties, 0, len(properties))}
    held, linked = inside[b"ipco"], _Bits(inside[b"ipma"])
    wanted = {
        index
        for index, (name, at, end) in enumerate(boxes(held, 0, len(held)), 1)
        if name == b"auxC" and held[at + 4 : end].startswith(_ALPHA)
    }
    version, flags = linked.take(8), linked.take(24)
    for _ in range(min(linked.take(32), _MOST_ITEMS)):
        item = linked.take(32 if version else 16)
        size = 15 if flags & 1 else 7
        links = [linked.take(size + 1) & ((1 << size) - 1) for _ in range(linked.take(8))]
        if wanted.intersection(links):
            yield item


def _places(table: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, and offset and size of the first part, of each item that stands in the file itself (iloc)."""
    bits = _Bits(table)
    version, _ = bits.take(8), bits.take(24)
    offset, length, base, index = (8 * bits.take(4) for _ in range(4))
    for _ in range(min(bits.take(32 if version == 2 else 16), _MOST_ITEMS)):
        item = bits.take(32 if version == 2 else 16)
        method = bits.take(16) & 15 if version else 0
        bits.take(16)
        start = bits.take(base)
        parts: list[tuple[int, int]] = []
        for _ in range(bits.take(16)):
            bits.take(index if version else 0)
            parts.append((start + bits.take(offset), bits.take(length)))
        if parts and method == 0:
            yield item, *parts[0]


def _is_limited(picture: bytes) -> bool:
    """Whether a picture of one channel says so in its sequence header."""
    bits = _Bits(picture)
    while True:
        kind, extended, sized = bits.take(5) & 15, bits.take(1), bits.take(1)
        bits.take(1 + 8 * extended)
        size = bits.leb128() if sized else 0
        if kind == _SEQUENCE_HEADER:
            return _range_of(bits) == 0
        bits.take(8 * size)


def _range_of(bits: _Bits) -> int:
    """The bit of the range in a sequence header; 1 where there is none, or more than one channel."""
    profile, _, reduced = bits.take(3), bits.take(1), bits.take(1)
    if reduced:
        bits.take(5)
    elif not _skip_operating_points(bits):
        return 1
    across, down = 1 + bits.take(4), 1 + bits.take(4)
    bits.take(across + down)
    if not reduced and bits.take(1):  # numbers of frames
        bits.take(7)
    bits.take(3)
    if not reduced:
        bits.take(4)
        ordered = bits.take(1)
        bits.take(2 * ordered)
        if (1 if bits.take(1) else bits.take(1)) and not bits.take(1):  # screen content
            bits.take(1)
        bits.take(3 * ordered)
    bits.take(3)
    deep = bits.take(1)
    bits.take(1 if profile == 2 and deep else 0)
    one_channel = 0 if profile == 1 else bits.take(1)
    if bits.take(1):
        bits.take(24)
    return bits.take(1) if one_channel else 1


def _skip_operating_points(bits: _Bits) -> bool:
    """Step over how a video is played; False where it is told at length, which no still picture needs."""
    if bits.take(1):  # times
        return False
    delayed = bits.take(1)
    for _ in range(1 + bits.take(5)):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delayed and bits.take(1):
            bits.take(4)
    return True


class _Bits:
    """Reads numbers of any count of bits, the highest first; a ValueError where the bytes end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, count: int) -> int:
        start, self.at = self.at, self.at + count
        if self.at > 8 * len(self._data):
            raise ValueError("the bytes end too soon")
        piece = self._data[start // 8 : -(-self.at // 8)]
        return int.from_bytes(piece, "big") >> (-self.at % 8) & ((1 << count) - 1)

    def leb128(self) -> int:
        """A number of seven bits a byte, the lowest first."""
        value = 0
        for place in range(8):
            more, seven = self.take(1), self.take(7)
            value |= seven << 7 * place
            if not more:
                break
        return value
