"""What files hold that libvips does not tell, found by walking over their parts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from relume.photo import ifd
from relume.photo.containers import XMP_KEYWORD, XMP_NAMESPACE
from relume.photo.formats import HEAD_BYTES
from relume.photo.ifd import ReadAt
from relume.photo.jpeg import APP0, APP14, END
from relume.photo.jpeg import parts as segments
from relume.photo.metadata import (
    GAIN_MAP,
    PHOTOSHOP,
    beside_tiff,
    photoshop_of_tiff,
    split_photoshop,
    tiff_directory,
)
from relume.photo.photo import Part

_MOST_PARTS = 1 << 16
_MOST_TEXT = 8 << 20
_MOST_BESIDE, _MOST_CARRIED = 128 << 20, 5000
"""Most bytes of parts that are carried on, and are read at once; and most parts."""

_APPS = range(0xE0, 0xF0)
_APP1, _APP2, _APP11, _APP13, _COMMENT = 0xE1, 0xE2, 0xEB, 0xED, 0xFE
_EXIF_NAME = b"Exif\0\0"
_EXTENDED_XMP_NAME = b"http://ns.adobe.com/xmp/extension/\0"
_GAIN_MAP_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
_PICTURES = b"MPF\0"
# Segments that tell how pixels are stored, or hold a thumbnail: they are written anew, or are no loss.
_OWN_SEGMENTS = ((APP0, b"JFIF\0"), (APP0, b"JFXX\0"), (_APP2, b"ICC_PROFILE\0"), (APP14, b"Adobe"))
_PICTURE_LIST = 0xB002
_MOST_PICTURES = 1000

CLAIMS = "content credentials (C2PA) or another JUMBF block dropped: they do not hold for changed pixels"

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

_OWN_RIFF_CHUNKS = frozenset(
    (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP ")
)

_MOST_BOXES = 1000
_AVIF_GAIN_MAP = re.compile(rb"infe[\2\3].{5,9}tmap", re.DOTALL)
_AVIF_CODES = re.compile(rb"colrnclx(..)(..)", re.DOTALL)


@dataclass
class Extras:
    """What a file holds beside what libvips tells.

    Attributes:
        exif, xmp, iptc, resources, comments, texts, parts: see `Metadata`, as they stand in the file.
        codes: primaries and brightness curve as code numbers (ITU-T H.273), 0 where there are none.
        codes_first: they go before a colour profile.
        carried: bytes of `parts`.
        profile: there is a colour profile, sound or not.
        resolution: a JPEG or PNG file states a resolution outside EXIF.
        pictures: in the file; previews do not count.
        animated: is an animation.
        dropped: what else is not read.
        notes: on colours that are not read as the file states them.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resources: bytes | None = None
    comments: list[bytes] = field(default_factory=list)
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    carried: int = 0
    codes: tuple[int, int] = (0, 0)
    codes_first: bool = False
    profile: bool = False
    resolution: bool = False
    pictures: int = 1
    animated: bool = False
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, note: str) -> None:
        """Note once what is not read."""
        if note not in self.dropped:
            self.dropped.append(note)

    def carry(self, part: Part) -> None:
        """Take a part that the file's format can carry on, as long as there is room."""
        self.carried += len(part.content)
        if self.carried > _MOST_BESIDE or len(self.parts) >= _MOST_CARRIED:
            self.drop(
                f"parts of other makers dropped: more than {_MOST_CARRIED:,} or {_MOST_BESIDE >> 20} MiB"
            )
        else:
            self.parts.append(part)


# JPEG


def _jpeg(read_at: ReadAt) -> Extras:
    """What a JPEG file holds: metadata, comments, further pictures, segments of other makers, a trailer."""
    found = Extras()
    photoshop, end = b"", 0
    for part in segments(read_at):
        if part.marker == _APP13 and read_at(part.at, min(part.size, len(PHOTOSHOP))) == PHOTOSHOP:
            photoshop += read_at(part.at + len(PHOTOSHOP), part.size - len(PHOTOSHOP))
        elif part.marker == _COMMENT and part.size:
            found.comments.append(read_at(part.at, part.size))
        elif part.marker in _APPS:
            content = read_at(part.at, part.size)
            end = max(end, _add_segment(found, part.marker, part.at, content))
        elif part.marker == END:
            end = max(end, part.at)
            _add_trailer(found, read_at, end)
    if photoshop:
        found.iptc, found.resources, whole = split_photoshop(photoshop)
        if not whole:
            found.drop("damaged Photoshop resources dropped")
    return found


