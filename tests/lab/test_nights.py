"""Nights and gradients made by formula: dark where they should be, smooth where they should be, any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from relume.arrays import EightBits
from relume.lab.darkness import NIGHT, SMOOTH, draw
from relume.lab.data import nights
from relume.lab.data.nights import NIGHTS, gradient, night
from relume.lab.data.synthesis import degrade

Maker = Callable[[np.random.Generator, int, int], EightBits]


@given(
    maker=st.sampled_from([*NIGHTS.values(), night, gradient]),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=80, deadline=None)
def test_any_size_and_the_same_for_a_seed(maker: Maker, height: int, width: int, seed: int) -> None:
    first, again = (maker(np.random.default_rng(seed), height, width) for _ in range(2))
    assert first.shape == (height, width, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_is_dark_with_something_bright_in_it(name: str) -> None:
    pictures = [NIGHTS[name](np.random.default_rng(seed), 160, 240) for seed in range(12)]
    assert len({picture.tobytes() for picture in pictures}) == 12
    medians = [float(np.median(picture.max(2))) for picture in pictures]
    assert np.median(medians) < 55
    assert max(medians) < 110
    assert np.mean([picture.max() > 120 for picture in pictures]) > 0.8


def test_the_sky_of_stars_is_at_levels_3_to_15() -> None:
    for seed in range(12):
        upper = nights.stars(np.random.default_rng(seed), 200, 300)[:100]
        assert 1 <= np.median(upper.max(2)) <= 24
        assert upper.max() > 60


def test_a_gradient_is_smooth() -> None:
    for seed in range(20):
        picture = gradient(np.random.default_rng(seed), 128, 192).astype(float)
        means = picture.reshape(32, 4, 48, 4, 3).mean((1, 3))
        assert max(np.abs(np.diff(means, axis=axis)).max() for axis in (0, 1)) < 12
        assert picture.mean() > 25


def test_nights_stay_as_they_are_and_gradients_get_dark() -> None:
    random = np.random.default_rng(0)
    for maker, ranges, kept in ((night, NIGHT, True), (gradient, SMOOTH, False)):
        clean = torch.from_numpy(np.stack([maker(random, 96, 128) for _ in range(8)])).permute(0, 3, 1, 2)
        dark, target = degrade(clean, [draw(ranges, random) for _ in range(8)])
        assert dark.mean() < target.mean()
        assert (dark.mean() > 0.75 * target.mean()) == kept
        if kept:
            assert torch.equal((target * 255).round().byte(), clean)
