"""Errors a user can meet, each with its exit code and a remedy.

Every error says which file is concerned, why it failed and what to do about it.
`docs/errors.md` lists the exit codes; scripts may rely on them.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


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
    INTERRUPTED = 130


class RelumeError(Exception):
    """Base of every error that relume raises on purpose.

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
    """An input that is no image of a supported format, is truncated or damaged."""

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
