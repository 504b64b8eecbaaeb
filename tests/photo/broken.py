"""Files that are no photos, or photos no longer: what `relume` must refuse cleanly.

`broken_files(folder)` makes them; other tests (the command line's) use it too.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PIL_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "avif": "AVIF"}


def noise(height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3)).astype(np.uint8)


def sound(name: str, **options: object) -> bytes:
    """A small sound photo in a format, by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(noise()).save(stream, _PIL_NAMES[name], **options)
    return stream.getvalue()


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(width: int, height: int, bits: int = 8, colour: int = 2, data: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = b"" if data is None else chunk(b"IDAT", data)
    return PNG_MAGIC + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def tiff(
    width: int = 2,
    height: int = 2,
    *,
    bits: int = 8,
    channels: int = 3,
    kind: int = 1,
    photometric: int = 2,
    data: bytes | None = None,
    extra: int | None = None,
    data_at: int | None = None,
    next_at: int = 0,
    compression: int = 1,
) -> bytes:
    """A little-endian TIFF file by hand; `kind` is the sample format (1 unsigned, 2 signed, 3 float)."""
    if data is None:
        data = bytes(min(width * height * channels * bits // 8, 4096))
    many = [bits] * channels
    tags: list[tuple[int, int, list[int]]] = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, many),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (273, 4, [-1]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(data)]),
        (284, 3, [1]),
        (339, 3, [kind] * channels),
    ]
    if extra is not None:
        tags.insert(-1, (338, 3, [extra]))
    table_end = 8 + 2 + 12 * len(tags) + 4
    blobs_size = sum(2 * len(values) for _, unit, values in tags if unit == 3 and len(values) > 2)
    pixels_at = table_end + blobs_size if data_at is None else data_at
    table, blobs = b"", b""
    for tag, unit, values in tags:
        raw = b"".join(struct.pack("<H" if unit == 3 else "<I", pixels_at if v == -1 else v) for v in values)
        if len(raw) > 4:
            table += struct.pack("<HHII", tag, unit, len(values), table_end + len(blobs))
            blobs += raw
        else:
            table += struct.pack("<HHI", tag, unit, len(values)) + raw.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + table + struct.pack("<I", next_at) + blobs + data


