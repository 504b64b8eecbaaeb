"""PNG, with the chunks of metadata and of other makers (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyvips

from relume.photo import metadata, vips
from relume.photo.codecs.base import Reader, sides
from relume.photo.codecs.extras import BEHIND, CLAIMS, MOST_BESIDE, MOST_PARTS, MOST_TEXT, Extras
from relume.photo.codecs.stream import dots, inserting, stream, trailer
from relume.photo.formats import FORMATS, HEAD_BYTES
from relume.photo.ifd import ReadAt
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Part, Photo

_PNG = FORMATS["png"]

_XMP_KEYWORD = b"XML:com.adobe.xmp"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Chunks that tell how pixels are stored or shown, or when they changed: written anew, or no loss.
_OWN_CHUNKS = frozenset(
    b"IHDR PLTE IDAT tRNS sBIT mDCv mDCV cLLi cLLI bKGD hIST sPLT tIME fcTL fdAT iDOT".split(b" ")
)
_LOWER_CASE = 0x20
# ImageMagick's form of EXIF, IPTC and XMP; its EXIF holds the orientation that pixels no longer have.
_RAW_PROFILE = b"Raw profile type "
# What PNG's chunks gAMA and cHRM hold for sRGB (white, red, green, blue as x and y, in 100 000ths), and how
# far off other writers of sRGB are.
_SRGB_GAMMA, _GAMMA_TOLERANCE = 45455, 1000
_SRGB_PRIMARIES, _PRIMARY_TOLERANCE = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), 500
# Behind the signature and the header's chunk.
_INSERT_AT = 33


class _Png(Reader):
    form = _PNG
    loader = "pngload_source"

    def unsupported(self) -> tuple[str, str] | None:
        if self.opened.read_at(12, 4) != b"CgBI":
            return None
        remedy = "Convert it to an ordinary PNG first, for example with pngdefry."
        return "PNG in the form of Apple's apps (CgBI)", remedy

    def declared_sizes(self) -> list[tuple[int, int]]:
        return sides(self.opened.read_at(0, HEAD_BYTES), [16])

    def extras(self) -> Extras:
        return _extras(self.opened.read_at)

    def states_dpi(self, image: pyvips.Image, beside: Extras) -> bool:
        return beside.resolution or metadata.states_resolution(vips.blob(image, "exif-data") or b"")


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _Png(opened).read(max_pixels)


def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
    """See `relume.photo.codecs.Writes`. One fixed filter is fast and still compresses well."""
    write = inserting(sink.write, _INSERT_AT, _written_chunks(about))
    stream("pngsave_target", image, sink, write, keep="none", compression=6, filter="sub")
    sink.write(trailer(about))
    return []


def _chunks(read_at: ReadAt) -> Iterator[tuple[bytes, int, int]]:
    """Name, and offset and size of the content, of a PNG file's chunks up to its end."""
    at = 8
    for _ in range(MOST_PARTS):
        head = read_at(at, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], at + 8, size
        if head[4:] == b"IEND":
            return
        at += 12 + size


def _extras(read_at: ReadAt) -> Extras:
    """What a PNG file holds, also behind its pixels: metadata, texts, unknown chunks, a trailer."""
    found = Extras()
    colours: dict[bytes, bytes] = {}
    room = MOST_TEXT
    for name, at, size in _chunks(read_at):
        if name in _TEXTS:
            text = read_at(at, min(size, room))
            room -= len(text)
            _add_text(found, name, text, size)
        elif name in (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"iCCP"):
            colours.setdefault(name, read_at(at, min(size, 32)))
        elif name not in _OWN_CHUNKS:
            _add_chunk(found, read_at, name, at, size)
    codes = colours.get(b"cICP", b"")
    found.codes = (codes[0], codes[1]) if len(codes) == 4 else (0, 0)
    found.codes_first = True
    found.profile = b"iCCP" in colours and not codes
    if not colours.keys() & {b"cICP", b"sRGB", b"iCCP"}:
        found.notes += _colour_notes(colours.get(b"gAMA", b""), colours.get(b"cHRM", b""))
    return found


