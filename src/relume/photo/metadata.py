"""Metadata blocks: made true of the upright photo alone, EXIF in and out of TIFF files."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from relume.photo import ifd
from relume.photo.ifd import Directory, ReadAt, Value
from relume.photo.photo import Metadata

_EXIF_PREFIX = b"Exif\0\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_UNDEFINED = 7
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 0x0201, 0x0202

# What the first directory of a TIFF file says about the photo rather than about its pixels:
# description, maker, model, software, date, artist, copyright.
_ABOUT = (270, 271, 272, 305, 306, 315, 33432)

# Kind of picture, size, compression, photometry, further directories, DNG version: what kind of file it is.
_KIND = (254, 256, 257, 259, 262, 330, 50706)
# Colour filter array and linear raw; the compressions of Sony, Nikon and Pentax.
_RAW_PHOTOMETRIES = (32803, 34892)
_RAW_COMPRESSIONS = (32767, 34713, 65535)

# Tags of resolution across and down, and of the size in pixels, in the EXIF directory.
_RESOLUTIONS = (282, 283)
_SIZES = (0xA002, 0xA003)

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8](?=\s*[\"'<])")
# What XMP says of things beside the photo and the block itself, which do not come along: what it says
# where there is such a thing, and the names of all that it says of it.
GAIN_MAP, _VIDEO = "gain map dropped", "video of the motion photo dropped"
_XMP_CLAIMS = {
    GAIN_MAP: (rb"hdrgm:Version", rb"hdrgm:Version"),
    _VIDEO: (
        rb"Camera:(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']|>)\s*[1-9]",
        rb"G?Camera:(?:MotionPhoto|MicroVideo)\w*",
    ),
    "extended XMP dropped": (rb"xmpNote:HasExtendedXMP", rb"xmpNote:HasExtendedXMP"),
}
_XMP_ITEMS = (b"<Container:Directory", b"</Container:Directory>")
_XMP_ITEM = re.compile(rb"Item:Semantic\s*(?:=\s*[\"']|>)\s*(\w+)")
_XMP_ITEM_NOTES = {b"GainMap": GAIN_MAP, b"MotionPhoto": _VIDEO}


def _reader(data: bytes | bytearray) -> ReadAt:
    return lambda at, size: bytes(data[at : at + size])


def clean_exif(exif: bytes) -> tuple[bytes, int]:
    """An EXIF block for upright pixels, and the orientation 1..8 it had.

    The bytes stay where they are (offsets inside maker notes stay true): only the orientation is set
    to 1, the resolutions across and down change places where width and height do, and the thumbnail,
    which shows the photo as it was, is unlinked and blanked.

    Returns:
        The block without the "Exif" prefix, starting with its TIFF header; the orientation.

    Raises:
        ValueError: the block is damaged.
    """
    data = bytearray(exif.removeprefix(_EXIF_PREFIX))
    read_at = _reader(data)
    order, first = ifd.header(read_at)
    found, second = ifd.entries(read_at, order, first)
    orientation = 1
    for tag, kind, _, at in found:
        if tag == ifd.ORIENTATION and kind == 3 and len(data) >= at + 2:
            (orientation,) = struct.unpack_from(order + "H", data, at)
            struct.pack_into(order + "H", data, at, 1)
    resolutions = [
        slice(at, at + 8)
        for tag, kind, _, at in found
        if tag in _RESOLUTIONS and kind == 5 and len(data) >= at + 8
    ]
    if 5 <= orientation <= 8 and len(resolutions) == 2:
        across, down = resolutions
        data[across], data[down] = data[down], data[across]
    if second:
        next_at = first + 2 + 12 * len(found)
        _drop_thumbnail(data, order, second, next_at + 4)
        struct.pack_into(order + "I", data, next_at, 0)
    return bytes(data), orientation if 1 <= orientation <= 8 else 1


def states_resolution(exif: bytes) -> bool:
    """Whether an EXIF block states a resolution; libvips' fields of it hold one for every block."""
    read_at = _reader(exif.removeprefix(_EXIF_PREFIX))
    try:
        return any(tag in _RESOLUTIONS for tag, *_ in ifd.entries(read_at, *ifd.header(read_at))[0])
    except ValueError:
        return False


