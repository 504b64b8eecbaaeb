"""AVIF: a file of boxes (ISO/IEC 14496-12), whose pictures are of AV1 (its specification, section 5.5).

libheif takes the range of transparency for the whole one whatever the file says, which is mended here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy.typing as npt
import pyvips

from relume.photo import colour, vips
from relume.photo.boxes import boxes
from relume.photo.codecs.base import Change, Reader, number, sides
from relume.photo.codecs.extras import BEHIND, CLAIMS, Extras
from relume.photo.codecs.stream import stream, with_blocks
from relume.photo.formats import FORMATS, HEAD_BYTES
from relume.photo.ifd import ReadAt
from relume.photo.metadata import GAIN_MAP, OTHER_PICTURE
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import fill_range, whole_range

_LONGEST_META = 1 << 20
_MOST_ITEMS = 1000
_PICTURE_HEAD = 256
_SEQUENCE_HEADER = 1
# Types of items that are read, or are noted elsewhere: tmap, a gain map; grid and iovl, pictures of pictures.
_READ = (b"av01", b"grid", b"iovl", b"iden", b"tmap", b"Exif", b"mime application/rdf+xml")
_OWN_BOXES = frozenset((b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip"))
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_MOST_BOXES = 1000
_GAIN_MAP = re.compile(rb"infe[\2\3].{5,9}tmap", re.DOTALL)
_CODES = re.compile(rb"colrnclx(..)(..)", re.DOTALL)
_LONGEST_WRITTEN_META = 1 << 16
# Sizes of the fields of the table of places: offsets and lengths of 4 bytes, and starts of 4.
_FOUR_BYTES = (b"\x44\x40",)


class _Avif(Reader):
    form = FORMATS["avif"]
    loader = "heifload_source"
    turns = True  # after the file's own transformations

    def declared_sizes(self) -> list[tuple[int, int]]:
        head = self.opened.read_at(0, HEAD_BYTES)
        return sides(head, [found.end() + 4 for found in re.finditer(b"ispe", head)])

    def extras(self) -> Extras:
        return _extras(self.opened.read_at)

    def decode(self, to_srgb: Change) -> tuple[npt.NDArray[Any], list[str]]:
        return colour.applied(to_srgb, self._pixels()), []

    def _pixels(self) -> npt.NDArray[Any]:
        """The pixels (H x W x C), over the whole range of 8 or 16 bits."""
        image = self.image("error")
        pixels = vips.pixels(image)
        bits = number(image, "bits-per-sample", 8)
        fill_range(pixels, bits)
        if pixels.shape[2] in (2, 4) and has_limited_alpha(self.opened.read_at):
            pixels[..., -1] = whole_range(pixels[..., -1], bits)
        return pixels


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _Avif(opened).read(max_pixels)


def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
    """See `relume.photo.codecs.Writes`. An effort well below the most still compresses well."""
    exif = b"Exif\0\0" + about.exif if about.exif else None
    image, keep = with_blocks(image, xmp=about.xmp, exif=exif)
    fixed: dict[str, Any] = {"compression": "av1", "effort": 2, "subsample_mode": "off"}
    stream("heifsave_target", image, sink, keep=keep, Q=quality, bitdepth=12 if bits == 16 else 8, **fixed)
    if about.exif:
        _put_exif(sink, about.exif)
    return []


def _extras(read_at: ReadAt) -> Extras:
    """What an AVIF file holds: an animation, a gain map, content credentials, codes of its colours."""
    head = read_at(0, HEAD_BYTES)
    found = Extras()
    if _GAIN_MAP.search(head):
        found.drop(GAIN_MAP)
    for note in (*_unread_items(read_at), *_unread_boxes(read_at)):
        found.drop(note)
    codes = _CODES.search(head)
    primaries, curve = (b"", b"") if codes is None else codes.groups()
    found.codes = int.from_bytes(primaries, "big"), int.from_bytes(curve, "big")
    found.animated = head[8:12] == b"avis"
    return found


def _unread_boxes(read_at: ReadAt) -> Iterator[str]:
    """Notes on a file's boxes beside those of its pictures, and on what stands behind them."""
    at = 0
    for _ in range(_MOST_BOXES):
        box = read_at(at, 16)
        size = int.from_bytes(box[8:16] if box[:4] == b"\0\0\0\1" else box[:4], "big")
        name = box[4:8]
        if name == b"uuid":
            yield CLAIMS
        elif box.strip(b"\0") and name not in _OWN_BOXES:
            named = len(name) == 4 and name.isalnum()
            yield f"box {name.decode()} dropped" if named else f"{BEHIND} dropped"
        if len(box) < 8 or size < 8:
            return
        at += size


def _unread_items(read_at: ReadAt) -> list[str]:
    """Notes on what a file's meta box lists beside its pictures, their transparency, EXIF and XMP."""
    try:
        inside = _meta(read_at(0, _LONGEST_META))
        kinds = [kind for kind in _kinds(inside[b"iinf"]) if kind not in _READ]
        roles = [role for _, role in _roles(inside[b"iprp"]) if not role.startswith(_ALPHA)]
    except (ValueError, KeyError, StopIteration):
        return []
    notes = [f"item of type {ascii(kind)[2:-1]} dropped" for kind in kinds]
    return notes + [GAIN_MAP if b"gainmap" in role else OTHER_PICTURE for role in roles]


def _meta(head: bytes) -> dict[bytes, bytes]:
    """The boxes inside a file's meta box, by name."""
    _, start, end = next(box for box in boxes(head, 0, len(head)) if box[0] == b"meta")
    return {name: head[at:stop] for name, at, stop in boxes(head, start + 4, end)}


def _kinds(listed: bytes) -> Iterator[bytes]:
    """The types of a file's items (iinf), of other data with their media types."""
    for _, at, end in boxes(listed, 6 if listed[:1] == b"\0" else 8, len(listed)):
        kind_at = at + (10 if listed[at : at + 1] == b"\3" else 8)
        kind, rest = listed[kind_at : kind_at + 4], listed[kind_at + 4 : end]
        yield kind + b" " + rest.split(b"\0")[1] if kind == b"mime" and rest.count(b"\0") > 1 else kind


def _roles(properties: bytes) -> Iterator[tuple[int, bytes]]:
    """What a file's further pictures are to others: numbers of properties (iprp), and names."""
    inside = {name: properties[at:end] for name, at, end in boxes(properties, 0, len(properties))}
    held = inside[b"ipco"]
    for index, (name, at, end) in enumerate(boxes(held, 0, len(held)), 1):
        if name == b"auxC":
            yield index, held[at + 4 : end].partition(b"\0")[0]


def _put_exif(file: BinaryIO, exif: bytes) -> None:
    """Let an AVIF file just written hold an EXIF block byte for byte, instead of the one rebuilt for it.

    The block goes behind the file's end, and the table of places (iloc, ISO/IEC 14496-12, 8.11.3) names it
    there. Where libheif writes that table in another form, the file is left as it is.
    """
    file.seek(0)
    head = file.read(_LONGEST_WRITTEN_META)
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


def has_limited_alpha(read_at: ReadAt) -> bool:
    """Whether the transparency of a file uses 16 to 235 of its 256 levels, or as much of more."""
    try:
        inside = _meta(read_at(0, _LONGEST_META))
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
    linked = _Bits(inside[b"ipma"])
    wanted = {index for index, role in _roles(properties) if role.startswith(_ALPHA)}
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
