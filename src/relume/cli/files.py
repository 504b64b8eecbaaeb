"""Files that commands read and write besides photos."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relume.errors import InputInvalid, InputUnreadable, OutputExists, OutputUnwritable


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


class _Enough(Exception):
    """Leaves a file unwritten."""


def check_target(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse a file that could not be written later, before the work for it is done.

    Args:
        target: where something is to be written, with `write_file`.
        inputs: files that it must not replace; those that do not exist do not matter.

    Raises:
        OutputExists: it is one of the inputs.
        OutputUnwritable: no such folder, no permission, or a folder or a device of that name.
    """
    from relume.photo.write import replacing

    with suppress(_Enough), replacing(target):
        raise _Enough
    if target.exists() and any(each.exists() and target.samefile(each) for each in inputs):
        raise OutputExists("would be overwritten, but is an input", "Choose another name.", path=target)


def write_file(target: Path, content: str | bytes) -> None:
    """Write a file, completely or not at all; text as UTF-8, with bytes of names that are no text escaped.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    from relume.photo.write import replacing

    with replacing(target) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


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
