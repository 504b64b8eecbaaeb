"""Progress on stderr: the one console and the one look of a bar."""

from __future__ import annotations

from functools import cache

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@cache
def stderr() -> Console:
    """The console for everything that is not the product."""
    return Console(stderr=True)


def bar(*, quiet: bool = False) -> Progress:
    """A bar with label, count, time spent and time left; gone when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=quiet,
    )
