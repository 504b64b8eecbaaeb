"""HEIC and HEIF, read through the optional package `pi-heif` (libheif)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.errors import MissingExtra, RelumeError, install
from relume.photo import colour, metadata, vips
from relume.photo.boxes import boxes
from relume.photo.codecs.array import as_photo
from relume.photo.formats import HEIF
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import fill_range
from relume.photo.refusals import check_size, damaged, no_memory

# What pi-heif raises for files that it cannot read, an IndexError for those without a picture.
_ERRORS = (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError)

# How the roles of pictures end that are transparency, or maps of depth, of which pi-heif tells apart.
_TOLD = ("auxid:1", "auxid:2", "auxiliary:alpha", "auxiliary:depth")


def read(opened: Opened, max_pixels: int) -> Photo:
    """Read the main picture of a HEIC or HEIF file, which libheif itself turns upright.

    Args:
        opened: the file, which is read whole.
        max_pixels: most pixels to accept, checked before any is decoded.

    Raises:
        InputInvalid: truncated or damaged, or of a kind that libheif does not read.
        InputTooLarge: beyond `max_pixels`, or more than memory holds.
        MissingExtra: `pi-heif` is not installed.
    """
    data, path = opened.whole(), opened.path
    try:
        pi_heif: Any = import_module("pi_heif")  # which has no types
    except ImportError:
        raise MissingExtra("HEIC needs pi-heif", install("heif"), path=path) from None
    try:
        _check_items(data)
        file = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
        image = file[file.primary_index]
    except _ERRORS as error:
        raise _failed(error, path) from error
    width, height = image.size
    check_size(width, height, path, max_pixels)
    about, dropped, notes = _metadata(image.info)
    if len(file) > 1:
        dropped.append(f"only the main one of {len(file)} pictures in the file is read")
    bits = image.info["bit_depth"]
    if bits > 8:
        notes.append(f"{bits} bits per channel scaled to 16")
    try:
        pixels = _pixels(image, bits)
    except _ERRORS as error:
        raise _failed(error, path) from error
    return as_photo(
        pixels, about, HEIF, lambda said: _failed(ValueError(said), path), dropped=dropped, notes=notes
    )


def _check_items(data: bytes) -> None:
    """Raise ValueError where an item's type or name is not text: pi-heif 1.4.0 crashes on such metadata."""
    for name, meta, meta_end in boxes(data, 0, len(data)):
        if name != b"meta":
            continue
        for inner, items, items_end in boxes(data, meta + 4, meta_end):
            if inner != b"iinf":
                continue
            first = items + (8 if data[items : items + 1] > b"\0" else 6)
            for _, item, item_end in boxes(data, first, items_end):
                _check_item(data[item:item_end])


def _check_item(entry: bytes) -> None:
    kind_at = 10 if entry[:1] == b"\3" else 8
    for text in (entry[kind_at : kind_at + 4], entry[kind_at + 4 :]):
        try:
            text.decode()
        except UnicodeDecodeError:
            raise ValueError("an item of its metadata has a damaged name") from None


def _failed(error: Exception, path: str) -> RelumeError:
    said = "".join(char for char in " ".join(str(error).split()) if char.isprintable())
    if "security limit" in said.lower() or "memory" in said.lower():
        return no_memory(path)
    cut_off = "end of file" in said
    what = "cut off" if cut_off else "damaged, cut off, or of an unsupported kind"
    return damaged("HEIC", what, said.removeprefix("Invalid input: ")[:90].rstrip(" .(:"), path)


def _metadata(info: Mapping[str, Any]) -> tuple[Metadata, list[str], list[str]]:
    """The metadata made upright, what is dropped, and further notes."""
    auxiliary = [role.lower() for role in info.get("aux", {})]
    dropped = [metadata.GAIN_MAP] if any("gainmap" in role for role in auxiliary) else []
    dropped += ["depth map dropped"] if info.get("depth_images") else []
    if any(not role.endswith(_TOLD) and "gainmap" not in role for role in auxiliary):
        dropped.append(metadata.OTHER_PICTURE)
    notes: list[str] = []
    exif, xmp, lost = metadata.cleaned(info.get("exif"), info.get("xmp"))
    dropped += [note for note in lost if note not in dropped]
    about = Metadata(exif=exif, xmp=xmp, icc=info.get("icc_profile") or None)
    codes = info.get("nclx_profile")
    if codes:
        about, notes = colour.by_codes(
            about, int(codes["color_primaries"]), int(codes["transfer_characteristics"])
        )
    return about, dropped, notes


def _pixels(image: Any, bits: int) -> npt.NDArray[Any]:
    """The decoded pixels, H x W x C, over the whole range of 8 or 16 bits."""
    decoded = np.asarray(image)
    pixels = decoded.reshape(*decoded.shape[:2], -1).copy()
    fill_range(pixels, bits)
    return _unpremultiplied(pixels) if image.premultiplied_alpha else pixels


def _unpremultiplied(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with vips.calls(ValueError):
        wrapped = vips.wrap(pixels)
        plain = wrapped.unpremultiply(max_alpha=np.iinfo(pixels.dtype).max)
        return vips.pixels(plain.rint().cast(wrapped.format))