def _add_chunk(found: Extras, read_at: ReadAt, name: bytes, at: int, size: int) -> None:
    if name == b"pHYs":
        dots = read_at(at, 9)
        found.resolution = dots[8:] == b"\1"
        found.shape(not found.resolution, dots[:4], dots[4:8])
    elif name == b"acTL":
        found.animated = True
    elif name == b"eXIf":
        found.exif = found.exif or read_at(at, min(size, MOST_TEXT))
    elif name == b"IEND":
        trailer = read_at(at + size + 4, MOST_BESIDE + 1)
        if trailer.strip(b"\0"):
            found.carry(Part(_PNG.name, BEHIND, b"", trailer))
    elif name == b"caBX":
        found.drop(CLAIMS)
    elif name.isalpha() and name[0] & name[3] & _LOWER_CASE:  # neither critical nor about these pixels
        found.carry(Part(_PNG.name, f"chunk {name.decode()}", name, read_at(at, min(size, MOST_BESIDE + 1))))
    else:
        found.drop(f"chunk {ascii(name)[2:-1]} dropped: it may not hold for changed pixels")


def _add_text(found: Extras, name: bytes, text: bytes, size: int) -> None:
    note = ""
    if name == b"iTXt" and text.startswith(_XMP_KEYWORD + b"\0"):
        found.xmp = found.xmp or _xmp_of(text)
    elif text.startswith(_RAW_PROFILE):
        note = "metadata in the form of ImageMagick dropped"
    elif len(text) < size:
        note = f"PNG text dropped: more than {MOST_TEXT >> 20} MiB"
    else:
        found.texts.append((name, text))
    if note:
        found.drop(note)


def _xmp_of(text: bytes) -> bytes | None:
    """The XMP packet in a text, behind its keyword, compression, language and translated keyword."""
    compressed = text[len(_XMP_KEYWORD) + 1 : len(_XMP_KEYWORD) + 2] == b"\1"
    content = text[len(_XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
    if compressed:
        try:
            content = zlib.decompressobj().decompress(content, MOST_TEXT)
        except zlib.error:
            return None
    return content or None


def _colour_notes(gamma: bytes, primaries: bytes) -> list[str]:
    """Notes on the colours that the chunks gAMA and cHRM state, where they are not about sRGB's."""
    notes: list[str] = []
    exponent = int.from_bytes(gamma, "big")
    if len(gamma) == 4 and exponent and abs(exponent - _SRGB_GAMMA) > _GAMMA_TOLERANCE:
        notes.append(f"brightness of gamma {100000 / exponent:.1f} read as if it were sRGB")
    stated = [int.from_bytes(primaries[at : at + 4], "big") for at in range(0, len(primaries), 4)]
    if len(primaries) == 32 and any(
        abs(value - srgb) > _PRIMARY_TOLERANCE for value, srgb in zip(stated, _SRGB_PRIMARIES, strict=True)
    ):
        notes.append("colours of other primaries read as if they were sRGB")
    return notes


def _chunk(name: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(name + payload)
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", check)


def _written_chunks(about: Metadata) -> bytes:
    """The metadata as PNG chunks."""
    chunks = b""
    if about.icc:
        chunks += _chunk(b"iCCP", b"icc\0\0" + zlib.compress(about.icc))
    if about.dpi:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *dots(about.dpi, 1 / 0.0254, 2**31 - 1), 1))
    if about.exif:
        chunks += _chunk(b"eXIf", about.exif)
    if about.xmp:
        chunks += _chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + about.xmp)
    named = [*about.texts, *((one.key, one.content) for one in about.parts if isinstance(one.key, bytes))]
    return chunks + b"".join(_chunk(name, content) for name, content in named if name)
