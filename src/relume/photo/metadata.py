"""Metadata blocks: made true of the upright photo alone, EXIF in and out of TIFF files."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from relume.photo import ifd
from relume.photo.ifd import Directory, ReadAt, Value
from relume.photo.photo import Metadata, Part

XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF_PREFIX = b"Exif\0\0"
PHOTOSHOP = b"Photoshop 3.0\0"
EXTENDED_XMP_NAME = b"http://ns.adobe.com/xmp/extension/\0"
_IPTC_RESOURCE = 0x0404
# Thumbnails, which show the photo as it was.
_STALE_RESOURCES = (0x0409, 0x040C)
_RESOURCE_SIGNS = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
_BYTE, _UNDEFINED = 1, 7
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 0x0201, 0x0202

# What the first directory of a TIFF file says about the photo rather than about its pixels:
# description, maker, model, software, date, artist, copyright.
_ABOUT = (270, 271, 272, 305, 306, 315, 33432)

EXTRA_SAMPLES = 338
# How pixels are stored and shown, where, and where else there are some: a file is written with its own.
_STORAGE = (
    *(*range(254, 260), *range(262, 267), 273, 274, *range(277, 285), 288, 289, 290, 291, 292, 293, 296, 297),
    *(301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 338, 339, 340, 341, 347),
    *(*range(512, 522), 529, 530, 531, 532, 34675),
)
# Where on Earth the pixels lie, which holds as long as they are not turned.
_PLACES = (33550, 33922, 34264)
# Photoshop's layers, which show the photo as it was.
_LAYERS = 37724
_RESOURCES = 34377
# Offsets of other makers' directories (fax, Kodak, Hasselblad), in a type that does not say so.
_DIRECTORIES = (400, 33424, 46275, 65024)
_MOST_TIFF_BYTES = 64 << 20
_KIND_OF_PICTURE, _SUB_DIRECTORIES = 254, 330
_MOST_PICTURES = 100

# Kind of picture, size, compression, photometry, further directories, DNG version: what kind of file it is.
_BITS, _PHOTOMETRY, _PLANES, _TILE = 258, 262, 284, 322
_KIND = (254, 256, 257, _BITS, 259, _PHOTOMETRY, _PLANES, _TILE, _TILE + 1, 330, 50706)
_CIELAB, _LABS = 8, (9, 10)
# Colour filter array and linear raw; the compressions of Sony, Nikon and Pentax.
_RAW_PHOTOMETRIES = (32803, 34892)
_RAW_COMPRESSIONS = (32767, 34713, 65535)

# Tags of resolution across and down, and of the size in pixels, in the EXIF directory.
_RESOLUTIONS = (282, 283)
_SIZES = (0xA002, 0xA003)

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)([1-8])(?=\s*[\"'<])")
# What XMP says of things beside the photo and the block itself, which do not come along: what it says
# where there is such a thing, and the names of all that it says of it.
GAIN_MAP, VIDEO = "gain map dropped", "video of the motion photo dropped"
_EXTENDED = "extended XMP dropped"
_MAPS_OF_PIXELS = (b"GDepth:", b"GImage:")
OTHER_PICTURE = "depth map or other picture dropped"
_XMP_CLAIMS = {
    GAIN_MAP: (rb"hdrgm:Version", rb"hdrgm:Version"),
    VIDEO: (
        rb"Camera:(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']|>)\s*[1-9]",
        rb"G?Camera:(?:MotionPhoto|MicroVideo)\w*",
    ),
    _EXTENDED: (rb"xmpNote:HasExtendedXMP", rb"xmpNote:HasExtendedXMP"),
}
_XMP_ITEMS = (b"<Container:Directory", b"</Container:Directory>")
_XMP_ITEM = re.compile(rb"Item:Semantic\s*(?:=\s*[\"']|>)\s*(\w+)")
_XMP_ITEM_NOTES = {b"GainMap": GAIN_MAP, b"MotionPhoto": VIDEO}


def _reader(data: bytes | bytearray) -> ReadAt:
    return lambda at, size: bytes(data[at : at + size])


def clean_exif(exif: bytes) -> tuple[bytes, int | None]:
    """An EXIF block for upright pixels, and the orientation 1..8 it had; None where it tells none.

    The bytes stay where they are (offsets inside maker notes stay true): only the orientation is set
    to 1, the resolutions across and down change places where width and height do, and the thumbnail,
    which shows the photo as it was, is unlinked and blanked.

    Returns:
        The block without the "Exif" prefix (some writers put two), starting with its TIFF header; the
        orientation.

    Raises:
        ValueError: the block is damaged.
    """
    data = bytearray(_without_prefix(exif))
    read_at = _reader(data)
    order, first = ifd.header(read_at)
    found, second = ifd.entries(read_at, order, first)
    orientation = None
    for tag, kind, _, at in found:
        code = order + {3: "H", 4: "I"}.get(kind, "")
        if tag == ifd.ORIENTATION and kind in (3, 4) and len(data) >= at + struct.calcsize(code):
            (orientation,) = struct.unpack_from(code, data, at)
            struct.pack_into(code, data, at, 1)
    resolutions = [
        slice(at, at + 8)
        for tag, kind, _, at in found
        if tag in _RESOLUTIONS and kind == 5 and len(data) >= at + 8
    ]
    if orientation in (5, 6, 7, 8) and len(resolutions) == 2:
        across, down = resolutions
        data[across], data[down] = data[down], data[across]
    if second:
        next_at = first + 2 + 12 * len(found)
        _drop_thumbnail(data, order, second, next_at + 4)
        struct.pack_into(order + "I", data, next_at, 0)
    return bytes(data), orientation if orientation in range(1, 9) else None


def _without_prefix(exif: bytes) -> bytes:
    while exif.startswith(_EXIF_PREFIX):
        exif = exif[len(_EXIF_PREFIX) :]
    return exif


def states_resolution(exif: bytes) -> bool:
    """Whether an EXIF block states a resolution; libvips' fields of it hold one for every block."""
    read_at = _reader(_without_prefix(exif))
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


