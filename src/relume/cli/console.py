"""What commands print: their product on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from relume.errors import DEBUG_VARIABLE, OutputUnwritable, RelumeError
from relume.progress import bar, is_terminal, on_one_line, print_line

__all__ = ["counting", "emit", "progress", "report", "say", "say_where", "stdout_failed"]


def emit(product: bytes) -> None:
    """Write a command's product to stdout.

    Raises:
        OutputUnwritable: there is none, its reader has gone, or its disk is full.
    """
    if sys.stdout is None:
        raise OutputUnwritable("cannot be written (it is closed)", "Redirect it.", path="stdout")
    try:
        sys.stdout.buffer.write(product)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise stdout_failed(error) from error


def stdout_failed(error: OSError) -> OutputUnwritable:
    """What to raise for a failed write to stdout, to which nothing more can be written afterwards."""
    _discard(sys.stdout)
    return OutputUnwritable(f"cannot be written ({error.strerror})", "Check what reads it.", path="stdout")


def say(message: str) -> None:
    """Print a message on stderr, as one line whatever names it holds.

    Where nobody can read it, it is lost and the work continues.
    """
    try:
        print_line(on_one_line(message))
    except OSError:
        _discard(sys.stderr)


def report(message: str, *, quiet: bool = False) -> None:
    """Say what has been done, such as which file was written, unless nobody wants to know."""
    if not quiet:
        say(message)


def say_where(error: RelumeError) -> None:
    """Print where a fault arose, line by line, if the environment asks for it."""
    if error.__cause__ is None or not os.environ.get(DEBUG_VARIABLE):
        return
    for line in "".join(traceback.format_exception(error.__cause__)).splitlines():
        say(line)


def _discard(stream: TextIO) -> None:
    """Let a stream lead nowhere: what it still holds would fail once more, loudly, at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def progress(total: int, label: str = "photos", *, quiet: bool = False) -> Generator[Callable[[], None]]:
    """A bar with the time left; yields what to call after each step. Silent without a terminal."""
    if quiet or not is_terminal():
        yield lambda: None
        return
    with bar() as shown:
        task = shown.add_task(label, total=total)
        yield lambda: shown.advance(task)


@contextmanager
def counting(label: str, *, quiet: bool = False) -> Generator[Callable[[int, int], None]]:
    """The same for work that reports `(done, total)` itself."""
    if quiet or not is_terminal():
        yield lambda done, total: None
        return
    with bar() as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
