"""An opened photo: a file or its bytes, read by offset and by libvips."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import pyvips

from relume.errors import InputUnreadable, RelumeError, UsageError
from relume.files import no_file

Source: TypeAlias = os.PathLike[str] | str | bytes | bytearray | memoryview
"""A photo's file, or the bytes of one."""

_AT_ONCE = 64 << 20
"""Bytes of a file that are read at once: libvips maps JPEG files, and where one shrinks the process dies."""

IN_MEMORY = "(bytes in memory)"
"""Stands in messages for the name of a photo that is not a file."""


@dataclass(frozen=True)
class Opened:
    """An opened photo: its name for messages, its bytes by offset, and a fresh libvips source."""

    path: str
    size: int
    read_at: Callable[[int, int], bytes]
    source: Callable[[], pyvips.Source]

    def whole(self) -> bytes:
        """All bytes of the file."""
        return self.read_at(0, self.size)


@contextlib.contextmanager
def opened(source: Source) -> Generator[Opened]:
    """Open a photo for a while.

    Raises:
        InputUnreadable: missing, a folder, a pipe or device, or no permission.
        UsageError: neither a path nor bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield in_memory(bytes(source))
        return
    if not isinstance(source, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        what = f"a {type(source).__name__} is not a photo"
        raise UsageError(what, "Give the path of a file, or the bytes of one.")
    path = os.fsdecode(source)
    descriptor = open_file(source, path)
    try:
        size = os.fstat(descriptor).st_size
        if size <= _AT_ONCE:
            yield in_memory(_content(descriptor, size, path), path)
            return

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

        yield Opened(path, size, read_at, fresh)
    finally:
        os.close(descriptor)


def _content(descriptor: int, size: int, path: str) -> bytes:
    """So many bytes of a file, or all where it has become smaller."""
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    except OSError as error:
        raise _unreadable(error, path) from error


def in_memory(data: bytes, path: str = IN_MEMORY) -> Opened:
    """A photo whose file's bytes are given; `path` names it in messages."""
    return Opened(
        path,
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
    if what := no_file(mode):
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
