"""Small photos, profiles and metadata for the tests."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
MAKER_NOTE = b"MAKERNOTE\0\1\2" * 9
IPTC = b"\x1c\x02\x05\x00\x05title" + b"\x1c\x02\x50\x00\x02Me"

# The primaries as CIE XYZ adapted to D50, in columns R, G, B, and the curve's exponent.
PROPHOTO = ([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0, 0, 0.82491]], 1.8)
LINEAR = ([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]], 1.0)
ADOBE_RGB = ([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]], 2.19922)


def icc_profile(columns: list[list[float]], gamma: float) -> bytes:
    """A matrix profile of version 2, by hand."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(x) + fixed(y) + fixed(z)

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {
        b"desc": text.ljust(96, b"\0"),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
    }
    for index, letter in enumerate((b"r", b"g", b"b")):
        tags[letter + b"XYZ"] = xyz(*(row[index] for row in columns))
        tags[letter + b"TRC"] = curve
    at = 128 + 4 + 12 * len(tags)
    table, blobs = struct.pack(">I", len(tags)), b""
    for name, blob in tags.items():
        table += name + struct.pack(">II", at + len(blobs), len(blob))
        blobs += blob
    size = 128 + len(table) + len(blobs)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642) + fixed(1) + fixed(0.8249)
    return head.ljust(128, b"\0") + table + blobs


def grey_profile(gamma: float = 2.2) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    at = 128 + 4 + 24
    table = (
        struct.pack(">I", 2)
        + b"wtpt"
        + struct.pack(">II", at, 20)
        + b"kTRC"
        + struct.pack(">II", at + 20, 16)
    )
    head = struct.pack(">I4sI4s4s4s", at + 36, b"test", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + white + curve


def table_profile(*, both_ways: bool = False) -> bytes:
    """A profile of tables by hand: from RGB to CIELAB and, with `both_ways`, from its lightness to greys."""
    corners = [(red, green, blue) for red in (0, 1) for green in (0, 1) for blue in (0, 1)]
    lab = bytes(
        byte
        for red, green, blue in corners
        for byte in (85 * (red + green + blue), 128 + 60 * (red - green), 128 + 60 * (green - blue))
    )
    ramps = 3 * bytes(range(256))
    unity = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    greys = bytes(12) + b"\xff" * 12
    tags = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)}
    for name, clut in ((b"A2B0", lab), (b"B2A0", greys))[: 1 + both_ways]:
        tags[name] = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + unity + ramps + clut + ramps
    at = 128 + 4 + 12 * len(tags)
    table, blobs = struct.pack(">I", len(tags)), b""
    for name, blob in tags.items():
        table += name + struct.pack(">II", at + len(blobs), len(blob))
        blobs += blob
    head = struct.pack(">I4sI4s4s4s", at + len(blobs), b"test", 0x02100000, b"scnr", b"RGB ", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + blobs


def exif(orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    """An EXIF block with GPS, a maker note and perhaps a thumbnail."""
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Maker", "Model", orientation
    inner = block.get_ifd(0x8769)
    inner[0x829A], inner[0x927C], inner[0xA434] = 0.125, MAKER_NOTE, "Lens"
    place = block.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (52.0, 30.0, 1.5), "E", (13.0, 24.0, 3.25)
    data = block.tobytes().removeprefix(b"Exif\0\0")
    return b"Exif\0\0" + (_with_thumbnail(data, thumbnail) if thumbnail else data)


def _with_thumbnail(data: bytes, thumbnail: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    count = struct.unpack_from(">H", data, 8)[0]
    link_at = 8 + 2 + 12 * count
    at = len(data)
    table = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, at + 30, 0x0202, 4, 1, len(thumbnail), 0)
    return data[:link_at] + struct.pack(">I", at) + data[link_at + 4 :] + table + thumbnail


def exif_facts(data: bytes) -> dict[str, object]:
    """What an image file's EXIF says, read by Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        block = image.getexif()
        inner, place = block.get_ifd(0x8769), block.get_ifd(0x8825)
        return {
            "maker": block.get(0x010F),
            "model": block.get(0x0110),
            "orientation": block.get(0x0112, 1),
            "exposure": float(inner.get(0x829A, 0)),
            "note": inner.get(0x927C),
            "lens": inner.get(0xA434),
            "latitude": tuple(float(part) for part in place.get(2, ())),
            "longitude": tuple(float(part) for part in place.get(4, ())),
        }


FACTS: dict[str, object] = {
    "maker": "Maker",
    "model": "Model",
    "orientation": 1,
    "exposure": 0.125,
    "note": MAKER_NOTE,
    "lens": "Lens",
    "latitude": (52.0, 30.0, 1.5),
    "longitude": (13.0, 24.0, 3.25),
}


def pillow_file(pixels: np.ndarray, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def ramp(bits: int = 8, height: int = 24, width: int = 32) -> np.ndarray:
    """A smooth picture that lossy formats keep well, and that no turning leaves the same."""
    top = 2**bits - 1
    y, x = np.mgrid[0:height, 0:width]
    planes = [x / (width - 1), y / (height - 1), (x + 2 * y) / (width + 2 * height - 3)]
    return np.stack([(0.1 + 0.7 * plane) * top for plane in planes], axis=-1).astype(
        np.uint8 if bits == 8 else np.uint16
    )
