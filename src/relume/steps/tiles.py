"""Tiles: which part of a photo is computed at a time, and what it must see of its surroundings.

A tile's *inner* part is what it contributes; its *outer* part adds a halo as wide as the local pass looks.
Both start at multiples of the network's size rule, so that the network's own grid falls on the same pixels
as in the whole photo: the tiles then join without blending, exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """An interval of rows or columns: computed from `outer`, kept in `inner`."""

    inner: slice
    outer: slice


@dataclass(frozen=True)
class Tile:
    """A rectangle of the photo."""

    rows: Span
    columns: Span


def spans(length: int, side: int, halo: int, multiple: int) -> list[Span]:
    """Cut `length` pixels into runs of equal size, at most `side` (rounded up to `multiple`) each.

    Args:
        length: rows or columns of the photo.
        side: wanted side of a tile; 0 takes all at once.
        halo: how far the network looks, a multiple of `multiple`.
        multiple: the network's size rule.
    """
    count = _ceil_div(length, max(side, multiple)) if side else 1
    step = _ceil_div(_ceil_div(length, count), multiple) * multiple
    return [
        Span(
            slice(start, min(start + step, length)),
            slice(max(0, start - halo), min(start + step + halo, length)),
        )
        for start in range(0, length, step)
    ]


def mirrored(length: int, before: int, after: int) -> list[int]:
    """Numbers of rows or columns, continued by their mirror image: ..., 2, 1, 0, 1, 2, ..., back and forth.

    Args:
        length: rows or columns of an image.
        before, after: how many to add at either end.
    """
    period = max(2 * (length - 1), 1)
    return [min(at % period, period - at % period) for at in range(-before, length + after)]


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def tiles(height: int, width: int, side: int, halo: int, multiple: int) -> Iterator[Tile]:
    """All tiles of a photo, row by row; arguments as for `spans`."""
    columns = spans(width, side, halo, multiple)
    for rows in spans(height, side, halo, multiple):
        for column in columns:
            yield Tile(rows, column)
