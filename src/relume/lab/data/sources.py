"""Mixed sources: which pairs and which well-lit frames a recipe trains on, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.datasets.layouts import pairs_in
from relume.datasets.pairs import Pair
from relume.datasets.splits import read_split
from relume.errors import DataError
from relume.lab.recipe import Data, Source


@dataclass(frozen=True)
class SourcedPair(Pair):
    """A pair with its source; where frames are darkened or left alone, both sides are the well-lit frame.

    Attributes:
        source: of the recipe.
        held_out: belongs to validation.
    """

    source: Source
    held_out: bool


def mixed_sources(root: Path, data: Data) -> tuple[list[Pair], list[Pair]]:
    """What to train on and what is held out, of all sources.

    With `subset="all"` the held-out scenes are trained on too.

    Raises:
        DataError: a folder is missing, or a source has nothing to train on or nothing held out.
    """
    training: list[Pair] = []
    validation: list[Pair] = []
    for source in data.sources:
        pairs = _of_source(root, source)
        held_out = [pair for pair in pairs if pair.held_out]
        kept = [SourcedPair(pair.name, pair.low, pair.high, source, False) for pair in pairs]
        if data.subset == "train":
            kept = [one for one, pair in zip(kept, pairs, strict=True) if not pair.held_out]
        if not kept or not held_out:
            raise DataError(
                f"source '{source.name}' has nothing to {'validate' if kept else 'train'} on",
                f"Check the data root, the split '{source.split}' and what the source skips.",
                path=root / source.path,
            )
        training += kept[: data.limit or None]
        validation += held_out[: data.limit or None]
    return training, validation


def _of_source(root: Path, source: Source) -> list[SourcedPair]:
    held_out = set(read_split(source.split))
    listed = [pair for pair in pairs_in(root, source.path) if pair.name not in source.skip]
    wanted = listed if source.kind == "pairs" else _well_lit(listed)
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


def _well_lit(pairs: Sequence[Pair]) -> list[Pair]:
    """Each well-lit frame once, as both sides, under the name of the first pair that it belongs to."""
    first = {pair.high: pair.name for pair in reversed(pairs)}
    return [Pair(first[path], path, path) for path in dict.fromkeys(pair.high for pair in pairs)]
