"""Tiles: they cover a photo once, and a photo in tiles is the photo at once."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume import Enhancer
from relume.options import DEFAULT_TILE
from relume.steps.tiles import mirrored, spans, tiles
from shared import dark

Load = Callable[..., Enhancer]
SIDES = st.one_of(st.just(0), st.integers(1, 300))
MULTIPLES = st.sampled_from([1, 2, 8, 16])


@given(length=st.integers(1, 2000), side=SIDES, steps=st.integers(0, 9), multiple=MULTIPLES)
def test_spans_cover_each_pixel_once(length: int, side: int, steps: int, multiple: int) -> None:
    halo = steps * multiple
    parts = spans(length, side, halo, multiple)
    assert [pixel for part in parts for pixel in range(length)[part.inner]] == list(range(length))
    for part in parts:
        assert part.inner.start % multiple == part.outer.start % multiple == 0
        assert part.outer.start == max(0, part.inner.start - halo)
        assert part.outer.stop == min(length, part.inner.stop + halo) or part.inner.stop == length
        assert 0 <= part.outer.start <= part.inner.start < part.inner.stop <= part.outer.stop <= length
        assert part.inner.stop - part.inner.start <= (side + multiple if side else length)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=SIDES, multiple=MULTIPLES)
def test_tiles_cover_each_pixel_once(height: int, width: int, side: int, multiple: int) -> None:
    count = np.zeros((height, width), int)
    for tile in tiles(height, width, max(side, 20) if side else 0, 2 * multiple, multiple):
        count[tile.rows.inner, tile.columns.inner] += 1
    assert (count == 1).all()


@given(length=st.integers(1, 50), before=st.integers(0, 70), after=st.integers(0, 70))
def test_beyond_its_ends_a_photo_is_mirrored(length: int, before: int, after: int) -> None:
    assert mirrored(length, before, after) == np.pad(np.arange(length), (before, after), "reflect").tolist()


def test_no_side_gives_one_tile() -> None:
    (tile,) = tiles(301, 205, 0, 112, 16)
    assert (tile.rows.inner, tile.columns.inner) == (slice(0, 301), slice(0, 205))


def enhance_both_ways(load: Load, photo: np.ndarray, side: int) -> None:
    whole, tiled = (load(tile=tile).enhance(photo) for tile in (0, side))
    assert tiled.shape == whole.shape == photo.shape
    assert tiled.dtype == whole.dtype == photo.dtype
    step = np.iinfo(photo.dtype).max // 255
    assert np.abs(tiled.astype(int) - whole).max() <= step


@st.composite
def photos_and_sides(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Up to about 300 x 400 pixels in at most 3 x 4 tiles."""
    side = draw(st.integers(32, 200))
    height, width = draw(st.integers(1, min(301, 3 * side))), draw(st.integers(1, min(403, 4 * side)))
    return dark(height, width, draw(st.sampled_from([8, 16])), draw(st.integers(0, 99))), side


@settings(max_examples=12, deadline=None)
@given(photos_and_sides())
def test_tiles_do_not_change_the_result(kept_enhancer: Load, case: tuple[np.ndarray, int]) -> None:
    enhance_both_ways(kept_enhancer, *case)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 130), (131, 1), (2, 3), (17, 15), (97, 129)])
def test_tiles_of_odd_sizes(kept_enhancer: Load, size: tuple[int, int], bits: int) -> None:
    enhance_both_ways(kept_enhancer, dark(*size, bits), 32)


def test_tiles_of_a_larger_photo(kept_enhancer: Load) -> None:
    enhance_both_ways(kept_enhancer, dark(600, 700), 256)


@pytest.mark.skipif(
    "RELUME_BIG" not in os.environ, reason="takes a minute and some gigabytes; set RELUME_BIG"
)
def test_tiles_of_a_big_photo(kept_enhancer: Load) -> None:
    enhance_both_ways(kept_enhancer, dark(3000, 4000), DEFAULT_TILE)
