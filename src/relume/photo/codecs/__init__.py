"""The file formats, a module each: `read` a file of it, and `save` one where relume writes it.

A module is loaded when a file of its format is met, with the optional package that it may need.
"""

from __future__ import annotations

from importlib import import_module
from typing import BinaryIO, Protocol, cast

import pyvips

from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo

__all__ = ["Reads", "Writes", "reader", "writer"]


class Reads(Protocol):
    """What the module of each format does."""

    @staticmethod
    def read(opened: Opened, max_pixels: int) -> Photo | bytes:
        """The photo, or the file of another format that this one holds whole.

        Raises:
            InputInvalid: truncated, damaged, or pixels of an unsupported kind.
            InputTooLarge: beyond `max_pixels`, or more than memory holds.
            MissingExtra: the optional package that reads it is not installed.
        """
        ...


class Writes(Protocol):
    """What the modules of the formats in `FORMATS` do as well."""

    @staticmethod
    def save(image: pyvips.Image, about: Metadata, sink: BinaryIO, *, quality: int, bits: int) -> list[str]:
        """Stream the encoded image with its metadata into an empty, seekable file; returns notes.

        Args:
            quality: 1..100; lossless formats ignore it.
            bits: 8 or 16, of the photo.

        Raises:
            vips.Failed: the encoder failed.
        """
        ...


def reader(name: str) -> Reads:
    """What reads a format of `READABLE`."""
    return cast(Reads, import_module(f"{__name__}.{name}"))


def writer(name: str) -> Writes:
    """What writes a format of `FORMATS`."""
    return cast(Writes, import_module(f"{__name__}.{name}"))
