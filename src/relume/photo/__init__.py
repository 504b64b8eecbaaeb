"""Photos in and out: reading, writing and all that a file holds besides pixels."""

try:
    import pyvips as _pyvips  # noqa: F401 - before all that needs it
except OSError as error:
    raise ImportError(f"pyvips: {error}", name="pyvips") from error

from relume.photo.formats import FORMATS, READABLE_SUFFIXES, Format
from relume.photo.photo import Metadata, Part, Photo, Pixels
from relume.photo.read import read_photo
from relume.photo.write import encode_photo, write_photo

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
