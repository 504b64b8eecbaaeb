"""Reading photos: header first, limits next, pixels last, straight into one array."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyvips

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable, RelumeError, UsageError
from relume.options import DEFAULT_MAX_PIXELS
from relume.photo import avif, colour, ifd, jpeg, metadata, vips
from relume.photo.formats import BMP, GIF, HEAD_BYTES, HEIF, JXL, PNM, RAW, READABLE, Readable, sniff
from relume.photo.ifd import ORIENTATION, RESOLUTION_UNIT, Directory
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import fill_range, split, upright, whole_range
from relume.photo.refusals import MOST_DPI, check_size, damaged, no_memory
from relume.photo.scan import Extras, extras

MAX_BYTES = 512 << 20

Source: TypeAlias = os.PathLike[str] | str | bytes | bytearray | memoryview
"""A photo's file, or the bytes of one."""

# How the decoders say that a file ends too soon.
_CUT_OFF = ("premature end of JPEG", "Read error", "Unexpected end of file")


@dataclass(frozen=True)
class _Input:
    """An opened photo: its name for messages, its bytes by offset, and a fresh libvips source.

    `options` are further ones for libvips' loader.
    """

    path: str
    size: int
    read_at: Callable[[int, int], bytes]
    source: Callable[[], pyvips.Source]
    options: dict[str, Any] = field(default_factory=dict)