def _drop_thumbnail(data: bytearray, order: ifd.Order, at: int, after: int) -> None:
    """Blank the thumbnail that the directory at `at` describes; cut it off where it ends the block.

    One that claims to begin before `after`, where the photo's own directory ends, is left.
    """
    try:
        thumbnail = ifd.read(_reader(data), order, at, only=(_THUMBNAIL_AT, _THUMBNAIL_SIZE))
    except ValueError:
        return
    start = thumbnail.number(_THUMBNAIL_AT)
    end = start + thumbnail.number(_THUMBNAIL_SIZE)
    if max(at + 1, after) <= start < end <= len(data):
        data[start:end] = b"" if end == len(data) else bytes(end - start)


def _numbers(data: bytearray, order: ifd.Order, at: int) -> Iterator[tuple[int, str, int]]:
    """The single integers in the directory at `at`: tag, code for `struct`, offset of the value."""
    for tag, kind, count, value_at in ifd.entries(_reader(data), order, at)[0]:
        if kind in (3, 4) and count == 1:
            yield tag, order + ("H" if kind == 3 else "I"), value_at


def with_size(exif: bytes, width: int, height: int) -> bytes:
    """The EXIF block with another size in pixels, where it states one."""
    data = bytearray(exif)
    sides = dict(zip(_SIZES, (width, height), strict=True))
    with contextlib.suppress(ValueError):
        order, first = ifd.header(_reader(data))
        places = {tag: (code, at) for tag, code, at in _numbers(data, order, first)}
        if ifd.EXIF_IFD not in places:
            return exif
        (inner,) = struct.unpack_from(places[ifd.EXIF_IFD][0], data, places[ifd.EXIF_IFD][1])
        for tag, code, at in _numbers(data, order, inner):
            if tag in sides:
                most = 256 ** struct.calcsize(code) - 1
                struct.pack_into(code, data, at, min(sides[tag], most))
    return bytes(data)


def clean_xmp(xmp: bytes) -> tuple[bytes, list[str]]:
    """The XMP packet for an upright photo that stands alone, and notes.

    The orientation, if any, is set to upright. Nothing points any more to a gain map, a video, other
    pictures or a second XMP block.
    """
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    xmp, items = _without_items(xmp)
    notes = {_XMP_ITEM_NOTES.get(item, "depth map or other picture dropped"): None for item in items}
    for note, (sign, names) in _XMP_CLAIMS.items():
        if re.search(sign, xmp):
            notes[note] = None
            said = rb"\s%b\s*=\s*(?:\"[^\"]*\"|'[^']*')|<(%b)>[^<]*</\1\s*>" % (names, names)
            xmp = re.sub(said, b"", xmp)
    return xmp, list(notes)


def _without_items(xmp: bytes) -> tuple[bytes, list[bytes]]:
    """The packet without its list of the pictures and videos in the file, and what they are to the photo."""
    start, end = xmp.find(_XMP_ITEMS[0]), xmp.rfind(_XMP_ITEMS[1])
    if not 0 <= start < end:
        return xmp, []
    end += len(_XMP_ITEMS[1])
    items = _XMP_ITEM.findall(xmp, start, end)
    return xmp[:start] + xmp[end:], [item for item in items if item != b"Primary"]


def unwrap_iptc(block: bytes) -> bytes | None:
    """The IPTC records inside a JPEG's Photoshop segment; other blocks are IPTC records already."""
    if not block.startswith(_PHOTOSHOP):
        return block
    at = len(_PHOTOSHOP)
    while block[at : at + 4] == b"8BIM":
        resource = int.from_bytes(block[at + 4 : at + 6], "big")
        name = 1 + block[at + 6] if at + 6 < len(block) else 1
        size_at = at + 6 + name + name % 2
        size = int.from_bytes(block[size_at : size_at + 4], "big")
        if resource == _IPTC_RESOURCE:
            return block[size_at + 4 : size_at + 4 + size] or None
        at = size_at + 4 + size + size % 2
    return None


def wrap_iptc(iptc: bytes) -> bytes:
    """IPTC records as the Photoshop segment that a JPEG holds."""
    head = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc))
    return _PHOTOSHOP + head + iptc + b"\0" * (len(iptc) % 2)


