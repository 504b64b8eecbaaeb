"""Rows of one dataclass as CSV, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from relume.errors import DataError

Row = TypeVar("Row")

_KINDS: Mapping[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}


def to_csv(kind: type[Any], rows: Sequence[Any]) -> str:
    """A line for each row, below the names of the dataclass's fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def from_csv(kind: type[Row], path: Path, what: str) -> list[Row]:
    """What `to_csv` made of rows whose fields are texts and numbers.

    Args:
        what: what to say that the file does not hold.

    Raises:
        DataError: it is no such file.
    """
    types = {field.name: _KINDS[str(field.type)] for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [kind(**{name: read(row[name]) for name, read in types.items()}) for row in rows]
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", "Check the name.", path=path) from error
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"holds no {what} ({error})", "Name a CSV file of them.", path=path) from error