def read_photo(source: Source, *, max_pixels: int = DEFAULT_MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Photo:
    """Read a photo: upright, with sRGB's curve, at the bit depth of its file.

    The formats (`relume.photo.formats.READABLE`) are told apart by their content, never by their name.
    The limits are checked on the header, before any pixel is decoded.

    Args:
        source: a file, or the bytes of one.
        max_pixels: most pixels (width x height) to accept.
        max_bytes: largest file to accept.

    Returns:
        The photo; `notes` say what reading had to change.

    Raises:
        InputUnreadable: missing, a folder, a pipe or device, or no permission.
        InputInvalid: not one of the formats, truncated, damaged, or pixels of an unsupported kind.
        InputTooLarge: beyond `max_pixels` or `max_bytes`, or more than memory holds.
        MissingExtra: HEIC, JPEG XL or camera raw, and the optional package that reads it is not installed.
        UsageError: neither a path nor bytes.
    """
    with _opened(source) as opened:
        if opened.size > max_bytes:
            raise InputTooLarge(
                f"the file has {opened.size:,} bytes, more than the limit of {max_bytes:,}",
                "Save it smaller first; from Python, `max_bytes` raises the limit.",
                path=opened.path,
            )
        kind = sniff(opened.read_at(0, HEAD_BYTES), opened.path)
        try:
            return _read(opened, kind, max_pixels)
        except MemoryError:
            raise no_memory(opened.path) from None


# The formats whose whole file a module of its own reads, and which needs a package that is loaded only then.
_READERS = {
    HEIF.name: "relume.photo.heif",
    JXL.name: "relume.photo.jxl",
    BMP.name: "relume.photo.bmp",
    PNM.name: "relume.photo.pnm",
    RAW.name: "relume.photo.raw",
}


def _read(opened: _Input, kind: str, max_pixels: int) -> Photo:
    """Read a photo of a kind from `sniff`."""
    directory = metadata.tiff_directory(opened.read_at) if kind == "tiff" else Directory()
    if metadata.is_raw(directory):
        kind = RAW.name
    if kind not in _READERS:
        return _read_by_vips(opened, READABLE[kind], directory, max_pixels)
    read = import_module(_READERS[kind]).read
    photo: Photo | bytes = read(opened.read_at(0, opened.size), opened.path, max_pixels)
    if isinstance(photo, Photo):
        return photo
    inside = replace(_in_memory(photo), path=opened.path)
    return replace(_read(inside, sniff(photo[:HEAD_BYTES], opened.path), max_pixels), stored="")


def _read_by_vips(opened: _Input, form: Readable, directory: Directory, max_pixels: int) -> Photo:
    with vips.calls(lambda said: _damaged(said, form, opened.path)):
        return _decoded(opened, form, directory, max_pixels)


def _decoded(opened: _Input, form: Readable, directory: Directory, max_pixels: int) -> Photo:
    _check_form(opened, form, directory)
    for width, height in _declared_sizes(opened, form, directory):
        check_size(width, height, opened.path, max_pixels)
    if directory.is_large and opened.size > ifd.LARGE:  # libtiff allows 50 MB, as for tables of pixels
        opened = replace(opened, options={"unlimited": True})
    header = _open_image(opened, form, "error")
    check_size(header.width, header.height, opened.path, max_pixels)
    _check_kind(header, opened.path)
    beside = extras(opened.read_at, form.name)
    about, orientation, dropped = _metadata(header, form, directory, beside)
    dropped += _further_pictures(header, beside, dropped)
    notes = _header_notes(header, directory)
    if beside.profile and about.icc is None:
        notes.append("damaged colour profile ignored")
    about, coded_notes = colour.by_codes(about, *beside.codes, first=beside.codes_first)
    plan = colour.plan(header, about)
    dropped += [*beside.notes, *coded_notes, *plan.lost]
    pixels, decode_notes = _decode(opened, form, plan.change)
    if directory.number(metadata.EXTRA_SAMPLES, 1) == 0 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
        dropped.append("last channel dropped: the file says that it is no transparency")
    rgb, alpha, grey = split(upright(pixels, orientation))
    notes = [*dropped, *notes, *plan.notes, *decode_notes]
    depth = 8 if header.format == "uchar" and rgb.dtype == np.uint16 else 0
    return Photo(rgb, alpha, grey, plan.about, form.written, tuple(notes), form.stored, tuple(dropped), depth)


# Opening


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[_Input]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield _in_memory(bytes(source))
        return
    if not isinstance(source, str | os.PathLike):
        what = f"a {type(source).__name__} is no photo"
        raise UsageError(what, "Give the path of a file, or the bytes of one.")
    path = os.fsdecode(source)
    descriptor = open_file(source, path)
    try:
        size = os.fstat(descriptor).st_size

        def read_at(at: int, size: int) -> bytes:
            try:
                os.lseek(descriptor, at, os.SEEK_SET)
                return os.read(descriptor, size)
            except (OSError, OverflowError) as error:
                raise _unreadable(error, path) from error

        def fresh() -> pyvips.Source:
            if os.name == "nt":  # the C runtime of libvips' DLL does not know our descriptors
                return pyvips.Source.new_from_file(os.fspath(source))
            os.lseek(descriptor, 0, os.SEEK_SET)
            return pyvips.Source.new_from_descriptor(descriptor)

        yield _Input(path, size, read_at, fresh)
    finally:
        os.close(descriptor)


def _in_memory(data: bytes) -> _Input:
    return _Input(
        "(bytes in memory)",
        len(data),
        lambda at, size: data[at : at + size],
        lambda: pyvips.Source.new_from_memory(data),
    )


def open_file(source: os.PathLike[str] | str, path: str) -> int:
    """A descriptor of a regular file. Never waits: opening a pipe returns at once."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_regular(os.stat(source).st_mode, path)  # noqa: PTH116 - a str may hold a NUL byte
        descriptor = os.open(source, flags)
    except (OSError, ValueError) as error:
        raise _unreadable(error, path) from error
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)
    except RelumeError:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(mode: int, path: str) -> None:
    if stat.S_ISREG(mode):
        return
    what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    raise InputUnreadable(f"this is {what}, not a photo", "Name a file that holds a photo.", path=path)


def _unreadable(error: OSError | ValueError | OverflowError, path: str) -> InputUnreadable:
    if isinstance(error, FileNotFoundError):
        reason, remedy = "there is no such file", "Check the name and the folder."
    elif isinstance(error, PermissionError):
        reason, remedy = "the file may not be read", "Change its permissions, or run relume as its owner."
    else:
        said = getattr(error, "strerror", None) or "the name is not a valid file name"
        reason, remedy = f"the file cannot be opened ({said})", "Check the name and the disk."
    return InputUnreadable(reason, remedy, path=path)


def _open_image(opened: _Input, form: Readable, fail_on: str, page: int = 0) -> pyvips.Image:
    """The image of a file, of which only the header has been read."""
    loader = "heifload_source" if form.name == "avif" else f"{form.name}load_source"
    options = {**opened.options, **({"page": page} if page else {})}
    image = pyvips.Operation.call(loader, opened.source(), access="sequential", fail_on=fail_on, **options)
    primary = image.get("heif-primary") if image.get_typeof("heif-primary") else 0
    return image if page or not primary else _open_image(opened, form, fail_on, primary)


def _damaged(said: str, form: Readable, path: str) -> RelumeError:
    if "out of memory" in said or "unable to allocate" in said.lower():
        return no_memory(path)
    what = "cut off" if _is_cut_off(said) else "damaged, cut off, or of an unsupported kind"
    return damaged(form.title, what, said, path)


def _is_cut_off(said: str) -> bool:
    return any(sign in said for sign in _CUT_OFF)


# What the header says


def _declared_sizes(opened: _Input, form: Readable, directory: Directory) -> list[tuple[int, int]]:
    """Widths and heights in a header, of the formats whose headers can state more than libvips allows.

    libvips would print on stderr for such a size.
    """
    if form.name == "tiff":
        return [(directory.number(across), directory.number(across + 1)) for across in (256, 322)]
    head = opened.read_at(0, HEAD_BYTES)
    if form is GIF:
        return [(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))]
    starts = [16] if form.name == "png" else []
    if form.name == "avif":
        starts = [found.end() + 4 for found in re.finditer(b"ispe", head)]
    sides = (head[at : at + 8] for at in starts)
    return [(int.from_bytes(one[:4], "big"), int.from_bytes(one[4:], "big")) for one in sides]


def _check_form(opened: _Input, form: Readable, directory: Directory) -> None:
    """Raise for forms of a format that libvips takes for others, or calls damaged."""
    what, remedy = metadata.unsupported_tiff(directory), "Save it as RGB, in one plane, first."
    if form.name == "png" and opened.read_at(12, 4) == b"CgBI":
        what = "PNG in the form of Apple's apps (CgBI)"
        remedy = "Convert it to an ordinary PNG first, for example with pngdefry."
    if what:
        raise InputInvalid(f"relume does not read {what}", remedy, path=opened.path)


def _check_kind(image: pyvips.Image, path: str) -> None:
    """Raise where the pixels are of a kind that relume does not take."""
    if image.interpretation in ("lab", "labs"):
        return
    if image.format not in ("uchar", "ushort"):
        kind = "floating-point" if image.format in ("float", "double") else f"'{image.format}'"
        raise InputInvalid(
            f"the photo has {kind} pixels", "Convert it to 16 bits a channel (unsigned) first.", path=path
        )
    most = 5 if image.interpretation == "cmyk" else 4
    if image.bands > most:
        raise InputInvalid(
            f"the photo has {image.bands} channels",
            "Save it as grey, RGB or CMYK, with or without alpha.",
            path=path,
        )


def _metadata(
    image: pyvips.Image, form: Readable, directory: Directory, beside: Extras
) -> tuple[Metadata, int, list[str]]:
    """The metadata made upright, the orientation 1..8 still to be applied, and what is dropped."""
    dropped = list(beside.dropped)
    exif = beside.exif or vips.blob(image, "exif-data")
    xmp = beside.xmp or vips.blob(image, "xmp-data")
    orientation: int | None = None
    if form.name == "tiff":
        known = 0 if directory.tags else _number(image, "orientation", 0)
        orientation = directory.number(ORIENTATION, known)
        exif = metadata.exif_of_tiff(directory)
    elif exif is not None:
        try:
            exif, orientation = metadata.clean_exif(exif)
        except ValueError:
            exif = None
            dropped.append("damaged EXIF dropped")
    if xmp is not None:
        orientation = orientation or metadata.xmp_orientation(xmp)
        xmp, lost = metadata.clean_xmp(xmp, video=_holds_video(beside))
        dropped += [note for note in lost if note not in dropped]
    turn = orientation if orientation is not None and 1 <= orientation <= 8 else 1
    about = Metadata(
        exif=exif,
        xmp=xmp,
        iptc=beside.iptc,
        resources=beside.resources,
        icc=vips.blob(image, "icc-profile-data"),
        dpi=_dpi(image, stated=_states_dpi(image, form, directory, beside), turned=turn >= 5),
        comments=tuple(beside.comments),
        texts=tuple(beside.texts),
        parts=tuple(beside.parts),
    )
    if form.name == "avif":
        turn = 1  # the decoder has turned the pixels, after the file's own transformations
    return about, turn, dropped


def _holds_video(beside: Extras) -> bool:
    """Whether what stands behind a photo, such as the video of a motion photo, stays there."""
    return any(part.key == b"" for part in beside.parts)


def _states_dpi(image: pyvips.Image, form: Readable, directory: Directory, beside: Extras) -> bool:
    """Whether the file states a resolution; libvips has one for every file."""
    if form.name in ("jpeg", "png"):
        return beside.resolution or metadata.states_resolution(vips.blob(image, "exif-data") or b"")
    return image.xres != 1 and directory.number(RESOLUTION_UNIT, 2) != 1


def _dpi(image: pyvips.Image, *, stated: bool, turned: bool) -> tuple[float, float] | None:
    across, down = round(image.xres * 25.4, 2), round(image.yres * 25.4, 2)
    if not stated or not all(0 < dots < MOST_DPI for dots in (across, down)):
        return None
    return (down, across) if turned else (across, down)


def _number(image: pyvips.Image, name: str, default: int) -> int:
    value = image.get(name) if image.get_typeof(name) else default
    return value if isinstance(value, int) else default


def _further_pictures(image: pyvips.Image, beside: Extras, dropped: list[str]) -> list[str]:
    """Notes on pictures in the file that are not read, beside a gain map that `dropped` names already."""
    pages = max(_number(image, "n-pages", 1), beside.pictures - (metadata.GAIN_MAP in dropped))
    found: list[str] = []
    if pages > 1:
        found.append(f"only the first of {pages} pictures in the file is read")
    if beside.animated:
        found.append("only the first picture of the animation is read")
    return found


def _header_notes(image: pyvips.Image, directory: Directory) -> list[str]:
    notes: list[str] = []
    bits = _number(image, "bits-per-sample", 8)
    if _number(image, "palette", 0) or directory.number(262) == 3:
        notes.append("palette expanded to full colours")
    elif bits < 8:
        notes.append(f"{bits} bits a channel expanded to 8")
    elif bits not in (8, 16):
        notes.append(f"{bits} bits a channel scaled to 16")
    return notes


# Pixels


def _decode(
    opened: _Input, form: Readable, to_srgb: Callable[[pyvips.Image], pyvips.Image]
) -> tuple[npt.NDArray[Any], list[str]]:
    """The pixels (H x W x C) after their way to sRGB, and notes."""
    if form.name == "avif":
        return colour.applied(to_srgb, _decode_avif(opened, form)), []
    if form.name == "jpeg":
        return _decode_jpeg(opened, form, to_srgb)
    return vips.pixels(to_srgb(_open_image(opened, form, "error"))), []


def _decode_jpeg(
    opened: _Input, form: Readable, to_srgb: Callable[[pyvips.Image], pyvips.Image]
) -> tuple[npt.NDArray[Any], list[str]]:
    """The same of a JPEG file: libjpeg only warns of most damage, so warnings count; some are harmless."""

    def strictly(opened: _Input) -> npt.NDArray[Any]:
        with vips.calls():
            return vips.pixels(to_srgb(_open_image(opened, form, "warning")))

    try:
        return strictly(opened), []
    except vips.Failed as failed:
        first = str(failed)
    try:
        return jpeg.decoded(opened.read_at(0, opened.size), lambda data: strictly(_in_memory(data)))
    except vips.Failed as failed:
        raise _damaged(first if _is_cut_off(first) else str(failed), form, opened.path) from failed


def _decode_avif(opened: _Input, form: Readable) -> npt.NDArray[Any]:
    """The pixels (H x W x C) of an AVIF file, over the whole range of 8 or 16 bits."""
    image = _open_image(opened, form, "error")
    pixels = vips.pixels(image)
    bits = _number(image, "bits-per-sample", 8)
    fill_range(pixels, bits)
    if pixels.shape[2] in (2, 4) and avif.has_limited_alpha(opened.read_at):
        pixels[..., -1] = whole_range(pixels[..., -1], bits)
    return pixels
