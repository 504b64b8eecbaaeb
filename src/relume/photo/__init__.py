"""Photos in and out: reading, writing and all that a file holds besides pixels."""

from relume.photo.formats import FORMATS, READABLE_SUFFIXES, Format
from relume.photo.photo import Metadata, Photo, Pixels
from relume.photo.read import read_photo
from relume.photo.write import encode_photo, write_photo

__all__ = [
    "FORMATS",
    "READABLE_SUFFIXES",
    "Format",
    "Metadata",
    "Photo",
    "Pixels",
    "encode_photo",
    "read_photo",
    "write_photo",
]
