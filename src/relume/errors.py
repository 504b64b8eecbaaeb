"""Errors a user can meet, each with its exit code and a remedy.

Every error says which file is concerned, why it failed and what to do about it.
`docs/errors.md` lists the exit codes; scripts may rely on them.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

DEBUG_VARIABLE = "RELUME_DEBUG"
"""The environment variable that makes the command line show where a fault arose."""


def install(extra: str) -> str:
    """The remedy that installs an extra.

    There is no package of relume on the index yet, and its name is open to anyone there: hence from a clone.
    """
    return f"Run in a clone of relume: pip install '.[{extra}]'"


class ExitCode(IntEnum):
    """Exit codes of the command line; the values never change once released."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    INPUT_UNREADABLE = 3
    INPUT_INVALID = 4
    INPUT_TOO_LARGE = 5
    OUTPUT_EXISTS = 6
    OUTPUT_UNWRITABLE = 7
    MODEL = 8
    DATA = 9
    MISSING_EXTRA = 10
    BATCH_PARTLY_FAILED = 11
    TRAINING_DIVERGED = 12
    FAULT = 13
    RESOURCES = 14
    INTERRUPTED = 130


class RelumeError(Exception):
    """Base of every error that relume raises on purpose.

    >>> import relume
    >>> try:
    ...     relume.read_photo("missing.jpg")
    ... except relume.RelumeError as error:
    ...     print(int(error.exit_code), error)
    3 missing.jpg: there is no such file. Check the name and the folder.

    Args:
        reason: what is wrong, without a full stop at its end.
        remedy: what the user can do about it, a whole sentence.
        path: the file or folder concerned, named first in the message.
    """

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, reason: str, remedy: str = "", *, path: Path | str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path = path

    def __str__(self) -> str:
        named = f"{self.path}: {self.reason}" if self.path is not None else self.reason
        return f"{named}. {self.remedy}" if self.remedy else f"{named}."


class UsageError(RelumeError):
    """Options that contradict each other or are out of range."""

    exit_code = ExitCode.USAGE


class InputUnreadable(RelumeError):
    """An input that does not exist, is a folder, or may not be read."""

    exit_code = ExitCode.INPUT_UNREADABLE


class InputInvalid(RelumeError):
    """An input that is not an image of a supported format, is truncated or damaged."""

    exit_code = ExitCode.INPUT_INVALID


class InputTooLarge(RelumeError):
    """An input beyond the limits on pixels or bytes."""

    exit_code = ExitCode.INPUT_TOO_LARGE


class OutputExists(RelumeError):
    """An output that would replace an input, or stand in another output's place."""

    exit_code = ExitCode.OUTPUT_EXISTS


class OutputUnwritable(RelumeError):
    """An output that cannot be written: no permission, no space, no such format."""

    exit_code = ExitCode.OUTPUT_UNWRITABLE


class ModelError(RelumeError):
    """A model that is unknown, damaged, or does not fit."""

    exit_code = ExitCode.MODEL


class DataError(RelumeError):
    """A data set that is missing, incomplete, or not what its manifest says."""

    exit_code = ExitCode.DATA


class MissingExtra(RelumeError):
    """A package that is not installed, mostly an optional one, or that does not load."""

    exit_code = ExitCode.MISSING_EXTRA


class TrainingDiverged(RelumeError):
    """A training run whose losses or scores are no longer finite numbers."""

    exit_code = ExitCode.TRAINING_DIVERGED


class Fault(RelumeError):
    """A fault of relume or a library that one photo brought to light; its cause is the error behind it."""

    exit_code = ExitCode.FAULT


class OutOfResources(RelumeError):
    """Too little memory, too few threads, or too few open files for relume to work at all."""

    exit_code = ExitCode.RESOURCES


_BY_CODE: dict[ExitCode, type[RelumeError]] = {
    each.exit_code: each
    for each in (
        UsageError,
        InputUnreadable,
        InputInvalid,
        InputTooLarge,
        OutputExists,
        OutputUnwritable,
        ModelError,
        DataError,
        MissingExtra,
        TrainingDiverged,
        Fault,
        OutOfResources,
    )
}