def _add_segment(found: Extras, marker: int, at: int, content: bytes) -> int:
    """Add what an application's segment at offset `at` holds; returns the end of the pictures it lists."""
    if any(marker == own and content.startswith(name) for own, name in _OWN_SEGMENTS):
        if content.startswith(b"JFIF\0"):
            # One dot an inch stands for none, also to libvips.
            stated = content[7:8] in (b"\1", b"\2")
            found.resolution = stated and b"\0\1" not in (content[8:10], content[10:12])
    elif marker == _APP1 and _add_metadata(found, content):
        pass
    elif marker == _APP2 and content.startswith(_GAIN_MAP_NAME):
        found.drop(GAIN_MAP)
    elif marker == _APP2 and content.startswith(_PICTURES):
        list_at = len(_PICTURES)
        found.pictures, size = _count_pictures(content[list_at:])
        return at + list_at + size
    elif marker == _APP11:
        found.drop(CLAIMS)
    else:
        name = re.match(rb"[ -~]{0,16}", content)
        said = f" {name[0].decode()!r}" if name and name[0] else ""
        found.carry(Part("jpeg", f"segment APP{marker - APP0}{said}", marker, content))
    return 0


def _add_metadata(found: Extras, content: bytes) -> bool:
    """Take EXIF or XMP from an APP1 segment, of each the first one; whether it is one."""
    if content.startswith(_EXIF_NAME):
        if found.exif is not None:
            found.drop("second EXIF block dropped")
        found.exif = found.exif or content
    elif content.startswith(XMP_NAMESPACE):
        if found.xmp is not None:
            found.drop("second XMP block dropped")
        found.xmp = found.xmp or content[len(XMP_NAMESPACE) :]
    elif content.startswith(_EXTENDED_XMP_NAME):
        found.drop("extended XMP dropped")
    else:
        return False
    return True


def _add_trailer(found: Extras, read_at: ReadAt, end: int) -> None:
    """Add what stands behind the last picture of the file, which ends at `end`."""
    trailer = read_at(end, _MOST_BESIDE + 1)
    if not trailer.strip(b"\0"):
        return
    part = Part("jpeg", "data behind the photo", b"", trailer)
    if found.pictures > 1 or GAIN_MAP in found.dropped:
        found.drop(f"{part.title} dropped")  # whose places the file counts from what stands before it
    else:
        found.carry(part)


def _count_pictures(data: bytes) -> tuple[int, int]:
    """How many pictures the list of a multi-picture file names, without previews of the first, and where the
    last one of all ends, from the start of the list.
    """

    def read_at(at: int, size: int) -> bytes:
        return data[at : at + size]

    try:
        order, first = ifd.header(read_at)
        pictures = ifd.read(read_at, order, first, only=(_PICTURE_LIST,)).tags[_PICTURE_LIST].data
    except (ValueError, KeyError):
        return 1, 0
    pictures = pictures[: 16 * _MOST_PICTURES]
    kind_at = 2 if order == "<" else 1  # in entries of 16 bytes; 1 is a preview
    kinds = pictures[kind_at::16]
    byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
    ends = [
        int.from_bytes(pictures[at + 4 : at + 8], byte_order)
        + int.from_bytes(pictures[at + 8 : at + 12], byte_order)
        for at in range(16, len(pictures), 16)
    ]
    return max(sum(kind != 1 for kind in kinds), 1), max(ends, default=0)


# PNG


def _chunks(read_at: ReadAt) -> Iterator[tuple[bytes, int, int]]:
    """Name, and offset and size of the content, of a PNG file's chunks up to its end."""
    at = 8
    for _ in range(_MOST_PARTS):
        head = read_at(at, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], at + 8, size
        if head[4:] == b"IEND":
            return
        at += 12 + size


