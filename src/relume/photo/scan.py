"""What files hold that libvips does not tell, found by walking over their parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from relume.photo import ifd
from relume.photo.containers import XMP_KEYWORD
from relume.photo.formats import HEAD_BYTES
from relume.photo.ifd import ReadAt
from relume.photo.metadata import GAIN_MAP

_MOST_PARTS = 1 << 16
_MOST_TEXT = 8 << 20

_SCAN, _END = 0xDA, 0xD9
_APP0, _APP2, _COMMENT = 0xE0, 0xE2, 0xFE
_GAIN_MAP_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
_PICTURES = b"MPF\0"
_PICTURE_LIST = 0xB002
_MOST_PICTURES = 1000

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# ImageMagick's form of EXIF, IPTC and XMP; its EXIF holds the orientation that pixels no longer have.
_RAW_PROFILE = b"Raw profile type "
# What PNG's chunks gAMA and cHRM hold for sRGB (white, red, green, blue as x and y, in 100 000ths), and how
# far off other writers of sRGB are.
_SRGB_GAMMA, _GAMMA_TOLERANCE = 45455, 1000
_SRGB_PRIMARIES, _PRIMARY_TOLERANCE = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), 500

_AVIF_CODES = re.compile(rb"colrnclx(..)(..)", re.DOTALL)


@dataclass
class Extras:
    """What a file holds beside what libvips tells.

    Attributes:
        comments, texts: see `Metadata`.
        codes: primaries and brightness curve as code numbers (ITU-T H.273), 0 where there are none.
        resolution: a JPEG or PNG file states a resolution outside EXIF.
        pictures: in the file; previews do not count.
        animated: is an animation.
        dropped: what else is not read.
        notes: on colours that are not read as the file states them.
    """

    comments: list[bytes] = field(default_factory=list)
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    codes: tuple[int, int] = (0, 0)
    resolution: bool = False
    pictures: int = 1
    animated: bool = False
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _segments(read_at: ReadAt) -> Iterator[tuple[int, int, int]]:
    """Marker, and offset and size of the content, of a JPEG file's segments before its pixels."""
    at = 2
    for _ in range(_MOST_PARTS):
        head = read_at(at, 4)
        if head[:2] == b"\xff\xff":  # a fill byte
            at += 1
            continue
        if len(head) < 4 or head[0] != 0xFF or head[1] in (_SCAN, _END):
            return
        size = max(int.from_bytes(head[2:], "big"), 2)
        yield head[1], at + 4, size - 2
        at += 2 + size


def _jpeg(read_at: ReadAt) -> Extras:
    """What a JPEG file holds: comments, further pictures."""
    found = Extras()
    for marker, at, size in _segments(read_at):
        head = read_at(at, min(size, len(_GAIN_MAP_NAME)))
        if marker == _APP0 and head[:5] == b"JFIF\0":
            # One dot an inch stands for none, also to libvips.
            found.resolution = head[7:8] in (b"\1", b"\2") and b"\0\1" not in (head[8:10], head[10:12])
        elif marker == _APP2 and head == _GAIN_MAP_NAME:
            found.dropped = [GAIN_MAP]
        elif marker == _APP2 and head.startswith(_PICTURES):
            found.pictures = _count_pictures(read_at(at + len(_PICTURES), size - len(_PICTURES)))
        elif marker == _COMMENT and size:
            found.comments.append(read_at(at, size))
    return found


def _count_pictures(data: bytes) -> int:
    """How many pictures the list of a multi-picture file names, without previews of the first."""

    def read_at(at: int, size: int) -> bytes:
        return data[at : at + size]

    try:
        order, first = ifd.header(read_at)
        pictures = ifd.read(read_at, order, first, only=(_PICTURE_LIST,)).tags[_PICTURE_LIST].data
    except (ValueError, KeyError):
        return 1
    kind_at = 2 if order == "<" else 1  # in entries of 16 bytes; 1 is a preview
    kinds = pictures[kind_at : 16 * _MOST_PICTURES : 16]
    return max(sum(kind != 1 for kind in kinds), 1)


def _chunks(read_at: ReadAt) -> Iterator[tuple[bytes, int, int]]:
    """Name, and offset and size of the content, of a PNG file's chunks."""
    at = 8
    for _ in range(_MOST_PARTS):
        head = read_at(at, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], at + 8, size
        at += 12 + size


def _png(read_at: ReadAt) -> Extras:
    """What a PNG file holds: texts, an animation, and its colours where no profile states them."""
    found = Extras()
    colours: dict[bytes, bytes] = {}
    room = _MOST_TEXT
    for name, at, size in _chunks(read_at):
        if name in _TEXTS:
            text = read_at(at, min(size, room))
            room -= len(text)
            _add_text(found, name, text, size)
        elif name == b"pHYs":
            found.resolution = read_at(at + 8, 1) == b"\1"
        elif name == b"acTL":
            found.animated = True
        elif name in (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"iCCP"):
            colours.setdefault(name, read_at(at, min(size, 32)))
    codes = colours.get(b"cICP", b"")
    found.codes = (codes[0], codes[1]) if len(codes) == 4 else (0, 0)
    if not colours.keys() & {b"cICP", b"sRGB", b"iCCP"}:
        found.notes += _colour_notes(colours.get(b"gAMA", b""), colours.get(b"cHRM", b""))
    return found


def _add_text(found: Extras, name: bytes, text: bytes, size: int) -> None:
    note = ""
    if text.startswith(XMP_KEYWORD + b"\0"):
        return
    if text.startswith(_RAW_PROFILE):
        note = "metadata in the form of ImageMagick dropped"
    elif len(text) < size:
        note = f"PNG text dropped: more than {_MOST_TEXT >> 20} MiB"
    else:
        found.texts.append((name, text))
    if note and note not in found.dropped:
        found.dropped.append(note)


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


def _avif(read_at: ReadAt) -> Extras:
    """What an AVIF file holds: an animation, and the codes of its colours."""
    head = read_at(0, HEAD_BYTES)
    codes = _AVIF_CODES.search(head)
    primaries, curve = (b"", b"") if codes is None else codes.groups()
    return Extras(
        codes=(int.from_bytes(primaries, "big"), int.from_bytes(curve, "big")), animated=head[8:12] == b"avis"
    )


_READERS: dict[str, Callable[[ReadAt], Extras]] = {
    "jpeg": _jpeg,
    "png": _png,
    "avif": _avif,
}


def extras(read_at: ReadAt, name: str) -> Extras:
    """What a file of the format `name` (a key of `FORMATS`) holds."""
    return _READERS[name](read_at) if name in _READERS else Extras()