def xmp_orientation(xmp: bytes) -> int | None:
    """The orientation 1..8 that an XMP packet tells, if any."""
    found = _XMP_ORIENTATION.search(xmp)
    return None if found is None else int(found[2])


def clean_xmp(xmp: bytes, parts: Sequence[Part] = ()) -> tuple[bytes, list[str]]:
    """The XMP packet for an upright photo that stands alone, and notes.

    The orientation, if any, is set to upright. Nothing points any more to a gain map, a video, other
    pictures or a second XMP block.

    Args:
        parts: what stays with the photo, perhaps a video behind it, as far from the file's end as XMP says,
            or a second XMP block.
    """
    video = any(part.key == b"" for part in parts)
    stays = {VIDEO: video, _EXTENDED: any(part.content.startswith(EXTENDED_XMP_NAME) for part in parts)}
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    if video and set(_XMP_ITEM.findall(xmp)) <= {b"Primary", b"MotionPhoto"}:
        items: list[bytes] = []
    else:
        xmp, items = _without_items(xmp)
    notes = {_XMP_ITEM_NOTES.get(item, OTHER_PICTURE): None for item in items}
    for note, (sign, names) in _XMP_CLAIMS.items():
        if re.search(sign, xmp) and not stays.get(note, False):
            notes[note] = None
            said = rb"\s%b\s*=\s*(?:\"[^\"]*\"|'[^']*')|<(%b)>[^<]*</\1\s*>" % (names, names)
            xmp = re.sub(said, b"", xmp)
    return xmp, list(notes)


def upright_parts(parts: Sequence[Part], orientation: int) -> tuple[list[Part], list[str]]:
    """Parts that hold for pixels that are turned upright, and notes: second blocks of XMP with a map of each
    pixel's depth, as Google's cameras wrote, do not.
    """
    seconds = [part for part in parts if part.content.startswith(EXTENDED_XMP_NAME)]
    if orientation == 1 or not any(sign in part.content for part in seconds for sign in _MAPS_OF_PIXELS):
        return list(parts), []
    return [part for part in parts if part not in seconds], [_EXTENDED]


