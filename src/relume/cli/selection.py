"""Which pairs a command looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.errors import DataError

if TYPE_CHECKING:
    from relume.evaluate.pairs import Pair

OnlyOption = Annotated[Path | None, typer.Option(help="Take the images that this split file holds out.")]


def held_out(pairs: Sequence[Pair], split: Path) -> list[Pair]:
    """The pairs that a split file holds out.

    Raises:
        InputUnreadable, InputInvalid: no such file, or no JSON.
        DataError: no split file, or none of its names is among the pairs.
    """
    from relume.cli.files import read_json

    names = read_json(split)
    if not isinstance(names, dict) or not isinstance(names.get("validation"), list):
        raise DataError("holds no list `validation`", "Name a split file.", path=split)
    kept = [pair for pair in pairs if pair.name in names["validation"]]
    if not kept:
        raise DataError("holds out none of these pairs", "Name the split of this very set.", path=split)
    return kept
