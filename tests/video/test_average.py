"""Results averaged over time: by hand where nothing moves, and nothing left behind where something does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from relume.photo import Photo
from relume.video.average import Averager, box_mean

RATE = 25


def noisy(level: float, seed: int, size: tuple[int, int] = (48, 64)) -> Photo:
    noise = np.random.default_rng(seed).normal(0, 3, (*size, 3))
    return Photo(np.clip(np.rint(255 * level + noise), 0, 255).astype(np.uint8))


def mixed(photos: Sequence[Photo], memory: float = 0.1, scenes: Sequence[int] | None = None) -> list[Photo]:
    averager = Averager(memory)
    chosen = scenes or [0] * len(photos)
    return [
        averager.mixed(photo, number / RATE, scene)
        for number, (photo, scene) in enumerate(zip(photos, chosen, strict=True))
    ]


def test_the_mean_over_a_box_by_hand() -> None:
    values = np.random.default_rng(0).random((7, 9), dtype=np.float32)
    padded = np.pad(values, 2, "edge")
    by_hand = [[padded[y : y + 5, x : x + 5].mean() for x in range(9)] for y in range(7)]
    assert box_mean(values, 2) == pytest.approx(np.array(by_hand), abs=1e-6)
    assert box_mean(values[:1, :1], 2) == pytest.approx(values[:1, :1])


def test_the_second_picture_has_the_share_of_the_memory() -> None:
    first, second = noisy(0.5, 0), noisy(0.5, 1)
    share = math.exp(-1 / RATE / 0.1)
    by_hand = second.rgb_HWC + share * (first.rgb_HWC.astype(float) - second.rgb_HWC)
    result = mixed([first, second])[1].rgb_HWC
    assert np.mean(np.abs(result - by_hand) <= 0.51) > 0.9  # elsewhere it differs from the usual


def test_grain_fades_where_nothing_moves_whatever_the_depth() -> None:
    photos = [noisy(0.5, seed) for seed in range(20)]
    last = mixed(photos)[-1].rgb_HWC
    assert last.std() < 0.55 * photos[-1].rgb_HWC.std()
    deep = mixed([Photo(photo.rgb_HWC.astype(np.uint16) * 257) for photo in photos])[-1]
    assert deep.rgb_HWC / 257 == pytest.approx(last, abs=0.6)


def test_what_moves_leaves_nothing_behind() -> None:
    photos = [noisy(0.3, seed) for seed in range(12)]
    for number, photo in enumerate(photos):
        photo.rgb_HWC[10:26, 4 * number : 4 * number + 12] = 200
    for number, result in enumerate(mixed(photos)):
        block = result.rgb_HWC[10:26, 4 * number : 4 * number + 12].astype(int)
        assert np.abs(block - 200).max() <= 1
        behind = result.rgb_HWC[10:26, max(0, 4 * number - 8) : 4 * number].astype(int)
        assert behind.size == 0 or abs(behind.mean() - photos[0].rgb_HWC.mean()) < 12


def test_light_that_changes_is_followed_at_once() -> None:
    photos = [*(noisy(0.3, seed) for seed in range(8)), *(noisy(0.45, seed) for seed in range(8, 12))]
    results = mixed(photos)
    for photo, result in zip(photos[8:], results[8:], strict=True):
        assert abs(result.rgb_HWC.mean() - photo.rgb_HWC.mean()) < 0.5


def test_a_cut_and_a_picture_left_alone_begin_anew() -> None:
    photos = [noisy(0.4, seed) for seed in range(4)]
    assert mixed(photos, scenes=[0, 0, 1, 1])[2] is photos[2]
    averager = Averager(0.1)
    averager.mixed(photos[0], 0.0, 0)
    averager.forget()
    assert averager.mixed(photos[1], 0.1, 0) is photos[1]


def test_no_memory_leaves_all_as_it_is() -> None:
    photos = [noisy(0.4, seed) for seed in range(3)]
    assert all(result is photo for result, photo in zip(mixed(photos, 0.0), photos, strict=True))
