"""How libvips reads a file: steps that all formats share, some of which a format does its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyvips

from relume.errors import InputInvalid, RelumeError
from relume.photo import colour, metadata, vips
from relume.photo.codecs.extras import Extras
from relume.photo.formats import Readable
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import split, upright
from relume.photo.refusals import MOST_DPI, check_size, damaged, no_memory

# How the decoders say that a file ends too soon.
_CUT_OFF = ("premature end of JPEG", "Read error", "Unexpected end of file")

Change = Callable[[pyvips.Image], pyvips.Image]


class Reader:
    """Reads one file of a format.

    Attributes:
        form: the format.
        loader: libvips' operation.
        turns: the decoder turns pixels upright itself.
    """

    form: ClassVar[Readable]
    loader: ClassVar[str]
    turns: ClassVar[bool] = False

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.loader_options: dict[str, Any] = {}

    def read(self, max_pixels: int) -> Photo:
        """The photo; see `relume.photo.codecs.Reads`."""
        with vips.calls(self._damaged):
            return self._read(max_pixels)

    # What a format may do its own way

    def unsupported(self) -> tuple[str, str] | None:
        """What the file is, and a remedy, where libvips takes it for another or calls it damaged."""
        return None

    def declared_sizes(self) -> list[tuple[int, int]]:
        """Widths and heights in a header that can state more than libvips allows, for which it would print
        on stderr.
        """
        return []

    def extras(self) -> Extras:
        """What the file holds that libvips does not tell."""
        return Extras()

    def states_dpi(self, image: pyvips.Image, beside: Extras) -> bool:
        """Whether the file states a resolution; libvips has one for every file."""
        return image.xres != 1

    def exif(self, image: pyvips.Image, beside: Extras) -> tuple[bytes | None, int | None, list[str]]:
        """EXIF for upright pixels, the orientation that the file states, and what is dropped."""
        exif = beside.exif or vips.blob(image, "exif-data")
        if exif is None:
            return None, None, []
        try:
            return *metadata.clean_exif(exif), []
        except ValueError:
            return None, None, ["damaged EXIF dropped"]

    def has_palette(self, image: pyvips.Image) -> bool:
        """Whether pixels are places in a table of colours."""
        return bool(number(image, "palette", 0))

    def decode(self, to_srgb: Change) -> tuple[npt.NDArray[Any], list[str]]:
        """The pixels (H x W x C) after their way to sRGB, and notes."""
        return vips.pixels(to_srgb(self.image("error"))), []

    # The steps

    def image(self, fail_on: str, page: int = 0) -> pyvips.Image:
        """The image of the file, of which only the header has been read."""
        options = {**self.loader_options, **({"page": page} if page else {})}
        source = self.opened.source()
        image = pyvips.Operation.call(self.loader, source, access="sequential", fail_on=fail_on, **options)
        primary = image.get("heif-primary") if image.get_typeof("heif-primary") else 0
        return image if page or not primary else self.image(fail_on, primary)

    def _read(self, max_pixels: int) -> Photo:
        path = self.opened.path
        if unsupported := self.unsupported():
            what, remedy = unsupported
            raise InputInvalid(f"relume does not read {what}", remedy, path=path)
        for width, height in self.declared_sizes():
            check_size(width, height, path, max_pixels)
        header = self.image("error")
        check_size(header.width, header.height, path, max_pixels)
        _check_kind(header, path)
        beside = self.extras()
        about, orientation, dropped = self._metadata(header, beside)
        dropped += _further_pictures(header, beside, dropped)
        notes = self._header_notes(header)
        if beside.profile and about.icc is None:
            notes.append("damaged colour profile ignored")
        about, coded_notes = colour.by_codes(about, *beside.codes, first=beside.codes_first)
        plan = colour.plan(header, about)
        dropped += [*beside.notes, *coded_notes, *plan.lost]
        pixels, decode_notes = self.decode(plan.change)
        if beside.no_alpha and pixels.shape[2] in (2, 4):
            pixels = pixels[..., :-1]
            dropped.append("last channel dropped: the file says that it is not transparency")
        rgb, alpha, grey = split(upright(pixels, orientation))
        notes = (*dropped, *notes, *plan.notes, *decode_notes)
        depth = 8 if header.format == "uchar" and rgb.dtype == np.uint16 else 0
        written, stored = self.form.written, self.form.stored
        return Photo(rgb, alpha, grey, plan.about, written, notes, stored, tuple(dropped), depth)

    def _damaged(self, said: str) -> RelumeError:
        if "out of memory" in said or "unable to allocate" in said.lower():
            return no_memory(self.opened.path)
        what = "cut off" if is_cut_off(said) else "damaged, cut off, or of an unsupported kind"
        return damaged(self.form.title, what, said, self.opened.path)

    def _metadata(self, image: pyvips.Image, beside: Extras) -> tuple[Metadata, int, list[str]]:
        """The metadata made upright, the orientation 1..8 still to be applied, and what is dropped."""
        exif, orientation, damage = self.exif(image, beside)
        dropped = [*beside.dropped, *damage]
        xmp = beside.xmp or vips.blob(image, "xmp-data")
        if xmp is not None:
            orientation = orientation or metadata.xmp_orientation(xmp)
        turn = orientation if orientation is not None and 1 <= orientation <= 8 else 1
        parts, lost = metadata.upright_parts(beside.parts, turn)
        if xmp is not None:
            xmp, gone = metadata.clean_xmp(xmp, parts)
            lost += gone
        dropped += [note for note in dict.fromkeys(lost) if note not in dropped]
        about = Metadata(
            exif=exif,
            xmp=xmp,
            iptc=beside.iptc,
            resources=beside.resources,
            icc=vips.blob(image, "icc-profile-data"),
            dpi=_dpi(image, stated=self.states_dpi(image, beside), turned=turn >= 5),
            comments=tuple(beside.comments),
            texts=tuple(beside.texts),
            parts=tuple(parts),
        )
        return about, 1 if self.turns else turn, dropped

    def _header_notes(self, image: pyvips.Image) -> list[str]:
        bits = number(image, "bits-per-sample", 8)
        if self.has_palette(image):
            return ["palette expanded to full colours"]
        if bits < 8:
            return [f"{bits} bits per channel expanded to 8"]
        return [] if bits in (8, 16) else [f"{bits} bits per channel scaled to 16"]


def number(image: pyvips.Image, name: str, default: int) -> int:
    """A whole number among what libvips tells of an image."""
    value = image.get(name) if image.get_typeof(name) else default
    return value if isinstance(value, int) else default


def is_cut_off(said: str) -> bool:
    """Whether a decoder complains that the file ends too soon."""
    return any(sign in said for sign in _CUT_OFF)


def sides(head: bytes, starts: list[int]) -> list[tuple[int, int]]:
    """Widths and heights as big-endian numbers of four bytes, at offsets of a file's head."""
    found = (head[at : at + 8] for at in starts)
    return [(int.from_bytes(one[:4], "big"), int.from_bytes(one[4:], "big")) for one in found]


