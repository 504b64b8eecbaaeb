"""JPEG (ITU-T T.81), with JFIF's, Adobe's and other makers' segments."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import Any, BinaryIO, Literal

import numpy.typing as npt
import pyvips

from relume.photo import ifd, metadata, vips
from relume.photo.codecs import progression, segments
from relume.photo.codecs.base import Change, Reader, is_cut_off
from relume.photo.codecs.extras import BEHIND, CLAIMS, MOST_BESIDE, Extras
from relume.photo.codecs.segments import APP0, APP14, END
from relume.photo.codecs.stream import dots, inserting, stream, trailer
from relume.photo.formats import FORMATS
from relume.photo.ifd import ReadAt
from relume.photo.metadata import (
    EXTENDED_XMP_NAME,
    GAIN_MAP,
    PHOTOSHOP,
    XMP_NAMESPACE,
    photoshop_segments,
    split_photoshop,
)
from relume.photo.opened import Opened, in_memory
from relume.photo.photo import Metadata, Part, Photo

_JPEG = FORMATS["jpeg"]

_APPS = range(0xE0, 0xF0)
_APP1, _APP2, _APP11, _APP13, _COMMENT = 0xE1, 0xE2, 0xEB, 0xED, 0xFE
_EXIF_NAME = b"Exif\0\0"
_GAIN_MAP_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
_PICTURES = b"MPF\0"
# Segments that tell how pixels are stored, or hold a thumbnail: they are written anew, or are no loss.
_OWN_SEGMENTS = ((APP0, b"JFIF\0"), (APP0, b"JFXX\0"), (_APP2, b"ICC_PROFILE\0"), (APP14, b"Adobe"))
_PICTURE_LIST = 0xB002
_MOST_PICTURES = 1000
_LONGEST_SEGMENT = 65533
# Behind the start marker.
_INSERT_AT = 2


class _Jpeg(Reader):
    form = _JPEG
    loader = "jpegload_source"

    def extras(self) -> Extras:
        return _extras(self.opened.read_at)

    def states_dpi(self, image: pyvips.Image, beside: Extras) -> bool:
        return beside.resolution or metadata.states_resolution(vips.blob(image, "exif-data") or b"")

    def decode(self, to_srgb: Change) -> tuple[npt.NDArray[Any], list[str]]:
        """libjpeg only warns of most damage, so warnings count; some are harmless."""

        notes: list[str] = []

        def pixels(file: Opened, fail_on: str) -> npt.NDArray[Any]:
            with vips.calls():
                return vips.pixels(to_srgb(_Jpeg(file).image(fail_on)))

        def strictly(file: Opened) -> npt.NDArray[Any]:
            try:
                return pixels(file, "warning")
            except vips.Failed as failed:
                contradicts = str(failed).startswith(progression.CONTRADICTION)
                ordered = progression.in_order(file.whole()) if contradicts else None
                if ordered is None:
                    raise
            pixels(in_memory(ordered), "warning")
            notes.append(progression.NOTE)
            return pixels(file, "truncated")

        with suppress(vips.Failed):
            return pixels(self.opened, "warning"), []
        with vips.alone():  # what is mended depends on what libjpeg says
            try:
                return strictly(self.opened), notes
            except vips.Failed as failed:
                first = str(failed)
            try:
                found, mended = segments.decoded(self.opened.whole(), lambda data: strictly(in_memory(data)))
                return found, [*mended, *notes]
            except vips.Failed as failed:
                raise self._damaged(first if is_cut_off(first) else str(failed)) from failed


def read(opened: Opened, max_pixels: int) -> Photo:
    """See `relume.photo.codecs.Reads`."""
    return _Jpeg(opened).read(max_pixels)


def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
    """See `relume.photo.codecs.Writes`.

    Optimised Huffman tables would save 2 to 5 % but hold the whole photo's coefficients in memory.
    """
    extra, notes = _segments(about)
    write = inserting(sink.write, _INSERT_AT, extra)
    stream("jpegsave_target", image, sink, write, keep="icc", subsample_mode="off", Q=quality)
    sink.write(trailer(about))
    return notes


def _extras(read_at: ReadAt) -> Extras:
    """What a JPEG file holds: metadata, comments, further pictures, segments of other makers, a trailer."""
    found = Extras()
    photoshop, end = b"", 0
    for part in segments.parts(read_at):
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
            found.shape(not stated, content[8:10], content[10:12])
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
        found.carry(Part(_JPEG.name, f"segment APP{marker - APP0}{said}", marker, content))
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
    elif content.startswith(EXTENDED_XMP_NAME):
        found.carry(Part(_JPEG.name, "extended XMP", _APP1, content))
    else:
        return False
    return True


def _add_trailer(found: Extras, read_at: ReadAt, end: int) -> None:
    """Add what stands behind the last picture of the file, which ends at `end`."""
    trailer = read_at(end, MOST_BESIDE + 1)
    if not trailer.strip(b"\0"):
        return
    part = Part(_JPEG.name, BEHIND, b"", trailer)
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


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    """The JFIF header, which libvips leaves out where it keeps no metadata."""
    across, down = dots(dpi or (1, 1), 1, 65535)
    return b"JFIF\0\1\1" + struct.pack(">BHHBB", dpi is not None, across, down, 0, 0)


def _segments(about: Metadata) -> tuple[bytes, list[str]]:
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
