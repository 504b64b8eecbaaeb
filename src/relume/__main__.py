"""`python -m relume` is `relume`: the way into the command line, which may be interrupted at any moment."""

from __future__ import annotations

import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """The command line; an interruption before it can say so itself, while it loads, is a line here too."""
    try:
        from relume.cli import command

        command()
    except KeyboardInterrupt:
        print("relume: interrupted.", file=sys.stderr)  # noqa: T201 - what else prints is not loaded yet
        sys.exit(130)  # ExitCode.INTERRUPTED


if __name__ == "__main__":
    run()