def parts_of(error: RelumeError) -> dict[str, Any]:
    """An error on its way to another process, JSON-ready; the path goes by itself, where it may be told."""
    kind = type(error).__name__
    return {"kind": kind, "code": int(error.exit_code), "reason": error.reason, "remedy": error.remedy}


def error_of(kind: str, code: int, reason: str, remedy: str, path: str | None = None) -> RelumeError:
    """The error whose parts another process has told.

    Raises:
        ValueError: no such exit code.
    """
    del kind  # the code says it, too
    return _BY_CODE.get(ExitCode(code), RelumeError)(reason, remedy, path=path)


_SIGNS_OF_FILES = ("too many open files", "bad file descriptor")  # the latter where a copy of one failed
_SIGNS_OF_THREADS = (
    *("creating thread", "thread creation", "start new thread", "pthread_create", "temporarily unavailable"),
)
_SIGNS_OF_MEMORY = ("alloc", "out of memory", "failed to map segment")


def scarce(said: str, *, memory: bool = False) -> OutOfResources | None:
    """What a library's message says of the machine's resources; None where it says nothing of them.

    Args:
        memory: whether too little memory counts, too.
    """
    said = said.lower()
    if any(sign in said for sign in _SIGNS_OF_FILES):
        return OutOfResources(
            "no more files can be opened", "Raise the limit of open files (ulimit -n), or close some."
        )
    if any(sign in said for sign in _SIGNS_OF_THREADS):
        return OutOfResources(
            "no more threads can be started, or there is no memory for them",
            "Take fewer (--threads 1), or raise the limits of processes and memory (ulimit -u, ulimit -v).",
        )
    if memory and any(sign in said for sign in _SIGNS_OF_MEMORY):
        return OutOfResources(
            "there is not enough memory", "Close other programs, or raise the limit (ulimit -v)."
        )
    return None


def exhausted(error: BaseException) -> RelumeError | None:
    """What an error of Python's own says of the machine's resources; None where it says nothing of them."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return InputTooLarge(
            "there is not enough memory for the photo",
            "Take smaller tiles (--tile 512), make the photo smaller, or close other programs.",
        )
    if isinstance(error, ImportError):  # of what loads late
        return scarce(str(error), memory=True)
    return scarce(str(error)) if isinstance(error, OSError | RuntimeError) else None


_REFUSALS = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)


def refused(error: BaseException) -> InputUnreadable | None:
    """What the system says of a file that a command was given and cannot have; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _REFUSALS or not isinstance(error.filename, str):
        return None
    found = InputUnreadable(
        f"cannot be used ({error.strerror})",
        "Check the name, and the permissions of the file and of the folders above it.",
        path=error.filename,
    )
    found.__cause__ = error
    return found


@contextmanager
def naming_exhaustion() -> Generator[None]:
    """Raise what Python says of memory, threads and open files as a RelumeError; all else passes.

    Raises:
        InputTooLarge: too little memory.
        OutOfResources: too few threads or open files.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError, ImportError) as error:
        found = exhausted(error)
        if found is None:
            raise
        raise found from error


def _is_interruption(error: BaseException | None) -> bool:
    """Whether the user's wish to stop is what an error comes from."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def as_failure(error: Exception, path: Path | str | None) -> RelumeError:
    """Any error that a photo ended in, as one that names the photo; what is unknown becomes a `Fault`.

    Raises:
        KeyboardInterrupt: it is what a library made of one, such as a package that was just being loaded.
    """
    if _is_interruption(error):
        raise KeyboardInterrupt from error
    found = error if isinstance(error, RelumeError) else exhausted(error)
    if found is not error and isinstance(found, InputTooLarge) and path is None:
        found = scarce("out of memory", memory=True)
    if found is None:
        said = " ".join(str(error).split())[:200]
        found = Fault(
            f"relume failed ({type(error).__name__}{': ' if said else ''}{said.rstrip('.')})",
            f"Please report it with the photo; --verbose or {DEBUG_VARIABLE}=1 shows where it arose.",
        )
    if found is not error:
        found.__cause__ = error
    found.path = found.path or path
    return found