def cleaned(exif: bytes | None, xmp: bytes | None) -> tuple[bytes | None, bytes | None, list[str]]:
    """EXIF and XMP for pixels that a decoder has turned upright already, and what is dropped."""
    dropped: list[str] = []
    if exif:
        try:
            exif, _ = clean_exif(exif)
        except ValueError:
            exif = None
            dropped.append("damaged EXIF dropped")
    if xmp:
        xmp, lost = clean_xmp(xmp)
        dropped += lost
    return exif or None, xmp or None, dropped


def _without_items(xmp: bytes) -> tuple[bytes, list[bytes]]:
    """The packet without its list of the pictures and videos in the file, and what they are to the photo."""
    start, end = xmp.find(_XMP_ITEMS[0]), xmp.rfind(_XMP_ITEMS[1])
    if not 0 <= start < end:
        return xmp, []
    end += len(_XMP_ITEMS[1])
    items = _XMP_ITEM.findall(xmp, start, end)
    return xmp[:start] + xmp[end:], [item for item in items if item != b"Primary"]


def split_photoshop(block: bytes) -> tuple[bytes | None, bytes | None, bool]:
    """Photoshop's resources apart: the IPTC records, all others, and whether the block is whole.

    Thumbnails, which show the photo as it was, are left out.

    Args:
        block: a JPEG's Photoshop segments without their heads, one behind the other, or a TIFF tag.
    """
    iptc, others = None, b""
    at = 0
    while block[at : at + 4] in _RESOURCE_SIGNS:
        resource = int.from_bytes(block[at + 4 : at + 6], "big")
        name = 1 + block[at + 6] if at + 6 < len(block) else 1
        size_at = at + 6 + name + name % 2
        size = int.from_bytes(block[size_at : size_at + 4], "big")
        end = size_at + 4 + size
        if end > len(block):
            break
        if resource == _IPTC_RESOURCE and iptc is None:
            iptc = block[size_at + 4 : end]
        elif resource not in _STALE_RESOURCES:
            others += block[at:end] + b"\0" * (size % 2)
        at = end + size % 2
    return iptc or None, others or None, not block[at:].strip(b"\0")


def photoshop_segments(about: Metadata, longest: int) -> list[bytes]:
    """IPTC records and Photoshop's other resources as a JPEG's segments, each of at most `longest` bytes."""
    block = about.resources or b""
    if about.iptc:
        head = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(about.iptc))
        block = head + about.iptc + b"\0" * (len(about.iptc) % 2) + block
    step = longest - len(PHOTOSHOP)
    return [PHOTOSHOP + block[at : at + step] for at in range(0, len(block), step)]


def tiff_directory(read_at: ReadAt) -> Directory:
    """The first directory of a TIFF file without its pixels' tables; empty if it cannot be read."""
    tables = set(_STORAGE) - {ifd.ORIENTATION, ifd.RESOLUTION_UNIT, EXTRA_SAMPLES, *_KIND}
    try:
        order, first, big = ifd.tiff_header(read_at)
        return ifd.read(read_at, order, first, without=tables, big=big, room=_MOST_TIFF_BYTES)
    except ValueError:
        return Directory()


def is_raw(directory: Directory) -> bool:
    """Whether a TIFF file is really a camera's raw file (DNG, NEF, ARW), whose first picture is a preview."""
    preview = directory.number(254) & 1 == 1
    return (
        50706 in directory.tags
        or (preview and 330 in directory.tags)
        or directory.number(_PHOTOMETRY) in _RAW_PHOTOMETRIES
        or directory.number(259) in _RAW_COMPRESSIONS
    )


def unsupported_tiff(directory: Directory) -> str:
    """What kind of TIFF file libvips would take for another; "" for the rest."""
    photometry = directory.number(_PHOTOMETRY)
    if photometry in _LABS or (photometry == _CIELAB and directory.number(_BITS) == 8):
        return "TIFF files of 8-bit CIELAB, or of CIELAB in the manner of ICC or fax"
    if directory.number(_PLANES) == 2 and _TILE in directory.tags:
        return "TIFF files whose channels stand apart in tiles"
    return ""


