"""libvips: its calls and what they fail with, its limits, and its pixels as arrays."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyvips
from pyvips.voperation import concurrency_set

from relume.errors import UsageError, scarce

Image = pyvips.Image

# Parts of libvips' messages that help nobody: who speaks, error numbers, and lines without content.
_PREFIX = re.compile(r"^(\w+: +)*(source input: +)?(Invalid input: +)?(Unspecified: +)?")
_TAIL = re.compile(r" *(at scanline 4294967295|\(\d+\.\d+\))")
_NOISE = (
    "unable to",
    "bad seek",
    "system error",
    "write error",
    "write failed",
    "libpng read error",
    "Success",
)


# All of GLib's levels, with those of what is fatal and of messages within messages.
_ALL_LEVELS = 0xFF


class Failed(Exception):
    """libvips failed; the message is what it said, see `calls`."""


# The process in which libvips has worked first: its threads do not come along to a forked child.
_worked_in = 0


def set_limits(threads: int = 0) -> None:
    """Set libvips' limits for the whole process, as a program does that is relume's own, and no library.

    Nothing is kept after its last use, for photos are large; loaders that libvips itself does not trust with
    hostile files are off (SVG, PDF, ImageMagick...), though relume names the loader for each photo anyway.

    Args:
        threads: most threads a photo, which matter most to encode AVIF; 0 leaves them as they are.
    """
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    if threads:
        concurrency_set(threads)


@contextmanager
def calls(failed: Callable[[str], BaseException] = Failed) -> Generator[None]:
    """Every call of libvips stands in such a block, which maps what it fails with.

    libvips adds to one text what goes wrong, whatever bytes a file's names hold; pyvips cannot read some and
    leaves them there, so that the next one fails too. The text is empty before and after such a block.

    Args:
        failed: the error to raise, made of what libvips said in one short line, "" where it said nothing.

    Raises:
        OutOfResources: too few threads or open files.
        UsageError: in a process forked after libvips has worked, whose threads it would wait for without end.
    """
    global _worked_in
    _worked_in = _worked_in or os.getpid()
    if _worked_in != os.getpid():
        raise UsageError(
            "photos cannot be read or written in a process that was forked after relume has done so",
            "Start processes by the method 'spawn' or 'forkserver', or use relume first after the fork.",
        )
    with _turns.shared():
        pyvips.vips_lib.vips_error_clear()
        try:
            with _listening:
                yield
        except Failed as error:  # of a block inside this one
            raise failed(str(error)) from error
        except (pyvips.Error, UnicodeDecodeError) as error:
            detail = error.detail if isinstance(error, pyvips.Error) else _left_text()
            if lacking := scarce(str(detail)):
                raise lacking from error
            raise failed(short_reason(str(detail))) from error
        finally:
            pyvips.vips_lib.vips_error_clear()


@contextmanager
def alone() -> Generator[None]:
    """A block in which no other thread is in one of `calls`, for the text of what goes wrong is everybody's.

    What follows from the text, and not only stands in a message, must be found out in such a block.
    """
    with _turns.alone():
        yield


class _Turns:
    """Lets threads work side by side, or one alone while the others wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._waiting = 0
        self._taken = False
        self._mine = threading.local()

    @contextmanager
    def shared(self) -> Generator[None]:
        """Work beside others; a block inside another one goes on at once."""
        depth: int = getattr(self._mine, "depth", 0)
        if not depth:
            self._enter()
        self._mine.depth = depth + 1
        try:
            yield
        finally:
            self._mine.depth = depth
            if not depth:
                self._leave()

    @contextmanager
    def alone(self) -> Generator[None]:
        """Work while no other thread does, also inside a block beside others."""
        depth: int = getattr(self._mine, "depth", 0)
        with self._changed:
            self._inside -= depth > 0
            self._waiting += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._taken and not self._inside)
                self._taken = True
            finally:
                self._waiting -= 1
                if not self._taken:
                    self._inside += depth > 0
        self._mine.depth = depth + 1  # blocks inside this one go on
        try:
            yield
        finally:
            self._mine.depth = depth
            with self._changed:
                self._taken = False
                self._inside += depth > 0
                self._changed.notify_all()

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not self._waiting)
            self._inside += 1

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


_turns = _Turns()


class _Listening:
    """Passes libvips' warnings on to the log, in the place of pyvips while any `calls` is open.

    pyvips prints a traceback on stderr where a file puts bytes that are not text into one.
    """

    def __init__(self) -> None:
        self._open = 0
        self._lock = threading.Lock()
        self._handler = 0
        self._callback = pyvips.ffi.callback("GLogFunc", self._heard)

    @staticmethod  # which must keep its name: see `relume.cli.WARNED`
    def _heard(domain: Any, level: int, message: Any, data: Any) -> None:
        said = pyvips.ffi.string(message).decode(errors="replace")
        pyvips.logger.log(pyvips.GLogLevelFlags.LEVEL_TO_LOGGER.get(level, logging.WARNING), f"VIPS: {said}")

    def __enter__(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._handler = pyvips.glib_lib.g_log_set_handler(
                    b"VIPS", _ALL_LEVELS, self._callback, pyvips.ffi.NULL
                )

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                pyvips.glib_lib.g_log_remove_handler(b"VIPS", self._handler)


_listening = _Listening()


def _left_text() -> str:
    return pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")


def set_blob(image: pyvips.Image, name: str, value: bytes) -> None:
    """Attach a metadata block to `image`, which no other code may hold."""
    # pyvips declares no blobs here, though it takes them.
    image.set_type(pyvips.GValue.blob_type, name, cast(Any, value))


def blob(image: pyvips.Image, name: str) -> bytes | None:
    """A metadata block of `image`, or None."""
    if image.get_typeof(name) == 0:
        return None
    value = image.get(name)
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) and len(value) else None


def wrap(pixels: npt.NDArray[Any], *, grey: bool = False) -> pyvips.Image:
    """Look at an array (H x W x C, or H x W for one channel) as an image, without a copy.

    The image keeps the array alive. `grey` only chooses how libvips names one and two channels.
    """
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    deep = pixels.dtype == np.uint16
    image = Image.new_from_memory(pixels.data, width, height, channels, "ushort" if deep else "uchar")
    grey = grey or channels < 3
    name = ("grey16" if deep else "b-w") if grey else ("rgb16" if deep else "srgb")
    return image.copy(interpretation=name)


def pixels(image: pyvips.Image) -> npt.NDArray[Any]:
    """Compute the image into one array, H x W x C."""
    # pyvips leaves out the last axis of one channel, and every axis of one pixel.
    return image.numpy().reshape(image.height, image.width, image.bands)


def short_reason(detail: str) -> str:
    """The part of libvips' message that tells most, in one short line; "" where it says nothing."""
    for line in detail.splitlines():
        text = _TAIL.sub("", _PREFIX.sub("", line.strip()))
        if text and not text.startswith(_NOISE):
            return "".join(char for char in text if char.isprintable())[:100].rstrip(" .(")
    return ""