def tiff_directory(read_at: ReadAt) -> Directory:
    """The first directory of a TIFF file without its pixels' tables; empty if it cannot be read.

    BigTIFF files, of another structure, give an empty one: their EXIF is not read.
    """
    wanted = (
        *_ABOUT,
        ifd.ORIENTATION,
        ifd.RESOLUTION_UNIT,
        ifd.EXIF_IFD,
        ifd.GPS_IFD,
        ifd.XMP,
        ifd.IPTC,
        *_KIND,
    )
    try:
        order, first = ifd.header(read_at)
        return ifd.read(read_at, order, first, only=wanted)
    except ValueError:
        return Directory()


def is_raw(directory: Directory) -> bool:
    """Whether a TIFF file is really a camera's raw file (DNG, NEF, ARW), whose first picture is a preview."""
    preview = directory.number(254) & 1 == 1
    return (
        50706 in directory.tags
        or (preview and 330 in directory.tags)
        or directory.number(262) in _RAW_PHOTOMETRIES
        or directory.number(259) in _RAW_COMPRESSIONS
    )


def exif_of_tiff(directory: Directory) -> bytes | None:
    """What a TIFF file says about the photo as an EXIF block; None where it says nothing."""
    tags = {tag: directory.tags[tag] for tag in _ABOUT if tag in directory.tags}
    if not tags and not directory.children:
        return None
    return b"II*\0" + struct.pack("<I", 8) + ifd.layout(Directory(tags, directory.children), 8)


def _directory(about: Metadata) -> tuple[Directory, list[str]]:
    directory, notes = Directory(), []
    if about.exif:
        try:
            order, first = ifd.header(_reader(about.exif))
            wanted = (*_ABOUT, ifd.EXIF_IFD, ifd.GPS_IFD)
            directory = ifd.read(_reader(about.exif), order, first, only=wanted)
        except ValueError:
            notes.append("damaged EXIF dropped")
    if about.iptc:
        directory.tags[ifd.IPTC] = Value(_UNDEFINED, len(about.iptc), about.iptc)
    return directory, notes


def _without_unit(table: bytes) -> bytes:
    """The table of a directory with a resolution of no unit; libvips writes one into every TIFF file."""
    for at in range(0, len(table), 12):
        if int.from_bytes(table[at : at + 2], "little") == ifd.RESOLUTION_UNIT:
            return table[: at + 8] + struct.pack("<I", 1) + table[at + 12 :]
    return table


def add_to_tiff(file: BinaryIO, about: Metadata) -> list[str]:
    """Add metadata to a TIFF file just written (classic, little-endian), by a new directory at its end.

    libvips writes no EXIF into TIFF files, and too short an IPTC block. Returns notes.
    """
    directory, notes = _directory(about)
    file.seek(4)
    first = int.from_bytes(file.read(4), "little")
    file.seek(first)
    count = int.from_bytes(file.read(2), "little")
    table = file.read(12 * count)
    if about.dpi is None:
        table = _without_unit(table)
        file.seek(first + 2)
        file.write(table)
    if not directory.tags and not directory.children:
        return notes
    # The old entries keep pointing at their values, which do not move; so they are copied as they are.
    kept = {
        int.from_bytes(table[at : at + 2], "little"): table[at : at + 12] for at in range(0, len(table), 12)
    }
    end = file.seek(0, 2)
    file.write(b"\0" * (end % 2))
    extra_at = end + end % 2
    # Laying the new tags out as a directory of their own gives their entries and values; the values
    # stay in place, and the merged directory behind them borrows the entries.
    extra = ifd.layout(directory, extra_at)
    file.write(extra)
    number = int.from_bytes(extra[:2], "little")
    for at in range(2, 2 + 12 * number, 12):
        kept.setdefault(int.from_bytes(extra[at : at + 2], "little"), extra[at : at + 12])
    merged_at = extra_at + len(extra)
    file.write(b"\0" * (merged_at % 2))
    merged_at += merged_at % 2
    merged = b"".join(entry for _, entry in sorted(kept.items()))
    file.write(struct.pack("<H", len(kept)) + merged + struct.pack("<I", 0))
    file.seek(4)
    file.write(struct.pack("<I", merged_at))
    file.seek(0, 2)
    return notes
