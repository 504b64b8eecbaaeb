"""A mark in the metadata of photos that were written in place, so that the next run leaves them as they are.

It is a property of relume's own in the XMP packet, which every format that relume writes can carry. A second
enhancement of a JPEG would brighten again what is bright, and code it once more.
"""

from __future__ import annotations

import re
from dataclasses import replace

from relume.photo import Metadata, Photo

_NAMESPACE = "urn:relume:1.0:"
_RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
_MARK = f'<rdf:Description {_RDF} rdf:about="" xmlns:relume="{_NAMESPACE}" relume:Enhanced="True"/>'
_LIST = f"<rdf:RDF {_RDF}>{_MARK}</rdf:RDF>"
PACKET = (
    f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{_LIST}</x:xmpmeta><?xpacket end="w"?>'
).encode()
"""A packet that holds the mark alone."""

# Where the mark goes: before the end of the last list of descriptions, into one that is empty, into a packet
# without one.
_END = re.compile(r"</(?:[\w.-]+:)?RDF\s*>")
_PLACES = (
    (re.compile(r"<((?:[\w.-]+:)?RDF)\b([^<>]*)/>"), rf"<\1\2>{_MARK}</\1>"),
    (re.compile(r"<((?:[\w.-]+:)?xmpmeta)\b([^<>]*)/>"), rf"<\1\2>{_LIST}</\1>"),
    (re.compile(r"(?=</(?:[\w.-]+:)?xmpmeta\s*>)"), _LIST),
)
_PADDING_ENDS = "<?xpacket end"
_ERRORS = "surrogateescape"
_LARGEST = 65_504
"""Bytes of a packet that one segment of a JPEG file holds."""


def is_stamped(photo: Photo) -> bool:
    """Whether relume wrote this photo in place."""
    return _NAMESPACE in _text(photo.metadata.xmp or b"")[0]


def is_bare(photo: Photo) -> bool:
    """Whether a photo that relume wrote in place holds nothing that leaving metadata out would take away."""
    about = photo.metadata
    return about.xmp == PACKET and replace(about, xmp=None, dpi=None) == Metadata()


def stamped(photo: Photo) -> Photo:
    """The photo with the mark, if its packet can take it."""
    xmp = photo.metadata.xmp
    if is_stamped(photo):
        return photo
    marked = PACKET if xmp is None else _marked(xmp)
    if marked is None or (photo.stored == "jpeg" and len(marked) > _LARGEST):
        return photo
    return replace(photo, metadata=replace(photo.metadata, xmp=marked))


def _marked(xmp: bytes) -> bytes | None:
    """The packet with the mark, without padding where it is too long; None where it has no place for it."""
    said, encoding = _text(xmp)
    marked = _with_mark(said)
    if marked is None:
        return None
    if len(marked.encode(encoding, _ERRORS)) > _LARGEST:
        padded, end, rest = marked.rpartition(_PADDING_ENDS)
        marked = padded.rstrip() + end + rest if end else marked.rstrip()
    return marked.encode(encoding, _ERRORS)


def _with_mark(said: str) -> str | None:
    ends = [found.start() for found in _END.finditer(said)]
    if ends:
        return said[: ends[-1]] + _MARK + said[ends[-1] :]
    for place, mark in _PLACES:
        marked, count = place.subn(mark, said, count=1)
        if count:
            return marked
    return None


def _text(xmp: bytes) -> tuple[str, str]:
    """A packet as text, and its encoding; bytes that are none stay what they are."""
    for sign, encoding in ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if sign in xmp[:4]:
            try:
                return xmp.decode(encoding), encoding
            except UnicodeDecodeError:
                break
    return xmp.decode("utf-8", _ERRORS), "utf-8"
