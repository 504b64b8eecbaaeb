"""Mixed sources: which pairs and which well-lit frames a recipe trains on, and which are held out."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.datasets.layouts import pairs_in
from relume.datasets.pairs import Pair, listed_pairs
from relume.datasets.splits import read_split
from relume.errors import DataError
from relume.lab.data.packed import Roots, as_roots, only_root, open_pack
from relume.lab.recipe import Data, Source

Row = Mapping[str, str]


MADE, MADE_HELD_OUT = 400, 8
"""Pictures of a source that is made by formula: to train on, and held out."""


@dataclass(frozen=True)
class SourcedPair(Pair):
    """A pair with its source; where frames are darkened or left alone, both sides are the well-lit frame.

    The path of a picture made by formula is its kind and number, and no file.

    Attributes:
        source: of the recipe.
        held_out: belongs to validation.
    """

    source: Source
    held_out: bool


def mixed_sources(roots: Roots, data: Data) -> tuple[list[Pair], list[Pair]]:
    """What to train on and what is held out, of all sources.

    With `subset="all"` the held-out scenes are trained on too.

    Raises:
        DataError: a folder is missing, a source has nothing to train on, or those of its name have nothing
            held out.
    """
    training: list[Pair] = []
    validation: list[Pair] = []
    names = set[str]()
    for source in data.sources:
        pairs = _of_source(roots, source)
        held_out = [pair for pair in pairs if pair.held_out]
        kept = [SourcedPair(pair.name, pair.low, pair.high, source, False) for pair in pairs]
        if data.subset == "train":
            kept = [one for one, pair in zip(kept, pairs, strict=True) if not pair.held_out]
        if not kept:
            raise _nothing(roots, source, "train")
        names |= {source.name} if held_out else set()
        training += kept[: data.limit or None]
        validation += held_out[: data.limit or None]
    for source in data.sources:
        if source.name not in names:
            raise _nothing(roots, source, "validate")
    return training, validation


def _nothing(roots: Roots, source: Source, purpose: str) -> DataError:
    return DataError(
        f"source '{source.name}' has nothing to {purpose} on",
        f"Check the data root, the split '{source.split}' and what the source skips.",
        path=as_roots(roots)[0] / source.path,
    )


def _of_source(roots: Roots, source: Source) -> list[SourcedPair]:
    if source.is_made:
        return _made(source)
    pairs, held_out = listed(roots, source.path, source.list_file)
    if source.split:
        held_out = set(read_split(source.split))
    used = [pair for pair in pairs if pair.name not in source.skip]
    wanted = used if source.kind == "pairs" else _well_lit(used)
    if source.kind == "pairs" and used and all(pair.low == pair.high for pair in used):
        raise DataError(
            f"source '{source.name}' names single photographs, not pairs",
            "Give it the kind darkened or identity.",
            path=as_roots(roots)[0] / source.path,
        )
    return [
        SourcedPair(
            f"{source.name}: {source.path}/{pair.low.stem}",
            pair.low,
            pair.high,
            source,
            pair.name in held_out,
        )
        for pair in wanted
    ]


def _made(source: Source) -> list[SourcedPair]:
    """Pictures made by formula, called by number; the last ones are held out."""
    numbers = [(Path(source.kind, f"{number:03d}"), number >= MADE) for number in range(MADE + MADE_HELD_OUT)]
    return [
        SourcedPair(f"{source.name}: {path.name}", path, path, source, is_held_out)
        for path, is_held_out in numbers
    ]


def _well_lit(pairs: Sequence[Pair]) -> list[Pair]:
    """Each well-lit frame once, as both sides, under the name of the first pair that it belongs to."""
    first = {pair.high: pair.name for pair in reversed(pairs)}
    return [Pair(first[path], path, path) for path in dict.fromkeys(pair.high for pair in pairs)]


def listed(roots: Roots, path: str, list_file: str = "") -> tuple[list[Pair], set[str]]:
    """The pairs of a set or of one of its lists, and the names that the list itself holds out.

    Args:
        roots: data root, or a pack.
        path: folder below the data root, or part of a layout.
        list_file: name of a list in the folder; the set's own pairs without.

    Raises:
        DataError: the set, its list or an image is missing, or the pack does not hold it.
    """
    pack = open_pack(roots)
    if pack is not None:
        return pack.listed(path, list_file)
    root = only_root(roots)
    if not list_file:
        return pairs_in(root, path), set()
    folder = root / path
    file = folder / list_file
    rows = _rows(file)
    if not {"file", "split"} <= rows[0].keys():
        return listed_pairs(file), set()
    photographs = [_image(folder / row["file"], file) for row in rows]
    names = [row["file"].rpartition(".")[0] for row in rows]
    pairs = [Pair(name, path, path) for name, path in zip(names, photographs, strict=True)]
    return pairs, {name for name, row in zip(names, rows, strict=True) if row["split"] == "held_out"}


def _image(path: Path, file: Path) -> Path:
    """The image that a list names, or its unpacked copy."""
    for there in (path, path.with_suffix(".png")):
        if there.is_file():
            return there
    raise DataError(f"the list names {path}, which is not there", "Get the set again.", path=file)


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if all(value is not None for value in row.values())]
    except (OSError, ValueError, csv.Error) as error:
        said = getattr(error, "strerror", None) or "it is not a CSV file in UTF-8"
        raise DataError(f"the list cannot be read ({said})", "Get the set again.", path=file) from error
    if not rows:
        raise DataError("it lists nothing", "Get the set again.", path=file)
    return rows