def _png(read_at: ReadAt) -> Extras:
    """What a PNG file holds, also behind its pixels: metadata, texts, unknown chunks, a trailer."""
    found = Extras()
    colours: dict[bytes, bytes] = {}
    room = _MOST_TEXT
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
        found.resolution = read_at(at + 8, 1) == b"\1"
    elif name == b"acTL":
        found.animated = True
    elif name == b"eXIf":
        found.exif = found.exif or read_at(at, min(size, _MOST_TEXT))
    elif name == b"IEND":
        trailer = read_at(at + size + 4, _MOST_BESIDE + 1)
        if trailer.strip(b"\0"):
            found.carry(Part("png", "data behind the photo", b"", trailer))
    elif name == b"caBX":
        found.drop(CLAIMS)
    elif name.isalpha() and name[0] & name[3] & _LOWER_CASE:  # neither critical nor about these pixels
        found.carry(Part("png", f"chunk {name.decode()}", name, read_at(at, min(size, _MOST_BESIDE + 1))))
    else:
        found.drop(f"chunk {ascii(name)[2:-1]} dropped: it may not hold for changed pixels")


def _add_text(found: Extras, name: bytes, text: bytes, size: int) -> None:
    note = ""
    if name == b"iTXt" and text.startswith(XMP_KEYWORD + b"\0"):
        found.xmp = found.xmp or _xmp_of(text)
    elif text.startswith(_RAW_PROFILE):
        note = "metadata in the form of ImageMagick dropped"
    elif len(text) < size:
        note = f"PNG text dropped: more than {_MOST_TEXT >> 20} MiB"
    else:
        found.texts.append((name, text))
    if note:
        found.drop(note)


def _xmp_of(text: bytes) -> bytes | None:
    """The XMP packet in a text, behind its keyword, compression, language and translated keyword."""
    compressed = text[len(XMP_KEYWORD) + 1 : len(XMP_KEYWORD) + 2] == b"\1"
    content = text[len(XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
    if compressed:
        try:
            content = zlib.decompressobj().decompress(content, _MOST_TEXT)
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


def _avif(read_at: ReadAt) -> Extras:
    """What an AVIF file holds: an animation, a gain map, content credentials, codes of its colours."""
    head = read_at(0, HEAD_BYTES)
    dropped = [GAIN_MAP] if _AVIF_GAIN_MAP.search(head) else []
    at = 0
    for _ in range(_MOST_BOXES):
        box = read_at(at, 16)
        size = int.from_bytes(box[8:16] if box[:4] == b"\0\0\0\1" else box[:4], "big")
        if box[4:8] == b"uuid" and CLAIMS not in dropped:
            dropped.append(CLAIMS)
        if len(box) < 8 or size < 8:
            break
        at += size
    codes = _AVIF_CODES.search(head)
    primaries, curve = (b"", b"") if codes is None else codes.groups()
    return Extras(
        codes=(int.from_bytes(primaries, "big"), int.from_bytes(curve, "big")),
        animated=head[8:12] == b"avis",
        dropped=dropped,
    )


def _tiff(read_at: ReadAt) -> Extras:
    """What a TIFF file holds: Photoshop's resources, and tags of other makers."""
    directory = tiff_directory(read_at)
    found = Extras()
    found.iptc, found.resources, whole = split_photoshop(photoshop_of_tiff(directory))
    if not whole:
        found.drop("damaged Photoshop resources dropped")
    if ifd.IPTC in directory.tags:
        found.iptc = directory.tags[ifd.IPTC].data
    if ifd.XMP in directory.tags:
        found.xmp = directory.tags[ifd.XMP].data
    tags, notes = beside_tiff(directory)
    for tag, value in tags.items():
        found.carry(Part("tiff", f"TIFF tag {tag}", tag, value.data, value.type))
    found.dropped += notes
    return found


def _webp(read_at: ReadAt) -> Extras:
    """What a WebP file holds: chunks of other makers."""
    found = Extras()
    at = 12
    for _ in range(_MOST_PARTS):
        head = read_at(at, 8)
        if len(head) < 8:
            break
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"C2PA":
            found.drop(CLAIMS)
        elif name not in _OWN_RIFF_CHUNKS:
            title = f"chunk {ascii(name)[2:-1]}"
            found.carry(Part("webp", title, name, read_at(at + 8, min(size, _MOST_BESIDE + 1))))
        at += 8 + size + size % 2
    return found


_READERS: dict[str, Callable[[ReadAt], Extras]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "avif": _avif,
}


def extras(read_at: ReadAt, name: str) -> Extras:
    """What a file of the format `name` (a key of `FORMATS`) holds."""
    return _READERS[name](read_at) if name in _READERS else Extras()
