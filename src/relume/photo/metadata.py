"""Metadata blocks: orientation made upright, stale thumbnails dropped, EXIF in and out of TIFF files."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from relume.photo import ifd
from relume.photo.ifd import Directory, ReadAt, Value

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

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8](?=\s*[\"'<])")


def _reader(data: bytes | bytearray) -> ReadAt:
    return lambda at, size: bytes(data[at : at + size])


def clean_exif(exif: bytes) -> tuple[bytes, int]:
    """An EXIF block for upright pixels, and the orientation 1..8 it had.

    The bytes stay where they are (offsets inside maker notes stay true): only the orientation is set
    to 1 and the thumbnail, which shows the photo as it was, is unlinked and blanked.

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
    if second:
        _drop_thumbnail(data, order, second)
        struct.pack_into(order + "I", data, first + 2 + 12 * len(found), 0)
    return bytes(data), orientation if 1 <= orientation <= 8 else 1


def _drop_thumbnail(data: bytearray, order: ifd.Order, at: int) -> None:
    """Blank the thumbnail that the directory at `at` describes; cut it off where it ends the block."""
    try:
        thumbnail = ifd.read(_reader(data), order, at, only=(_THUMBNAIL_AT, _THUMBNAIL_SIZE))
    except ValueError:
        return
    start = thumbnail.number(_THUMBNAIL_AT)
    end = start + thumbnail.number(_THUMBNAIL_SIZE)
    if at < start < end <= len(data):
        data[start:end] = b"" if end == len(data) else bytes(end - start)


def clean_xmp(xmp: bytes) -> bytes:
    """The XMP packet with its orientation, if any, set to upright; its length stays."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


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
    wanted = (*_ABOUT, ifd.ORIENTATION, ifd.EXIF_IFD, ifd.GPS_IFD, ifd.XMP, ifd.IPTC, *_KIND)
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


def _about(exif: bytes | None, iptc: bytes | None) -> tuple[Directory, list[str]]:
    about, notes = Directory(), []
    if exif:
        try:
            order, first = ifd.header(_reader(exif))
            about = ifd.read(_reader(exif), order, first, only=(*_ABOUT, ifd.EXIF_IFD, ifd.GPS_IFD))
        except ValueError:
            notes.append("damaged EXIF dropped")
    if iptc:
        about.tags[ifd.IPTC] = Value(_UNDEFINED, len(iptc), iptc)
    return about, notes


def add_to_tiff(file: BinaryIO, exif: bytes | None, iptc: bytes | None) -> list[str]:
    """Add metadata to a TIFF file just written (classic, little-endian), by a new directory at its end.

    libvips writes no EXIF into TIFF files, and too short an IPTC block. Returns notes.
    """
    about, notes = _about(exif, iptc)
    if not about.tags and not about.children:
        return notes
    file.seek(4)
    first = int.from_bytes(file.read(4), "little")
    file.seek(first)
    count = int.from_bytes(file.read(2), "little")
    table = file.read(12 * count)
    # The old entries keep pointing at their values, which do not move; so they are copied as they are.
    kept = {
        int.from_bytes(table[at : at + 2], "little"): table[at : at + 12] for at in range(0, len(table), 12)
    }
    end = file.seek(0, 2)
    file.write(b"\0" * (end % 2))
    extra_at = end + end % 2
    # Laying the new tags out as a directory of their own gives their entries and values; the values
    # stay in place, and the merged directory behind them borrows the entries.
    extra = ifd.layout(about, extra_at)
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
