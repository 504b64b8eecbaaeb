"""Photos in and out: reading, writing and all that a file holds besides pixels.

A machine that only trains may lack pyvips, so what needs it is imported when it is asked for.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if find_spec("pyvips") is not None:
    try:
        import_module("pyvips")  # before all that needs it
    except OSError as error:
        raise ImportError(f"pyvips: {error}", name="pyvips") from error

from relume.photo.formats import FORMATS, READABLE_SUFFIXES, Format
from relume.photo.photo import Metadata, Part, Photo, Pixels

if TYPE_CHECKING:
    from relume.photo.read import read_photo
    from relume.photo.write import encode_photo, write_photo

_HOMES = {
    "encode_photo": "relume.photo.write",
    "read_photo": "relume.photo.read",
    "write_photo": "relume.photo.write",
}

__all__ = [
    "FORMATS",
    "READABLE_SUFFIXES",
    "Format",
    "Metadata",
    "Part",
    "Photo",
    "Pixels",
    "encode_photo",
    "read_photo",
    "write_photo",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'relume.photo' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
