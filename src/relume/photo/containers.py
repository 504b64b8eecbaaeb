"""Metadata put into encoded files byte for byte.

libvips rebuilds EXIF tag by tag when it saves, which loses some tags and adds others. So it saves
pixels and colour profile only (of PNG, pixels only), and the rest is put in here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from relume.photo.metadata import photoshop_segments
from relume.photo.photo import Metadata

XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_LONGEST_SEGMENT = 65533
_MOST_BOXES = 1 << 16

# Where the blocks go: behind JPEG's start marker, and behind PNG's signature and header chunk.
INSERT_AT = {"jpeg": 2, "png": 33}
_LONGEST_META = 1 << 16
# Sizes of the fields of AVIF's table of places: offsets and lengths of 4 bytes, and starts of 4.
_FOUR_BYTES = (b"\x44\x40",)
# Size of the PNG chunk of the resolution.
_PHYS_SIZE = 21


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


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _dots(dpi: tuple[float, float], unit: float, most: int) -> list[int]:
    """The resolution as whole dots a unit, which is given in inches."""
    return [min(max(round(dots * unit), 1), most) for dots in dpi]


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    """The JFIF header, which libvips leaves out where it keeps no metadata."""
    across, down = _dots(dpi or (1, 1), 1, 65535)
    return b"JFIF\0\1\1" + struct.pack(">BHHBB", dpi is not None, across, down, 0, 0)


def jpeg_segments(about: Metadata) -> tuple[bytes, list[str]]:
    """The metadata as JPEG segments, and notes on blocks too long for one."""
    wanted: list[tuple[str, int, bytes]] = [("resolution", 0xE0, _jfif(about.dpi))]
    if about.exif:
        wanted.append(("EXIF", 0xE1, b"Exif\0\0" + about.exif))
    if about.xmp:
        wanted.append(("XMP", 0xE1, XMP_NAMESPACE + about.xmp))
    wanted += [("IPTC", 0xED, content) for content in photoshop_segments(about, _LONGEST_SEGMENT)]
    wanted += [(one.title, one.key, one.content) for one in about.parts if isinstance(one.key, int)]
    wanted += [("comment", 0xFE, comment) for comment in about.comments]
    fits = [one for one in wanted if len(one[2]) <= _LONGEST_SEGMENT]
    notes = [f"{name} dropped: too long for JPEG" for name, _, data in wanted if len(data) > _LONGEST_SEGMENT]
    return b"".join(_segment(marker, data) for _, marker, data in fits), notes


def _chunk(name: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(name + payload)
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", check)


def png_chunks(about: Metadata) -> bytes:
    """The metadata as PNG chunks."""
    chunks = b""
    if about.icc:
        chunks += _chunk(b"iCCP", b"icc\0\0" + zlib.compress(about.icc))
    if about.dpi:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *_dots(about.dpi, 1 / 0.0254, 2**31 - 1), 1))
    if about.exif:
        chunks += _chunk(b"eXIf", about.exif)
    if about.xmp:
        chunks += _chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + about.xmp)
    named = [*about.texts, *((one.key, one.content) for one in about.parts if isinstance(one.key, bytes))]
    return chunks + b"".join(_chunk(name, content) for name, content in named if name)


def trailer(about: Metadata) -> bytes:
    """What stands behind the end of a JPEG or PNG file."""
    return b"".join(one.content for one in about.parts if one.key == b"")


def _riff(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _riff_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def webp_with(data: bytes, about: Metadata, width: int, height: int, *, alpha: bool) -> bytes:
    """A WebP file with the metadata added."""
    if not about.exif and not about.xmp and not about.parts:
        return data
    chunks = [(name, body) for name, body in _riff_chunks(data) if name != b"VP8X"]
    icc = any(name == b"ICCP" for name, _ in chunks)
    flags = 0x20 * icc | 0x10 * alpha | 0x08 * bool(about.exif) | 0x04 * bool(about.xmp)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks.insert(0, (b"VP8X", struct.pack("<I", flags) + sides))
    chunks += [(b"EXIF", about.exif)] if about.exif else []
    chunks += [(b"XMP ", about.xmp)] if about.xmp else []
    chunks += [(one.key, one.content) for one in about.parts if isinstance(one.key, bytes)]
    body = b"WEBP" + b"".join(_riff(name, payload) for name, payload in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def put_exif_into_avif(file: BinaryIO, exif: bytes) -> None:
    """Let an AVIF file just written hold an EXIF block byte for byte, instead of the one rebuilt for it.

    The block goes behind the file's end, and the table of places (iloc, ISO/IEC 14496-12, 8.11.3) names it
    there. Where libheif writes that table in another form, the file is left as it is.
    """
    file.seek(0)
    head = file.read(_LONGEST_META)
    meta = next((box for box in boxes(head, 0, len(head)) if box[0] == b"meta"), None)
    inside = {} if meta is None else {name: (at, end) for name, at, end in boxes(head, meta[1] + 4, meta[2])}
    if not {b"iinf", b"iloc"} <= inside.keys():
        return
    place = _place_of(head, _exif_item(head, *inside[b"iinf"]), *inside[b"iloc"])
    if place is None:
        return
    block = struct.pack(">I", 6) + b"Exif\0\0" + exif
    end = file.seek(0, 2)
    file.write(struct.pack(">I", len(block) + 8) + b"mdat" + block)
    file.seek(place)
    file.write(struct.pack(">IHII", 0, 1, end + 8, len(block)))
    file.seek(0, 2)


def _exif_item(head: bytes, at: int, end: int) -> int:
    """The number of the item that holds EXIF, by the list of items (iinf); 0 if there is none."""
    for _, item, _ in boxes(head, at + 6, end):
        if head[item : item + 1] == b"\2" and head[item + 8 : item + 12] == b"Exif":
            return int.from_bytes(head[item + 4 : item + 6], "big")
    return 0


def _place_of(head: bytes, wanted: int, at: int, end: int) -> int | None:
    """Where in a table of places (version 0, fields of 4 bytes, one part an item) an item's place stands."""
    count = int.from_bytes(head[at + 6 : at + 8], "big")
    if head[at : at + 1] != b"\0" or head[at + 4 : at + 6] not in _FOUR_BYTES or end != at + 8 + 18 * count:
        return None
    for entry in range(at + 8, end, 18):
        number, _, _, extents = struct.unpack_from(">HHIH", head, entry)
        if number == wanted and extents == 1:
            return entry + 4
    return None


def inserting(write: Callable[[bytes], object], at: int, extra: bytes) -> Callable[[bytes], None]:
    """A writer that passes bytes on to `write`, with `extra` put in after the first `at` of them.

    The resolution that libvips writes into every PNG file, known or not, stands there, and is left out.
    """
    head = bytearray()
    waiting = True

    def write_through(chunk: bytes) -> None:
        nonlocal waiting
        if not waiting:
            write(chunk)
            return
        head.extend(chunk)
        if len(head) >= at + _PHYS_SIZE:
            waiting = False
            rest = at + (_PHYS_SIZE if head[at + 4 : at + 8] == b"pHYs" else 0)
            write(bytes(head[:at]) + extra + bytes(head[rest:]))

    return write_through
