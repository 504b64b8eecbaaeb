"""Camera raw, developed through the optional package `rawpy` (LibRaw)."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from relume.errors import InputInvalid, MissingExtra, OutOfResources, exhausted, install
from relume.photo import metadata
from relume.photo.ifd import EXIF_IFD, Directory
from relume.photo.opened import Opened
from relume.photo.photo import Metadata, Photo
from relume.photo.pixels import split
from relume.photo.refusals import check_size, damaged, no_memory

_SRGB_CURVE = (2.4, 12.92)
_MAKER_NOTE = 0x927C
# Olympus and Panasonic replace the number in the header of an otherwise ordinary TIFF file.
_ALMOST_TIFF = (b"IIRO", b"IIRS", b"IIU\0")
# LibRaw goes on after these, with a picture that is partly empty, and only prints them.
_DAMAGE = (b"data corrupted", b"Unexpected end of file")
_LONGEST_ANSWER = 1 << 16
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from relume.photo.codecs.raw import main; main()"
)


def read(opened: Opened, max_pixels: int) -> Photo:
    """Develop a camera raw file: the camera's white balance, no brightening, 16-bit sRGB, upright.

    LibRaw works in a process of its own: it tells some damage on stderr alone, which is the whole program's.

    Args:
        opened: the file, which is read whole.
        max_pixels: most pixels to accept, checked before any is decoded.

    Raises:
        InputInvalid: truncated or damaged, or of a camera that LibRaw does not know.
        InputTooLarge: beyond `max_pixels`, or more than memory holds.
        MissingExtra: `rawpy` is not installed.
    """
    data, path = opened.whole(), opened.path
    try:
        import rawpy
    except ImportError:
        reason, remedy = "camera raw needs rawpy", install("raw")
        raise MissingExtra(reason, remedy, path=path) from None
    del rawpy  # the process that develops imports it again
    rgb, alpha, grey = split(_developed(data, path, max_pixels))
    return Photo(rgb, alpha, grey, _metadata(data), "tiff", ("developed from camera raw",))


def _developed(data: bytes, path: str, max_pixels: int) -> npt.NDArray[np.uint16]:
    """The pixels (H x W x C) from a process that develops the file."""
    try:
        answer, pixels, said = _from_process(data, max_pixels)
    except OSError as error:
        raise exhausted(error) or OutOfResources(
            f"no process can be started to develop camera raw ({error.strerror})",
            "Check that Python can start itself.",
            path=path,
        ) from error
    if "size" in answer:
        width, height = answer["size"]
        check_size(width, height, path, max_pixels)
    if answer.get("memory"):
        raise no_memory(path)
    if said or not pixels.size:
        raise _failed(said or answer.get("failed", ""), path)
    return pixels


def _from_process(data: bytes, max_pixels: int) -> tuple[dict[str, Any], npt.NDArray[np.uint16], str]:
    """What `main` answers in a process of its own, its pixels if all have come, and its words on damage."""
    # Isolated, so that no module of the current folder stands in for Python's own.
    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path), str(max_pixels)]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process,  # noqa: S603
        ThreadPoolExecutor(2) as beside,
    ):
        told: Any = process.stdout
        try:
            beside.submit(_feed, process.stdin, data)
            damage = beside.submit(_first_damage, process.stderr)
            line = told.readline(_LONGEST_ANSWER)
            answer: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
            pixels = np.empty(answer.get("shape", 0), np.uint16)
            if told.readinto(pixels.reshape(-1).view(np.uint8)) != pixels.nbytes:
                pixels = np.empty(0, np.uint16)
        except BaseException:
            process.kill()
            raise
        return answer, pixels, damage.result()


def _feed(stream: Any, data: bytes) -> None:
    """Give a process its input, as far as it takes it."""
    with suppress(OSError), stream:
        stream.write(data)


def _first_damage(stream: IO[bytes] | None) -> str:
    """What LibRaw first says of damage, "" for nothing; reads to the end, for the process waits otherwise."""
    said = ""
    for line in stream or ():
        if not said and any(sign in line for sign in _DAMAGE):
            said = line.partition(b": ")[2].decode(errors="replace")
    return said


def main() -> None:
    """Develop the file on stdin: a line of JSON on stdout, and behind it pixels of its `shape`."""
    import rawpy

    answer: dict[str, Any]
    pixels = np.empty(0, np.uint16)
    try:
        answer, pixels = _develop(rawpy, sys.stdin.buffer.read(), int(sys.argv[2]))
    except (rawpy.LibRawUnsufficientMemoryError, rawpy.LibRawTooBigError, MemoryError):
        answer = {"memory": True}
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError) as error:
        answer = {"failed": _short(error)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(pixels.data)
    sys.stdout.buffer.flush()


def _develop(rawpy: Any, data: bytes, max_pixels: int) -> tuple[dict[str, Any], npt.NDArray[np.uint16]]:
    """The answer, and the pixels (H x W x C), none where they are more than the limit."""
    with rawpy.RawPy() as raw:
        raw.open_buffer(io.BytesIO(data))
        size = (raw.sizes.raw_width, raw.sizes.raw_height)
        if size[0] * size[1] > max_pixels:
            return {"size": size}, np.empty(0, np.uint16)
        raw.unpack()
        developed = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=16,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=_SRGB_CURVE,
        )
    pixels = np.ascontiguousarray(developed).reshape(*developed.shape[:2], -1)
    return {"shape": pixels.shape}, pixels


def _short(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _failed(said: str, path: str) -> InputInvalid:
    said = "".join(char for char in " ".join(said.split()) if char.isprintable())[:90]
    cut_off = "end of file" in said or "Input/output" in said
    what = "cut off or damaged" if cut_off else "damaged, or of a kind that LibRaw does not know"
    return damaged("camera raw", what, said, path)


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
