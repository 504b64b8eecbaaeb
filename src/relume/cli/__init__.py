"""The command line: one file a command, no work inside, heavy imports only when a command runs."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from relume.errors import ExitCode, RelumeError


def main() -> NoReturn:
    """Run the command line and exit; errors become one line on stderr and an exit code."""
    from relume.cli.app import app

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(standalone_mode=True)
    except RelumeError as error:
        print(f"relume: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        print("relume: interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(int(ExitCode.INTERRUPTED))
    sys.exit(0)


def _interrupt(*_: object) -> NoReturn:
    """Let a terminated process tidy up as an interrupted one does."""
    raise KeyboardInterrupt
