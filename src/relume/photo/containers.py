"""EXIF, XMP and IPTC put into encoded files byte for byte.

libvips rebuilds EXIF tag by tag when it saves, which loses some tags and adds others. So it saves
pixels and colour profile only, and the blocks are put in here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from relume.photo.metadata import wrap_iptc
from relume.photo.photo import Metadata

_XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_LONGEST_SEGMENT = 65533

# Where the blocks go: behind JPEG's start marker, and behind PNG's signature and header chunk.
INSERT_AT = {"jpeg": 2, "png": 33}


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _jfif(dpi: float | None) -> bytes:
    """The JFIF header, which libvips leaves out where it keeps no metadata."""
    dots = 0 if dpi is None else min(max(round(dpi), 1), 65535)
    return b"JFIF\0\1\1" + struct.pack(">BHHBB", 1 if dots else 0, dots or 1, dots or 1, 0, 0)


def jpeg_segments(about: Metadata) -> tuple[bytes, list[str]]:
    """The metadata as JPEG segments, and notes on blocks too long for one."""
    wanted: list[tuple[str, int, bytes]] = [("resolution", 0xE0, _jfif(about.dpi))]
    if about.exif:
        wanted.append(("EXIF", 0xE1, b"Exif\0\0" + about.exif))
    if about.xmp:
        wanted.append(("XMP", 0xE1, _XMP_NAMESPACE + about.xmp))
    if about.iptc:
        wanted.append(("IPTC", 0xED, wrap_iptc(about.iptc)))
    fits = [one for one in wanted if len(one[2]) <= _LONGEST_SEGMENT]
    notes = [f"{name} dropped: too long for JPEG" for name, _, data in wanted if len(data) > _LONGEST_SEGMENT]
    return b"".join(_segment(marker, data) for _, marker, data in fits), notes


def _chunk(name: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(name + payload)
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", check)


def png_chunks(about: Metadata) -> bytes:
    """The metadata as PNG chunks."""
    chunks = _chunk(b"eXIf", about.exif) if about.exif else b""
    if about.xmp:
        chunks += _chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + about.xmp)
    return chunks


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
    if not about.exif and not about.xmp:
        return data
    chunks = [(name, body) for name, body in _riff_chunks(data) if name != b"VP8X"]
    icc = any(name == b"ICCP" for name, _ in chunks)
    flags = 0x20 * icc | 0x10 * alpha | 0x08 * bool(about.exif) | 0x04 * bool(about.xmp)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks.insert(0, (b"VP8X", struct.pack("<I", flags) + sides))
    chunks += [(b"EXIF", about.exif)] if about.exif else []
    chunks += [(b"XMP ", about.xmp)] if about.xmp else []
    body = b"WEBP" + b"".join(_riff(name, payload) for name, payload in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def inserting(write: Callable[[bytes], object], at: int, extra: bytes) -> Callable[[bytes], None]:
    """A writer that passes bytes on to `write`, with `extra` put in after the first `at` of them."""
    head = bytearray()
    waiting = bool(extra)

    def write_through(chunk: bytes) -> None:
        nonlocal waiting
        if not waiting:
            write(chunk)
            return
        head.extend(chunk)
        if len(head) >= at:
            waiting = False
            write(bytes(head[:at]) + extra + bytes(head[at:]))

    return write_through
