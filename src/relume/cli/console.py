"""What commands print: their product on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from relume.errors import OutputUnwritable
from relume.progress import bar, stderr

__all__ = ["counting", "emit", "progress", "stderr"]


def emit(product: bytes) -> None:
    """Write a command's product to stdout.

    Raises:
        OutputUnwritable: its reader has gone, or its disk is full.
    """
    try:
        sys.stdout.buffer.write(product)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still buffered would fail once more, loudly, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputUnwritable(
            f"cannot be written ({error.strerror})", "Check what reads it.", path="stdout"
        ) from error


@contextmanager
def progress(total: int, label: str = "photos", *, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """A bar with the time left; yields what to call after each step. Silent where stderr is no terminal."""
    with bar(quiet=quiet or not stderr().is_terminal) as shown:
        task = shown.add_task(label, total=total)
        yield lambda: shown.advance(task)


@contextmanager
def counting(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """The same for work that reports `(done, total)` itself."""
    with bar(quiet=quiet or not stderr().is_terminal) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