def _flipped(data: bytes, at: int, count: int = 1) -> bytes:
    changed = bytearray(data)
    for index in range(at, at + count):
        changed[index] ^= 0xFF
    return bytes(changed)


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _cut() -> dict[str, bytes]:
    """Every format cut off at several points."""
    files: dict[str, bytes] = {}
    for name in _PIL_NAMES:
        data = sound(name)
        for label, size in (("16-bytes", 16), ("tenth", len(data) // 10), ("half", len(data) // 2)):
            files[f"{name}-cut-{label}.{name}"] = data[:size]
        files[f"{name}-cut-end.{name}"] = data[:-24]
    files["jpeg-progressive-cut.jpg"] = sound("jpeg", progressive=True)[:-600]
    files["tiff-deflate-cut.tif"] = sound("tiff", compression="tiff_deflate")[:-1500]
    return files


def _damaged() -> dict[str, bytes]:
    """Sound files with damage inside."""
    one = {name: sound(name) for name in _PIL_NAMES}
    data_at = one["png"].index(b"IDAT")
    frame_at = one["jpeg"].index(b"\xff\xc0")
    scan_at = one["jpeg"].index(b"\xff\xda")
    vp8_at = one["webp"].index(b"VP8 ")
    return {
        "png-bad-magic.png": b"\x88" + one["png"][1:],
        "png-bad-header-crc.png": _flipped(one["png"], 30),
        "png-bad-data-crc.png": _flipped(one["png"], len(one["png"]) - 14),
        "png-bad-data.png": _flipped(one["png"], data_at + 40, 8),
        "png-empty-data.png": png(10, 10, data=b""),
        "png-no-data.png": png(10, 10),
        "png-short-data.png": png(10, 10, data=zlib.compress(b"\0" * 20)),
        "png-zero-width.png": png(0, 10, data=zlib.compress(b"\0" * 40)),
        "png-zero-height.png": png(10, 0, data=zlib.compress(b"")),
        "png-bad-depth.png": png(10, 10, bits=5, data=zlib.compress(b"\0" * 400)),
        "png-bad-colour-type.png": png(10, 10, colour=5, data=zlib.compress(b"\0" * 400)),
        "png-palette-missing.png": png(4, 4, colour=3, data=zlib.compress(b"\0" * 20)),
        "png-negative-size.png": png(2**31, 1, data=zlib.compress(b"\0")),
        "png-only-magic.png": PNG_MAGIC,
        "jpeg-only-start.jpg": b"\xff\xd8\xff",
        "jpeg-start-end.jpg": b"\xff\xd8\xff\xd9",
        "jpeg-no-scan.jpg": one["jpeg"][:scan_at],
        "jpeg-no-scan-but-end.jpg": one["jpeg"][:scan_at] + b"\xff\xd9",
        "jpeg-scan-damaged.jpg": _patched(one["jpeg"], len(one["jpeg"]) // 2, b"\x33\xff" * 30),
        "jpeg-zero-width.jpg": _patched(one["jpeg"], frame_at + 7, b"\0\0"),
        "jpeg-height-too-tall.jpg": _patched(one["jpeg"], frame_at + 5, b"\x08\x00"),
        "jpeg-bad-precision.jpg": _patched(one["jpeg"], frame_at + 4, b"\x05"),
        "jpeg-nine-components.jpg": _patched(one["jpeg"], frame_at + 9, b"\x09"),
        "jpeg-tables-zeroed.jpg": _patched(one["jpeg"], one["jpeg"].index(b"\xff\xc4") + 4, bytes(40)),
        "webp-size-too-long.webp": _patched(one["webp"], 4, b"\xff\xff\xff\x7f"),
        "webp-frame-damaged.webp": _flipped(one["webp"], vp8_at + 8, 12),
        "webp-no-frame.webp": b"RIFF\x04\0\0\0WEBP",
        "webp-unknown-chunk.webp": b"RIFF\x14\0\0\0WEBPABCD\x08\0\0\0" + bytes(8),
        "avif-no-meta.avif": one["avif"][: int.from_bytes(one["avif"][:4], "big")],
        "avif-meta-damaged.avif": _flipped(one["avif"], one["avif"].index(b"iloc") + 8, 12),
        "avif-data-damaged.avif": _flipped(one["avif"], len(one["avif"]) - 900, 400),
        "avif-data-zeroed.avif": one["avif"][: one["avif"].index(b"mdat") + 4] + bytes(900),
    }


def _bad_tiffs() -> dict[str, bytes]:
    return {
        "tiff-float.tif": tiff(bits=32, kind=3),
        "tiff-half-float.tif": tiff(bits=16, kind=3),
        "tiff-double.tif": tiff(bits=64, kind=3),
        "tiff-signed.tif": tiff(bits=16, kind=2),
        "tiff-32-bit.tif": tiff(bits=32),
        "tiff-12-bit.tif": tiff(bits=12),
        "tiff-complex.tif": tiff(bits=64, kind=6, channels=1, photometric=1),
        "tiff-six-channels.tif": tiff(channels=6, extra=0),
        "tiff-bad-directory-offset.tif": _patched(tiff(), 4, b"\xff\xff\xff\x7f"),
        "tiff-bad-pixel-offset.tif": tiff(data_at=2**31),
        "tiff-no-entries.tif": b"II*\0\x08\0\0\0" + bytes(8),
        "tiff-directory-is-itself.tif": b"II*\0\x00\0\0\0" + bytes(64),
        "tiff-zero-size.tif": tiff(0, 0),
        "tiff-bad-compression.tif": tiff(compression=9999),
        "tiff-bad-deflate.tif": tiff(compression=8, data=b"\x78\x9c" + b"\xff" * 60),
        "tiff-header-only.tif": b"MM\0*\0\0\0\x08",
        "bigtiff-cut.tif": b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + b"\x09",
        "raw-camera.dng": _as_raw(),
    }


def _as_raw() -> bytes:
    """A TIFF file whose directory says that it is a camera's raw file (DNG)."""
    stream = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(stream, "TIFF", tiffinfo={50706: b"\x01\x04\0\0"})
    return stream.getvalue()


def _bombs() -> dict[str, bytes]:
    """Small files that would unpack to very many pixels."""
    jpeg = sound("jpeg")
    wide = (16383).to_bytes(2, "little")
    lossless = b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(12)
    return {
        "bomb.png": png(100_000, 100_000, data=zlib.compress(bytes(100_000))),
        "bomb-grey-1-bit.png": png(400_000, 400_000, bits=1, colour=0, data=zlib.compress(bytes(50_000))),
        "bomb.tif": tiff(100_000, 100_000),
        "bomb-deflate.tif": tiff(60_000, 60_000, compression=8, data=zlib.compress(bytes(100_000))),
        "bomb.jpg": _patched(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", 65500, 65500)),
        "bomb.webp": _riff(
            b"VP8 " + struct.pack("<I", 20) + b"\x30\x01\x00\x9d\x01\x2a" + wide + wide + bytes(10)
        ),
        "bomb-lossless.webp": _riff(b"VP8L" + struct.pack("<I", len(lossless)) + lossless + b"\0"),
        "bomb-canvas.webp": _riff(b"VP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\xff" * 2),
        "bomb.avif": _avif_of_size(60_000, 60_000),
    }


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _avif_of_size(width: int, height: int) -> bytes:
    data = sound("avif")
    return _patched(data, data.index(b"ispe") + 8, struct.pack(">II", width, height))


def _other_formats() -> dict[str, bytes]:
    """Things that are not a photo in one of the formats, some under a photo's name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photo.jpg", sound("jpeg"))
    bmp, gif, ico = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(noise()).save(bmp, "BMP")
    Image.fromarray(noise()).save(gif, "GIF")
    Image.fromarray(noise()).save(ico, "ICO")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    entity = '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return {
        "empty.jpg": b"",
        "one-byte.png": b"\x89",
        "text.jpg": b"This is not a photo.\n",
        "utf-16.png": "no photo".encode("utf-16"),
        "page.jpg": b"<!doctype html><html><body>404 Not Found</body></html>",
        "data.json": b'{"photo": null}',
        "table.csv": b"1,2,3\n4,5,6\n",
        "drawing.svg": svg.encode(),
        "entity.svg": (entity + svg.replace("<rect", "<text>&x;</text><rect")).encode(),
        "script.mvg": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'ephemeral:x'\n",
        "paper.pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "cut.gif": gif.getvalue()[:900],
        "cut.bmp": bmp.getvalue()[:900],
        "picture.ico": ico.getvalue(),
        "cut.ppm": b"P6 2 2 255\n" + bytes(11),
        "psd-as.jpg": b"8BPS\0\1" + bytes(60),
        "picture.psd": b"8BPS\0\1" + bytes(60),
        "picture.jxl": b"\xff\x0a" + bytes(60),
        "picture-boxed.jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40),
        "picture.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        "picture.exr": b"v/1\1\2\0\0\0" + bytes(60),
        "picture.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60),
        "film.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(60),
        "film.avi": b"RIFF\x40\0\0\0AVI LIST" + bytes(60),
        "raw.cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(60),
        "raw.raf": b"FUJIFILMCCD-RAW 0201" + bytes(60),
        "archive.zip": stream.getvalue(),
        "packed.gz": b"\x1f\x8b\x08\0" + bytes(40),
        "program.elf": b"\x7fELF\2\1\1" + bytes(60),
        "vips.v": b"\xb6\xa6\xf2\x08" + bytes(100),
        "zeros.jpg": bytes(5000),
        "random.jpg": np.random.default_rng(3).bytes(5000),
        "random-after-magic.jpg": b"\xff\xd8\xff\xe0" + np.random.default_rng(4).bytes(5000),
        "random-after-magic.png": PNG_MAGIC + np.random.default_rng(5).bytes(5000),
        "random-after-magic.webp": _riff(b"VP8 " + np.random.default_rng(6).bytes(5000)),
        "random-after-magic.tif": b"II*\0" + np.random.default_rng(8).bytes(5000),
        "random-after-magic.avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"
        + np.random.default_rng(9).bytes(5000),
    }


def _no_files(folder: Path) -> dict[str, Path]:
    """Paths at which there is no regular file."""
    made = {name: folder / name for name in ("missing.jpg", "folder.jpg", "dangling.jpg", "loop.jpg")}
    made["folder.jpg"].mkdir()
    made["dangling.jpg"].symlink_to(folder / "nowhere.jpg")
    made["loop.jpg"].symlink_to(made["loop.jpg"])
    made["inside-a-file.jpg"] = folder / "text.jpg" / "photo.jpg"
    made["name-too-long.jpg"] = folder / ("x" * 300 + ".jpg")
    if hasattr(os, "mkfifo"):
        made["pipe.jpg"] = folder / "pipe.jpg"
        os.mkfifo(made["pipe.jpg"])
        made["device"] = Path("/dev/zero")
    if hasattr(socket, "AF_UNIX") and len(str(folder)) < 80:
        made["socket.jpg"] = folder / "socket.jpg"
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(made["socket.jpg"]))
    return made


def broken_files(folder: Path) -> dict[str, Path]:
    """Make every broken input in `folder` (which exists and is empty); name -> path."""
    paths: dict[str, Path] = {}
    for group in (_cut(), _damaged(), _bad_tiffs(), _bombs(), _other_formats()):
        for name, data in group.items():
            paths[name] = folder / name
            paths[name].write_bytes(data)
    return paths | _no_files(folder)
