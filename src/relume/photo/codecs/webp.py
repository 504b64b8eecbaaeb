"""WebP, a file of RIFF's chunks (RFC 9649)."""

from __future__ import annotations

import struct
from typing import BinaryIO

import pyvips

from relume.photo.codecs.base import Reader
from relume.photo.codecs.extras import BEHIND, CLAIMS, MOST_BESIDE, MOST_PARTS, Extras
from relume.photo.codecs.stream import trailer
from relume.photo.formats import FORMATS
from relume.photo.ifd import ReadAt
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Part, Photo

_WEBP = FORMATS["webp"]

_OWN_CHUNKS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "))


class _WebP(Reader):
    form = _WEBP
    loader = "webpload_source"

    def extras(self) -> Extras:
        return _extras(self.opened.read_at)


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _WebP(opened).read(max_pixels)


def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
    """See `relume.photo.codecs.Writes`."""
    data = pyvips.Operation.call("webpsave_buffer", image, keep="icc", effort=4, alpha_q=100, Q=quality)
    sink.write(_with_metadata(data, about, image.width, image.height, alpha=image.hasalpha()))
    sink.write(trailer(about))
    return []


def _extras(read_at: ReadAt) -> Extras:
    """What a WebP file holds: chunks of other makers, a trailer."""
    found = Extras()
    size = int.from_bytes(read_at(4, 4), "little")
    at, end = 12, 8 + size + size % 2
    for _ in range(MOST_PARTS):
        head = read_at(at, 8)
        if len(head) < 8 or at >= end:
            break
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"C2PA":
            found.drop(CLAIMS)
        elif name not in _OWN_CHUNKS:
            title = f"chunk {ascii(name)[2:-1]}"
            found.carry(Part(_WEBP.name, title, name, read_at(at + 8, min(size, MOST_BESIDE + 1))))
        at += 8 + size + size % 2
    behind = read_at(end, MOST_BESIDE + 1)
    if behind.strip(b"\0"):
        found.carry(Part(_WEBP.name, BEHIND, b"", behind))
    return found


def _riff(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def _with_metadata(data: bytes, about: Metadata, width: int, height: int, *, alpha: bool) -> bytes:
    """A WebP file with the metadata added."""
    if not about.exif and not about.xmp and not about.parts:
        return data
    chunks = [(name, body) for name, body in _chunks(data) if name != b"VP8X"]
    icc = any(name == b"ICCP" for name, _ in chunks)
    flags = 0x20 * icc | 0x10 * alpha | 0x08 * bool(about.exif) | 0x04 * bool(about.xmp)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks.insert(0, (b"VP8X", struct.pack("<I", flags) + sides))
    chunks += [(b"EXIF", about.exif)] if about.exif else []
    chunks += [(b"XMP ", about.xmp)] if about.xmp else []
    chunks += [(one.key, one.content) for one in about.parts if isinstance(one.key, bytes) and one.key]
    body = b"WEBP" + b"".join(_riff(name, payload) for name, payload in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body
