"""The command line: one file a command, no work inside, heavy imports only when a command runs."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from relume.errors import ExitCode, RelumeError


def main() -> NoReturn:
    """Run the command line and exit; errors become one line on stderr and an exit code."""
    from relume.cli.app import app

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app(standalone_mode=True)
    except RelumeError as error:
        print(f"relume: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))
    sys.exit(0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let a terminated process tidy up as an interrupted one does.

    libvips calls back into pyvips, where C code would swallow an exception: then try again a moment later.
    """
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package == "relume":
            break
        if package == "pyvips":
            again = threading.Timer(0.01, _thread.interrupt_main, [number])
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