def _check_kind(image: pyvips.Image, path: str) -> None:
    """Raise where the pixels are of a kind that relume does not take."""
    if image.interpretation in ("lab", "labs"):
        return
    if image.format not in ("uchar", "ushort"):
        kind = "floating-point" if image.format in ("float", "double") else f"'{image.format}'"
        raise InputInvalid(
            f"the photo has {kind} pixels", "Convert it to 16 bits per channel (unsigned) first.", path=path
        )
    most = 5 if image.interpretation == "cmyk" else 4
    if image.bands > most:
        raise InputInvalid(
            f"the photo has {image.bands} channels",
            "Save it as grey, RGB or CMYK, with or without alpha.",
            path=path,
        )


def _dpi(image: pyvips.Image, *, stated: bool, turned: bool) -> tuple[float, float] | None:
    across, down = round(image.xres * 25.4, 2), round(image.yres * 25.4, 2)
    if not stated or not all(0 < dots < MOST_DPI for dots in (across, down)):
        return None
    return (down, across) if turned else (across, down)


def _further_pictures(image: pyvips.Image, beside: Extras, dropped: list[str]) -> list[str]:
    """Notes on pictures in the file that are not read, beside a gain map that `dropped` names already."""
    pages = max(number(image, "n-pages", 1), beside.pictures - (metadata.GAIN_MAP in dropped))
    found: list[str] = []
    if pages > 1:
        found.append(f"only the first of {pages} pictures in the file is read")
    if beside.animated:
        found.append("only the first picture of the animation is read")
    return found
