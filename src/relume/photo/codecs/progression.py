"""Progressive JPEG files whose scans do not follow one another as they should (ITU-T T.81, annex G).

libjpeg only warns of them, once, and then of nothing more: damage behind the warning would pass. So a second
file is made of the same compressed data, whose scans do follow one another. What libjpeg warns of there is
damage.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from relume.photo.codecs.segments import SCAN, Part, parts

CONTRADICTION = "Inconsistent progression"
"""How libjpeg's warning begins."""

NOTE = "scans of the JPEG file that contradict one another read as other programs do"

_PROGRESSIVE, _TABLES, _RESTARTS = 0xC2, 0xC4, 0xDD
# The only code of a table: for a difference of zero, or for a run of empty blocks, and bits and length of it.
_ZERO, _EMPTY_RUN = 0, 0xE0
_RUN_BITS, _RUN = 15, 1 << 14


def in_order(data: bytes) -> bytes | None:
    """A file of the same compressed data, all of it in order; its picture means nothing.

    First scans of coefficients are coded in another way than those that refine them, but whatever bits they
    tell. So first scans claim to tell the last bit, too, and before each that refines stands a first scan of
    empty blocks that leaves one bit to be told.

    Returns:
        None where that is no progressive file of Huffman's codes, or a scan refines what is not there, or is
        told already: then pixels are damaged.
    """
    listed = list(parts(lambda at, size: data[at : at + size]))
    frame = next((part for part in listed if part.marker == _PROGRESSIVE), None)
    if frame is None:
        return None
    try:
        blocks = _blocks(data[frame.at : frame.at + frame.size])
        return _File(data, blocks).rewritten(listed)
    except (ValueError, LookupError, ZeroDivisionError, struct.error):
        return None


def _blocks(frame: bytes) -> dict[int, int]:
    """Blocks of each component by a frame's header."""
    height, width = struct.unpack_from(">HH", frame, 1)
    factors = {frame[at]: divmod(frame[at + 1], 16) for at in range(6, 6 + 3 * frame[5], 3)}
    most_across, most_down = (max(one[axis] for one in factors.values()) for axis in (0, 1))
    return {
        name: -(-width * across // (8 * most_across)) * -(-height * down // (8 * most_down))
        for name, (across, down) in factors.items()
    }


@dataclass
class _File:
    """A file on its way into another.

    Attributes:
        blocks: of each component.
        known: the lowest bit that scans told so far, by component and coefficient.
        tables: segments of codes so far.
        restarts: the last segment that told how often decoding begins anew.
    """

    data: bytes
    blocks: dict[int, int]
    known: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    tables: bytes = b""
    restarts: bytes = b""

    def rewritten(self, listed: list[Part]) -> bytes:
        pieces: list[bytes] = []
        copied = 0
        for part in listed:
            start, end = part.at - 4, part.at + part.size
            if part.marker == _TABLES:
                self.tables += self.data[start:end]
            elif part.marker == _RESTARTS:
                self.restarts = self.data[start:end]
            elif part.marker == SCAN:
                pieces += [self.data[copied:start], *self._scan(self.data[part.at : end])]
                copied = end
        return b"".join((*pieces, self.data[copied:]))

    def _scan(self, header: bytes) -> list[bytes]:
        """A scan's header, perhaps behind scans of empty blocks."""
        names, (first, last, bits) = list(header[1:-3:2]), header[-3:]
        before, after = divmod(bits, 16)
        # No scan of other coefficients may come before one of the first, the mean of a block.
        pieces = [] if self.known else [self._empty(list(self.blocks), 0, 0, 0)]
        for place in ((name, place) for name in names for place in range(first, last + 1)):
            if before and self.known[place] != before:
                raise ValueError("a scan refines what is not there, or is told already")
            self.known[place] = after
        if before:
            pieces.append(self._empty(names, first, last, 1))
        return [*pieces, _segment(SCAN, header[:-1] + (b"\x10" if before else b"\0"))]

    def _empty(self, names: list[int], first: int, last: int, bit: int) -> bytes:
        """First scans of empty blocks, one for each component, that tell all bits from `bit` on."""
        kind, code = (0x10, _EMPTY_RUN) if first else (0, _ZERO)
        table = _segment(_TABLES, bytes((kind, 1, *bytes(15), code)))
        scans = b"".join(
            _segment(SCAN, bytes((1, name, 0, first, last, bit))) + _zeros(self._bits(name, first))
            for name in names
        )
        return _segment(_RESTARTS, bytes(2)) + table + scans + self.restarts + self.tables

    def _bits(self, name: int, first: int) -> int:
        """Bits of a scan of empty blocks."""
        return _RUN_BITS * -(-self.blocks[name] // _RUN) if first else self.blocks[name]


def _zeros(count: int) -> bytes:
    """So many bits of zero; those that fill the last byte are ones."""
    whole, rest = divmod(count, 8)
    return bytes(whole) + (bytes((0xFF >> rest,)) if rest else b"")


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
