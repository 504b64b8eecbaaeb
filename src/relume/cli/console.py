"""What commands print: their product on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from relume.errors import OutputUnwritable


@cache
def stderr() -> Console:
    """The one console for everything that is not the product."""
    return Console(stderr=True)


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
    columns: list[Any] = [
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    hidden = quiet or not stderr().is_terminal
    with Progress(*columns, console=stderr(), transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def counting(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """The same for work that reports `(done, total)` itself."""
    columns: list[Any] = [TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    hidden = quiet or not stderr().is_terminal
    with Progress(*columns, console=stderr(), transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
