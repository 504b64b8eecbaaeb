"""Files that commands read and write besides photos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relume.errors import InputInvalid, InputUnreadable, OutputUnwritable


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        InputUnreadable: missing, or may not be read.
        InputInvalid: no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputUnreadable(f"cannot be read ({error.strerror})", "Check the name.", path=path) from error
    except ValueError as error:
        raise InputInvalid("this is no text", "Name a text file.", path=path) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputUnreadable: missing, or may not be read.
        InputInvalid: no JSON.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise InputInvalid(f"this is no JSON ({error})", "Name a JSON file.", path=path) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes `path`: failures name it.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    try:
        yield
    except OSError as error:
        raise OutputUnwritable(
            f"cannot be written ({error.strerror or error})", "Check the folder and the disk.", path=path
        ) from error
