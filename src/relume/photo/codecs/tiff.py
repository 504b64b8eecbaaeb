"""TIFF, classic and big, whose first directory tells what libvips does not."""

from __future__ import annotations

from typing import BinaryIO

import pyvips

from relume.photo import ifd, metadata
from relume.photo.codecs import raw
from relume.photo.codecs.base import Reader, number
from relume.photo.codecs.extras import Extras
from relume.photo.codecs.stream import stream, with_blocks
from relume.photo.formats import FORMATS
from relume.photo.ifd import ORIENTATION, RESOLUTION_UNIT, Directory
from relume.photo.metadata import (
    EXTRA_SAMPLES,
    beside_tiff,
    further_pictures,
    photoshop_of_tiff,
    split_photoshop,
)
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Part, Photo

_TIFF = FORMATS["tiff"]

_WIDTH, _TILE_WIDTH, _PHOTOMETRY = 256, 322, 262
_PALETTE = 3


class _Tiff(Reader):
    form = _TIFF
    loader = "tiffload_source"

    def __init__(self, opened: Opened, directory: Directory) -> None:
        super().__init__(opened)
        self.directory = directory
        if directory.is_large and opened.size > ifd.LARGE:  # libtiff allows 50 MB, as for tables of pixels
            self.loader_options = {"unlimited": True}

    def unsupported(self) -> tuple[str, str] | None:
        what = metadata.unsupported_tiff(self.directory)
        return (what, "Save it as RGB, in one plane, first.") if what else None

    def declared_sizes(self) -> list[tuple[int, int]]:
        side = self.directory.number
        return [(side(across), side(across + 1)) for across in (_WIDTH, _TILE_WIDTH)]

    def extras(self) -> Extras:
        found = _extras(self.directory)
        found.pictures += further_pictures(self.opened.read_at, self.directory)
        return found

    def states_dpi(self, image: pyvips.Image, beside: Extras) -> bool:
        return super().states_dpi(image, beside) and self.directory.number(RESOLUTION_UNIT, 2) != 1

    def exif(self, image: pyvips.Image, beside: Extras) -> tuple[bytes | None, int | None, list[str]]:
        known = 0 if self.directory.tags else number(image, "orientation", 0)
        return metadata.exif_of_tiff(self.directory), self.directory.number(ORIENTATION, known), []

    def has_palette(self, image: pyvips.Image) -> bool:
        return super().has_palette(image) or self.directory.number(_PHOTOMETRY) == _PALETTE


def read(opened: Opened, max_pixels: int) -> Photo | bytes:
    """See `relume.photo.codecs.Reads`; some files are cameras' raw ones."""
    directory = metadata.tiff_directory(opened.read_at)
    if metadata.is_raw(directory):
        return raw.read(opened, max_pixels)
    return _Tiff(opened, directory).read(max_pixels)


def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
    """See `relume.photo.codecs.Writes`."""
    image, keep = with_blocks(image, xmp=about.xmp)
    stream("tiffsave_target", image, sink, keep=keep, compression="deflate", predictor="horizontal")
    return metadata.add_to_tiff(sink, about)


def _extras(directory: Directory) -> Extras:
    """What a TIFF file holds: Photoshop's resources, and tags of other makers."""
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
        found.carry(Part(_TIFF.name, f"TIFF tag {tag}", tag, value.data, value.type))
    found.dropped += notes
    found.no_alpha = directory.number(EXTRA_SAMPLES, 1) == 0
    return found