def exif_of_tiff(directory: Directory) -> bytes | None:
    """What a TIFF file says about the photo as an EXIF block; None where it says nothing."""
    tags = {tag: directory.tags[tag] for tag in _ABOUT if tag in directory.tags}
    if not tags and not directory.children:
        return None
    return b"II*\0" + struct.pack("<I", 8) + ifd.layout(Directory(tags, directory.children), 8)


def beside_tiff(directory: Directory) -> tuple[dict[int, Value], list[str]]:
    """The tags of a TIFF file that another one can hold as they are, and notes on those that it cannot."""
    own = {*_STORAGE, *_ABOUT, *_RESOLUTIONS, ifd.XMP, ifd.IPTC, ifd.ORIENTATION}
    if photoshop_of_tiff(directory):
        own.add(_RESOURCES)
    found = {tag: value for tag, value in directory.tags.items() if tag not in own}
    notes: list[str] = []
    if found.pop(_LAYERS, None) is not None:
        notes.append("Photoshop layers dropped: they show the photo as it was")
    if directory.number(ifd.ORIENTATION, 1) != 1 and any(found.pop(tag, None) for tag in _PLACES):
        notes.append("place on Earth dropped: the photo is turned upright")
    lost = [tag for tag, value in found.items() if _points(tag, value)]
    notes += [f"TIFF tag {tag} dropped: it points to another place in the file" for tag in lost]
    if directory.lost:
        notes.append("damaged or very large TIFF tags dropped")
    return {tag: value for tag, value in found.items() if tag not in lost}, notes


def _points(tag: int, value: Value) -> bool:
    """Whether a tag's value is a place in the file, or of a type that a classic file cannot hold."""
    return value.type in ifd.POINTER_TYPES or tag in _DIRECTORIES


def further_pictures(read_at: ReadAt, directory: Directory) -> int:
    """How many pictures a TIFF file holds in directories below its first one, smaller versions left out."""
    listed = directory.tags.get(_SUB_DIRECTORIES)
    if listed is None or listed.type not in (3, 4, 13, 16, 18):
        return 0
    count = 0
    for at in listed.numbers()[:_MOST_PICTURES]:
        try:
            order, _, big = ifd.tiff_header(read_at)
            below = ifd.read(read_at, order, at, only=(_KIND_OF_PICTURE,), big=big)
        except ValueError:
            continue
        count += below.number(_KIND_OF_PICTURE) & 1 == 0
    return count


def photoshop_of_tiff(directory: Directory) -> bytes:
    """Photoshop's resources in a TIFF file, with the IPTC records that they hold."""
    block = directory.tags[_RESOURCES].data if _RESOURCES in directory.tags else b""
    return block if block[:4] in _RESOURCE_SIGNS else b""


def _directory(about: Metadata) -> tuple[Directory, list[str]]:
    directory = Directory()
    notes: list[str] = []
    if about.exif:
        try:
            order, first = ifd.header(_reader(about.exif))
            own = (*_STORAGE, *_KIND, ifd.XMP, ifd.IPTC, _RESOURCES)
            directory = ifd.read(_reader(about.exif), order, first, without=own)
        except ValueError:
            notes.append("damaged EXIF dropped")
        unfit = [tag for tag, value in directory.tags.items() if _points(tag, value)]
        for tag in unfit:
            del directory.tags[tag]
        if directory.lost or unfit:
            notes.append("damaged EXIF tags dropped")
    if about.iptc:
        directory.tags[ifd.IPTC] = Value(_UNDEFINED, len(about.iptc), about.iptc)
    if about.resources:
        directory.tags[_RESOURCES] = Value(_BYTE, len(about.resources), about.resources)
    for part in about.parts:
        directory.tags[int(part.key)] = Value.of(part.type, part.content)
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
