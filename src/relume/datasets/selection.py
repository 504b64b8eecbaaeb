"""Which photos or pairs are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relume.datasets.layouts import layout_pairs
from relume.datasets.pairs import LIST, Pair, pairs_of
from relume.datasets.splits import held_out, read_split
from relume.errors import DataError, UsageError
from relume.jobs.inputs import find_inputs


@dataclass(frozen=True)
class Selection:
    """What is looked at.

    Attributes:
        pairs: dark photos with their targets; None where there are no targets.
        photos: the dark photos where there are no targets.
        files: all that was found, selected or not, so that no output replaces it.
        where: the layout's part, or the folder, that the pairs are from.
        note: what is missing of the split, if anything.
    """

    pairs: list[Pair] | None
    photos: list[Path]
    files: list[Path]
    where: str = ""
    note: str = ""

    def first(self, count: int) -> Selection:
        """The first so many of them; 0 for all."""
        if not count:
            return self
        pairs = None if self.pairs is None else self.pairs[:count]
        return replace(self, pairs=pairs, photos=self.photos[:count])


def select(low: Path, high: Path | None, split: str | None, layout: str | None = None) -> Selection:
    """Find pairs, or photos where there are no targets.

    Args:
        low, high: as for `pairs_of`; or, without targets, as for `find_inputs`.
        split: as for `read_split`, to take the pairs that it holds out.
        layout: how a published set lies in `low`, as for `layout_pairs`.

    Raises:
        UsageError: a split, but no targets; a layout, but two folders.
        RelumeError: what cannot be found or read.
    """
    if layout is not None and high is not None:
        raise UsageError("--layout takes one folder", "Name the folder that the set was unpacked to.")
    pairs = pairs_of(low, high) if layout is None else layout_pairs(low, layout)
    if pairs is not None:
        sides = [side for pair in pairs for side in (pair.low, pair.high)]
        chosen, note = (pairs, "") if split is None else _held_out(pairs, split)
        files = [*sides, low / LIST, *([] if split is None else [Path(split)])]
        return Selection(chosen, [], files, layout or str(low.absolute()), note)
    if split is not None:
        raise UsageError("--split needs targets", "Name a set of pairs, or a folder of targets as well.")
    photos = [path for path, _ in find_inputs([str(low)], recursive=None)]
    return Selection(None, photos, photos)


def _held_out(pairs: Sequence[Pair], split: str) -> tuple[list[Pair], str]:
    """The pairs that a split holds out, and a note on how many of them are not here.

    Raises:
        DataError: no such split, or none of its names is among the pairs.
        RelumeError: as `read_split`.
    """
    kept = held_out(pairs, split)
    if not kept:
        raise DataError(
            f"the split '{split}' holds out none of these pairs", "Name the split of this very set."
        )
    wanted = set(read_split(split))
    missing = len(wanted.difference(pair.name for pair in kept))
    note = f"{split}: {missing} of the {len(wanted)} images that it holds out are not here"
    return kept, note if missing else ""
