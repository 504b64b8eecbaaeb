"""The command line: one file per command, no work inside, heavy imports only when a command runs."""

from __future__ import annotations

import _thread
import atexit
import gc
import io
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from relume.errors import ExitCode, Fault, InputUnreadable, MissingExtra, as_failure, refused, scarce

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else []))

WARNED = "_heard"
"""The function in `relume.photo.vips` that libvips calls with its warnings."""


def command() -> NoReturn:
    """The command line as all of a process, which ends as soon as nothing is left to do.

    Python would take a tenth of a second to free NumPy, ONNX Runtime and libvips piece by piece. It still
    waits for threads, and does what has been registered to be done at the end.
    """
    codes: list[object] = []
    atexit.register(_leave, codes)  # what is registered first is done last
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
        raise


def _leave(codes: list[object]) -> None:
    """End the process, unless Python itself has something to say: of an error, or of what it cannot write."""
    if len(codes) == 1 and isinstance(codes[0], int):
        with suppress(OSError, ValueError):
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:  # pyright: ignore[reportUnnecessaryComparison] - it may be closed
                    stream.flush()
            os._exit(codes[0])


def main() -> NoReturn:
    """Run the command line and exit; errors become one line on stderr and an exit code."""
    # Loading makes a hundred thousand objects, among which Python would look for rubbish after every 700.
    gc.set_threshold(50_000)
    # NumPy's library of linear algebra starts a thread a core that spins for a tenth of a second, and nothing
    # here multiplies matrices large enough for two.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _hold_streams()
    stdout: Any = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # as stderr does, for names that are not text
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background of a script
            signal.signal(number, interrupt)
    try:
        try:
            _run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one line
            sys.exit(int(_told(error)))
    except KeyboardInterrupt:
        from relume.cli.console import say

        say("relume: interrupted.")
        sys.exit(int(ExitCode.INTERRUPTED))
    sys.exit(0)


def _told(error: Exception) -> ExitCode:
    """Say what ended a command, in a line, and where it arose if that is wanted; returns the exit code."""
    from relume.cli.console import say, say_where

    failure = as_failure(refused(error) or error, None)
    say(f"relume: {failure}")
    say_where(failure)
    return ExitCode.INTERNAL if isinstance(failure, Fault) and failure is not error else failure.exit_code


def _run() -> None:
    """Run the command, and raise what can go wrong in each of them as a RelumeError."""
    try:
        from relume.cli.app import app

        app(standalone_mode=True)
    except SystemExit as ended:
        # So Typer ends, without a word, where it is interrupted or the reader of stdout has gone.
        if ended.code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt from None
        if isinstance(ended.__context__, BrokenPipeError):
            sys.exit(int(ExitCode.OUTPUT_UNWRITABLE))
        raise
    except ImportError as error:
        if str(error.name).partition(".")[0] == "relume":
            raise
        said = " ".join(str(error).split())
        if lacking := scarce(said, memory=True):
            raise lacking from error
        raise MissingExtra(f"a package does not load ({said})", "Run: relume doctor") from error
    except OSError as error:
        _check_folder()
        if not _stdout_fails():
            raise
        from relume.cli.console import stdout_failed

        raise stdout_failed(error) from error


def _check_folder() -> None:
    """Raise where the current folder has been deleted, without which no relative path leads anywhere."""
    try:
        os.getcwd()  # noqa: PTH109 - quicker to load
    except FileNotFoundError as error:
        raise InputUnreadable("the current folder is gone", "Change to one that exists.", path=".") from error


def _stdout_fails() -> bool:
    """Whether stdout holds what it cannot write."""
    try:
        print(end="", flush=True)  # noqa: T201
    except OSError:
        return True
    return False


def _hold_streams() -> None:
    """Open closed standard streams on nothing: a photo that got their number would get their messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Let a terminated process tidy up as an interrupted one does.

    libvips calls back into pyvips, and with warnings into relume, where C code would swallow an exception:
    then try again a moment later.
    """
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        called_by_c = package == "pyvips" or frame.f_code.co_name == WARNED
        if package == "relume" and not called_by_c:
            break
        if called_by_c:
            again = threading.Timer(0.01, _thread.interrupt_main, [number])
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
