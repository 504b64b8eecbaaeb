"""The file formats: what each can hold, and how a file's first bytes give its format away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from relume.errors import InputInvalid, OutputUnwritable


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A file format that relume reads.

    Attributes:
        name: what `sniff` calls it.
        title: the name people write.
        suffixes: file name endings, the usual one first.
        result: name of the format in which results are written by default; "" for its own.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    result: str = ""

    @property
    def written(self) -> str:
        """Name of the format in which results are written by default."""
        return self.result or self.name

    @property
    def stored(self) -> str:
        """Its name if relume writes it, too; else ""."""
        return "" if self.result else self.name


@dataclass(frozen=True, kw_only=True)
class Format(Readable):
    """A file format that relume writes, too, and what it can hold.

    Attributes:
        name: key in `FORMATS`.
        mime: media type.
        alpha: holds transparency.
        bits: most bits per channel that relume writes: 8, 12 or 16.
        max_side: most pixels per side.
        iptc: holds an IPTC block (EXIF, XMP and ICC fit every format here).
        comments: holds comments without a name.
        texts: holds named texts.
        grey: stores a grey photo as one channel; the others store it as RGB with equal channels.
        quality: default quality 1..100 of a lossy format, None for a lossless one.
    """

    mime: str
    alpha: bool
    bits: int
    max_side: int
    iptc: bool
    comments: bool = False
    texts: bool = False
    grey: bool
    quality: int | None

    @property
    def lossy(self) -> bool:
        return self.quality is not None


_ALL = (
    Format(
        name="jpeg",
        title="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        mime="image/jpeg",
        alpha=False,
        bits=8,
        max_side=65500,
        iptc=True,
        comments=True,
        grey=True,
        quality=95,
    ),
    Format(
        name="png",
        title="PNG",
        suffixes=(".png",),
        mime="image/png",
        alpha=True,
        bits=16,
        max_side=2**31 - 1,
        iptc=False,
        texts=True,
        grey=True,
        quality=None,
    ),
    Format(
        name="webp",
        title="WebP",
        suffixes=(".webp",),
        mime="image/webp",
        alpha=True,
        bits=8,
        max_side=16383,
        iptc=False,
        grey=False,
        quality=90,
    ),
    Format(
        name="tiff",
        title="TIFF",
        suffixes=(".tif", ".tiff"),
        mime="image/tiff",
        alpha=True,
        bits=16,
        max_side=2**31 - 1,
        iptc=True,
        grey=True,
        quality=None,
    ),
    Format(
        name="avif",
        title="AVIF",
        suffixes=(".avif",),
        mime="image/avif",
        alpha=True,
        bits=12,
        max_side=16384,
        iptc=False,
        grey=False,
        quality=80,
    ),
)
FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in _ALL})

TITLES = ", ".join(one.title for one in FORMATS.values())
_BY_NAME = {name.lower().lstrip("."): one for one in FORMATS.values() for name in (one.name, *one.suffixes)}

HEIF = Readable(name="heif", title="HEIC", suffixes=(".heic", ".heif", ".hif"), result="jpeg")
JXL = Readable(name="jxl", title="JPEG XL", suffixes=(".jxl",), result="jpeg")
GIF = Readable(name="gif", title="GIF", suffixes=(".gif",), result="png")
BMP = Readable(name="bmp", title="BMP", suffixes=(".bmp", ".dib"), result="png")
PNM = Readable(name="pnm", title="PNM", suffixes=(".pnm", ".ppm", ".pgm", ".pbm"), result="png")
RAW = Readable(
    name="raw",
    title="camera raw",
    suffixes=(
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".mrw", ".nef", ".nrw", ".orf", ".pef"),
        *(".raf", ".rw2", ".rwl", ".sr2", ".srw"),
    ),
    result="tiff",
)
READ_ONLY = (HEIF, JXL, GIF, BMP, PNM, RAW)

READABLE: Mapping[str, Readable] = MappingProxyType({one.name: one for one in (*_ALL, *READ_ONLY)})
"""All formats that are read, by name."""

READABLE_SUFFIXES: Mapping[str, Format] = MappingProxyType(
    {suffix: FORMATS[one.written] for one in READABLE.values() for suffix in one.suffixes}
)
"""File name endings of photos that can be read -> the format in which results are written by default."""

IMAGE_SUFFIXES = frozenset(
    (
        ".exr",
        ".fits",
        ".hdr",
        ".ico",
        ".j2k",
        ".jp2",
        ".jpf",
        ".jpx",
        ".pcx",
        ".psb",
        ".psd",
        ".svg",
        ".tga",
        ".xcf",
    )
).union(READABLE_SUFFIXES)
"""File name endings, in lower case, that tell an image, also one that relume cannot read."""

# Enough of a file to tell its format: an AVIF file lists its brands near the start.
HEAD_BYTES = 4096

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),
    (b"II\x1a\0\0\0HEAPCCDR", "raw"),
    (b"\0MRM", "raw"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    *((b"P%d" % kind + space, "pnm") for kind in range(1, 7) for space in (b"\n", b" ", b"\r", b"\t", b"#")),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)

# Only to name a refused file in the message; nothing here is ever decoded.
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xffO\xffQ", "a JPEG 2000"),
    (b"v/1\1", "an OpenEXR"),
    (b"#?RADIANCE", "a Radiance HDR"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def parse_format(name: str) -> Format:
    """The format of a name or suffix ("jpeg", "jpg", ".JPG").

    Raises:
        OutputUnwritable: relume writes no such format.
    """
    found = _BY_NAME.get(name.lower().lstrip("."))
    if found is None:
        raise OutputUnwritable(f"relume cannot write the format {name[:20]!r}", f"Choose one of {TITLES}.")
    return found


def _sniff_iso(head: bytes) -> tuple[str, str]:
    """Kind and description of an ISO media file (AVIF, HEIC, CR3, MP4) from its `ftyp` box."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, size, 4)}
    if brands & {b"avif", b"avis"}:
        return "avif", ""
    if brands.intersection(_HEIC_BRANDS):
        return HEIF.name, ""
    return (RAW.name, "") if b"crx " in brands else ("", "a video or another media file")


def _looks_like_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in head[:512])


def _describe(head: bytes) -> str:
    for magic, what in _REFUSED:
        if head.startswith(magic):
            return what
    if b"<svg" in head:
        return "an SVG"
    return "text" if _looks_like_text(head) else "no image that relume knows"


def sniff(head: bytes, path: str) -> str:
    """The kind of a file from its first `HEAD_BYTES` bytes; its name does not count.

    Returns:
        A name in `READABLE`. Some raw files are TIFF files by their first bytes.

    Raises:
        InputInvalid: an empty file, or a format that relume does not read.
    """
    if not head:
        raise InputInvalid("the file is empty", "Copy the photo again from where it came.", path=path)
    what = ""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return RAW.name if head[8:10] == b"CR" else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        name, what = _sniff_iso(head)
        if name:
            return name
    what = what or _describe(head)
    known = ", ".join(one.title for one in READABLE.values())
    raise InputInvalid(
        f"the file is {what}", f"Give relume a photo in one of these formats: {known}.", path=path
    )
