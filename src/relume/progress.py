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


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise what was caught, where rich would end the program and silence stdout."""
        raise


@cache
def stderr() -> Console:
    """The console for everything that is not the product."""
    return _Console(stderr=True)


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
