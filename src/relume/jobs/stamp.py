"""A mark in the metadata of photos that were enhanced in place, so that the next run leaves them as they are.

It is a property of relume's own in the XMP packet, which every format that relume writes can carry. A second
enhancement of a JPEG would brighten again what is bright, and code it once more.
"""

from __future__ import annotations

from dataclasses import replace

from relume.photo import Photo

_NAMESPACE = b"urn:relume:1.0:"
_END = b"</rdf:RDF>"
_MARK = b'<rdf:Description rdf:about="" xmlns:relume="%b" relume:Enhanced="True"/>' % _NAMESPACE
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%b</rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
_LARGEST = 65_000
"""Bytes of a packet that one segment of a JPEG file holds."""


def is_stamped(photo: Photo) -> bool:
    """Whether relume enhanced this photo in place."""
    return _NAMESPACE in (photo.metadata.xmp or b"")


def stamped(photo: Photo) -> Photo:
    """The photo with the mark, if its packet can take it."""
    xmp = photo.metadata.xmp
    if xmp is None:
        marked = _PACKET % _MARK
    else:
        before, end, after = xmp.rpartition(_END)
        marked = before + _MARK + end + after
        if not end or len(marked) > _LARGEST:  # another encoding, or no room
            return photo
    return replace(photo, metadata=replace(photo.metadata, xmp=marked))
