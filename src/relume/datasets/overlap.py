"""Sets that hold the same photographs under other names, so that one cannot honestly test the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, cast

from relume.datasets.layouts import LAYOUTS, is_layout
from relume.errors import DataError

SAME_PHOTOS: Mapping[frozenset[str], str] = {
    frozenset(("lol-v1", "lol-v2-real")): (
        "91 of the 100 test images of LOL-v2-real are training images of LOL-v1: "
        "the two are different splits of one collection"
    )
}
"""Pairs of layouts that share photographs, and what is known about it."""


def set_at(where: str | Path) -> str | None:
    """The layout of `SAME_PHOTOS` that a folder or a reference belongs to, as far as its name tells.

    >>> set_at("lol-v2-real/test"), set_at("data/lol_v1/our485"), set_at("holiday")
    ('lol-v2-real', 'lol-v1', None)
    """
    parts = PurePath(where).parts
    if parts and is_layout(str(where)):
        return parts[0]
    return next((name for name, ends in _folders() if ends & _tails(parts)), None)


def trained_on(recipe: Mapping[str, Any]) -> list[str]:
    """Folders or references that a recipe, as JSON has it, trains on."""
    data: Any = recipe.get("data")
    if not isinstance(data, Mapping):
        return []
    table = cast("Mapping[str, Any]", data)
    sources: list[str] = [source["path"] for source in table.get("sources") or ()]
    return sources or [table[key] for key in ("pairs",) if key in table]


def refuse_overlap(trained: Iterable[str], tested: str | Path, who: str) -> None:
    """Refuse to test on photographs that were trained on under another set's name.

    Args:
        trained: folders or references of the training data.
        tested: folder or reference of the test data.
        who: what was trained, for the message.

    Raises:
        DataError: a set of `trained` shares photographs with that of `tested`.
    """
    for where in trained:
        known = shared_photos((where, str(tested)))
        if known:
            raise DataError(
                f"'{who}' was trained on {where}, which cannot be tested on {tested}: {known}",
                "Test on scenes of another set, or train on the training part of this very set.",
            )


def shared_photos(places: Collection[str]) -> str | None:
    """Why these folders or references must not be mixed, if two of them share photographs."""
    sets = [name for name in map(set_at, places) if name is not None]
    return next(
        (SAME_PHOTOS[both] for both in map(frozenset, combinations(sets, 2)) if both in SAME_PHOTOS), None
    )


def _folders() -> list[tuple[str, set[tuple[str, ...]]]]:
    """For each layout that shares photographs, what a path to one of its parts ends with."""
    named: list[tuple[str, set[tuple[str, ...]]]] = []
    for name in sorted(frozenset[str]().union(*SAME_PHOTOS)):
        sides = [PurePosixPath(part.low).parent for part in LAYOUTS[name].parts.values()]
        named.append((name, {place.parts for side in sides for place in (side, side.parent)}))
    return named


def _tails(parts: tuple[str, ...]) -> set[tuple[str, ...]]:
    """All ends of a path."""
    return {parts[start:] for start in range(len(parts))}
