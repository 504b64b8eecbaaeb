"""Camera raw, developed through the optional package `rawpy` (LibRaw)."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.errors import MissingExtra, RelumeError
from relume.photo import metadata
from relume.photo.ifd import EXIF_IFD, Directory
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import split
from relume.photo.refusals import check_size, damaged, no_memory

_SRGB_CURVE = (2.4, 12.92)
_MAKER_NOTE = 0x927C
# Olympus and Panasonic replace the number in the header of an otherwise ordinary TIFF file.
_ALMOST_TIFF = (b"IIRO", b"IIRS", b"IIU\0")
# LibRaw goes on after these, with a picture that is partly empty, and only prints them.
_DAMAGE = (b"data corrupted", b"Unexpected end of file")
# The program has one stderr: a second thread would take the first one's temporary file for it.
_REDIRECTING = threading.Lock()


def read_raw(data: bytes, path: str, max_pixels: int) -> Photo:
    """Develop a camera raw file: the camera's white balance, no brightening, 16-bit sRGB, upright.

    Args:
        data: the whole file.
        path: its name for messages.
        max_pixels: most pixels to accept, checked before any is decoded.

    Raises:
        InputInvalid: truncated or damaged, or of a camera that LibRaw does not know.
        InputTooLarge: beyond `max_pixels`, or more than memory holds.
        MissingExtra: `rawpy` is not installed.
    """
    try:
        import rawpy
    except ImportError:
        reason, remedy = "camera raw needs rawpy", "Run: pip install 'relume[raw]'"
        raise MissingExtra(reason, remedy, path=path) from None
    try:
        pixels = _develop(rawpy, data, path, max_pixels)
    except (rawpy.LibRawUnsufficientMemoryError, rawpy.LibRawTooBigError) as error:
        raise no_memory(path) from error
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError) as error:
        raise _failed(_short(error), path) from error
    rgb, alpha, grey = split(pixels)
    return Photo(rgb, alpha, grey, _metadata(data), "tiff", ("developed from camera raw",))


def _develop(rawpy: Any, data: bytes, path: str, max_pixels: int) -> npt.NDArray[Any]:
    said: list[bytes] = []
    with rawpy.RawPy() as raw:
        with _listening([]):
            raw.open_buffer(io.BytesIO(data))
        sizes = raw.sizes
        check_size(sizes.raw_width, sizes.raw_height, path, max_pixels)
        with _listening(said):
            raw.unpack()
        if said:
            raise _failed(said[0].decode(errors="replace"), path)
        pixels = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=_SRGB_CURVE,
        )
    return np.ascontiguousarray(pixels).reshape(*pixels.shape[:2], -1)


def _short(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _failed(said: str, path: str) -> RelumeError:
    said = "".join(char for char in " ".join(said.split()) if char.isprintable())[:90]
    cut_off = "end of file" in said or "Input/output" in said
    what = "cut off or damaged" if cut_off else "damaged, or of a kind that LibRaw does not know"
    return damaged("camera raw", what, said, path)


@contextlib.contextmanager
def _listening(said: list[bytes]) -> Iterator[None]:
    """Collect what LibRaw prints about damage, in `said`; what others print meanwhile is printed after."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_REDIRECTING)
        try:
            before = os.dup(2)
        except OSError:  # a program without stderr
            yield
            return
        stack.callback(os.close, before)
        heard = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            heard.seek(0)
            for line in heard:
                if any(sign in line for sign in _DAMAGE):
                    said.append(line.partition(b": ")[2].strip())
                else:
                    os.write(2, line)


def _metadata(data: bytes) -> Metadata:
    """EXIF of a raw file built like TIFF; nothing for others.

    Maker notes describe the raw file's own pixels, and XMP holds settings for developing it: both would
    be wrong for the result.
    """
    directory = _directory(data)
    about = directory.children.get(EXIF_IFD)
    if about is not None:
        about.tags.pop(_MAKER_NOTE, None)
    return Metadata(exif=metadata.exif_of_tiff(directory))


def _directory(data: bytes) -> Directory:
    head = b"II*\0" + data[4:8] if data[:4] in _ALMOST_TIFF else data[:8]
    return metadata.tiff_directory(lambda at, size: head[:size] if at == 0 else data[at : at + size])
