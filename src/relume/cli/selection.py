"""Which photos or pairs a command looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.console import say
from relume.errors import DataError, UsageError

if TYPE_CHECKING:
    from relume.evaluate.pairs import Pair

OnlyOption = Annotated[
    Path | None,
    typer.Option(
        help="Take the images that this split holds out: a file, or our485_scenes or sice_scenes by name."
    ),
]


@dataclass(frozen=True)
class Selection:
    """What a command looks at.

    Attributes:
        pairs: dark photos with their targets; None where there are no targets.
        photos: the dark photos where there are no targets.
        files: all that was found, selected or not, so that no output replaces it.
    """

    pairs: list[Pair] | None
    photos: list[Path]
    files: list[Path]


def select(low: Path, high: Path | None, only: Path | None) -> Selection:
    """Find pairs, or photos where there are no targets.

    Args:
        low, high: as for `pairs_of`; or, without targets, as for `find_inputs`.
        only: a split's file, or the name of one that comes with relume, to take the pairs that it holds out.

    Raises:
        UsageError: a split, but no targets.
        RelumeError: what cannot be found or read.
    """
    from relume.evaluate.pairs import LIST, pairs_of
    from relume.pipeline.inputs import find_inputs

    only = None if only is None else _split_file(only)
    pairs = pairs_of(low, high)
    if pairs is not None:
        sides = [side for pair in pairs for side in (pair.low, pair.high)]
        chosen = pairs if only is None else _held_out(pairs, only)
        return Selection(chosen, [], [*sides, low / LIST, *([] if only is None else [only])])
    if only is not None:
        raise UsageError("--only needs targets", "Name a set of pairs, or a folder of targets as well.")
    photos = [path for path, _ in find_inputs([str(low)])]
    return Selection(None, photos, photos)


def _split_file(split: Path) -> Path:
    """A split's file, given as such or by its name."""
    committed = Path(str(resources.files("relume"))) / "lab/data/splits" / f"{split}.json"
    return committed if not split.exists() and committed.exists() else split


def _held_out(pairs: Sequence[Pair], split: Path) -> list[Pair]:
    """The pairs that a split file holds out; a message says how many of them are not here.

    Raises:
        InputUnreadable, InputInvalid: no such file, or no JSON.
        DataError: no split file, or none of its names is among the pairs.
    """
    from relume.files import read_json

    names = read_json(split)
    if not isinstance(names, dict) or not _is_list_of_names(names.get("validation")):
        raise DataError("holds no list of names `validation`", "Name a split file.", path=split)
    wanted = set(names["validation"])
    kept = [pair for pair in pairs if pair.name in wanted]
    if not kept:
        raise DataError("holds out none of these pairs", "Name the split of this very set.", path=split)
    if missing := len(wanted.difference(pair.name for pair in kept)):
        say(f"{split.stem}: {missing} of the {len(wanted)} images that it holds out are not here")
    return kept


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
