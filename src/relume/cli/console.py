"""What commands print besides their product: progress and messages, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@cache
def stderr() -> Console:
    """The one console for everything that is not the product."""
    return Console(stderr=True)


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
