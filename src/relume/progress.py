"""What people see of a command: the one console on stderr, the one look of a bar, and names as one line.

Rich is loaded when a bar is to be seen.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


# What moves a terminal's cursor, or turns the order of what is printed.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def on_one_line(text: str) -> str:
    """A text as a terminal can show it in its line, whatever names it holds."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


@cache
def stderr() -> Console:
    """The console for everything that is not the product."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            """Raise what was caught, where rich would end the program and silence stdout."""
            raise

    return _Console(stderr=True)


def is_terminal() -> bool:
    """Whether somebody watches stderr."""
    return sys.stderr is not None and sys.stderr.isatty() and stderr().is_terminal


def print_line(line: str) -> None:
    """Print a line on stderr, above a bar if one is there.

    Raises:
        OSError: it cannot be written.
    """
    if stderr.cache_info().currsize:  # whose bar the line must not go into
        stderr().print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
    elif sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def bar(*, quiet: bool = False) -> Progress:
    """A bar with label, count, time spent and time left; gone when it is done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

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
