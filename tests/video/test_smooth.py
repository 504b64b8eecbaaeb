"""Looks are smoothed by seconds, not by pictures; cuts and lamps are followed, flicker is not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.colour import to_linear, to_srgb
from relume.look.look import Look
from relume.photo import Photo
from relume.steps.controls import Adjustment
from relume.video.smooth import (
    SIDE,
    Settled,
    Sight,
    Smoother,
    Trimmer,
    change_of_light,
    is_cut,
    mean_look,
    shifted,
)
from video.clips import scene


def look(gain: float = 4.0, strength: float = 1.0, grid: float = 0.0) -> Look:
    adjustment = Adjustment(strength, 1.0, 1.0, np.full(3, gain), np.full(3, gain / 2))
    return Look({"grid": np.full((1, 2, 3), grid, np.float32)}, adjustment, 2)


def small(light: float = 0.1, seed: int = 0) -> np.ndarray:
    """A thumbnail whose light is `light` times that of a scene."""
    picture = np.moveaxis(scene((SIDE, SIDE), 0.5, seed), -1, 0)
    return np.asarray(to_srgb(to_linear(picture) * light), np.float32)


def smoothed(sights: Iterable[Sight], seconds: float = 1.0) -> list[Settled[int]]:
    smoother: Smoother[int] = Smoother(seconds)
    settled = [each for number, sight in enumerate(sights) for each in smoother.add(number, sight)]
    return [*settled, *smoother.finish()]


def gains(settled: list[Settled[int]]) -> np.ndarray:
    return np.array([each.look.adjustment.gain_C[0] for each in settled if each.look.adjustment is not None])


def test_the_mean_of_gains_is_geometric_and_of_all_else_plain() -> None:
    mean = mean_look([look(2.0, 1.0, 0.0), look(8.0, 0.5, 3.0)], np.array([0.5, 0.5]))
    assert mean.adjustment is not None
    assert mean.adjustment.gain_C == pytest.approx([4.0] * 3)
    assert mean.adjustment.correction_C == pytest.approx([2.0] * 3)
    assert mean.adjustment.strength == pytest.approx(0.75)
    assert mean.arrays["grid"] == pytest.approx(np.full((1, 2, 3), 1.5))
    assert mean.arrays["grid"].dtype == np.float32
    assert mean.factor == 2


def test_a_picture_left_alone_counts_as_no_strength_and_no_more() -> None:
    mean = mean_look([look(4.0), Look()], np.array([0.25, 0.75]))
    assert mean.adjustment is not None
    assert mean.adjustment.strength == pytest.approx(0.25)
    assert mean.adjustment.gain_C == pytest.approx([4.0] * 3)
    assert mean_look([Look(), Look()], np.array([0.5, 0.5])).adjustment is None


def test_without_seconds_each_look_stays_as_it_is() -> None:
    looks = [look(float(gain)) for gain in (2, 8, 3)]
    settled = smoothed([Sight(number / 10, small(), each) for number, each in enumerate(looks)], 0.0)
    assert [each.look for each in settled] == looks
    assert not any(each.shift_C.any() for each in settled)


@pytest.mark.parametrize("rate", [10, 24, 60])
def test_the_result_depends_on_seconds_and_hardly_on_the_rate(rate: int) -> None:
    def wave(second: float) -> float:
        return 4 * 2 ** np.sin(2 * np.pi * second / 4)

    times = np.arange(0, 6, 1 / rate)
    found = np.log2(gains(smoothed([Sight(t, small(), look(wave(t))) for t in times])))
    # The mean of a sine under cos^2 weights of three seconds back and one ahead, by a fine sum.
    apart = np.linspace(-3, 1, 4001)
    weights = np.cos(np.pi / 2 * np.where(apart < 0, apart / 3, apart)) ** 2
    mean = (weights * np.exp(0.5j * np.pi * apart)).sum() / weights.sum()
    expected = 2 + np.imag(mean * np.exp(0.5j * np.pi * times))
    inner = (times >= 3) & (times <= 5)
    assert np.abs(found - expected)[inner].max() < 0.03


def test_brightness_does_not_pump_with_looks() -> None:
    random = np.random.default_rng(0)
    raw = 4 * 2 ** random.normal(0, 0.2, 60)
    steady = gains(smoothed([Sight(n / 30, small(), look(gain)) for n, gain in enumerate(raw)]))
    assert np.diff(np.log2(steady)).std() < 0.1 * np.diff(np.log2(raw)).std()


def test_strength_goes_over_smoothly_at_a_threshold() -> None:
    strengths = [float(n % 2) for n in range(40)]
    looks = [look(strength=each) if each else Look() for each in strengths]
    settled = smoothed([Sight(n / 20, small(), each) for n, each in enumerate(looks)])
    found = [each.look.adjustment.strength for each in settled if each.look.adjustment is not None]
    assert len(found) == 40
    assert max(abs(a - b) for a, b in pairwise(found)) < 0.06


def test_nothing_is_carried_across_a_cut() -> None:
    before = [Sight(n / 10, small(0.1, seed=1), look(8.0)) for n in range(12)]
    after = [Sight(1.2 + n / 10, small(0.4, seed=2), look(2.0)) for n in range(12)]
    settled = smoothed([*before, *after])
    assert gains(settled) == pytest.approx([8.0] * 12 + [2.0] * 12)
    assert [each.scene for each in settled] == [0] * 12 + [1] * 12


@pytest.mark.parametrize("light", [0.03, 0.5, 3.0])
def test_light_that_changes_is_no_cut(light: float) -> None:
    assert not is_cut(small(0.3).astype(float), small(0.3 * light).astype(float))


def test_another_scene_is_a_cut_in_the_same_light() -> None:
    assert all(
        is_cut(small(0.3, a).astype(float), small(0.3, b).astype(float)) for a, b in ((1, 2), (3, 4), (5, 6))
    )


def test_flicker_of_the_light_is_brought_back_to_its_mean() -> None:
    times = np.arange(0, 3, 1 / 30)
    lights = 0.2 * 2 ** (0.4 * np.sin(2 * np.pi * 4.3 * times))
    settled = smoothed([Sight(t, small(light), look()) for t, light in zip(times, lights, strict=True)])
    left = np.log(lights) + np.array([each.shift_C.mean() for each in settled])
    inner = (times >= 1) & (times <= 2)
    assert left[inner].std() < 0.1 * np.log(lights)[inner].std()


def test_a_lamp_that_comes_on_is_followed_at_once() -> None:
    lights = [0.1] * 15 + [0.6] * 15
    looks = [look(8.0)] * 15 + [look(2.0)] * 15
    settled = smoothed([Sight(n / 10, small(each), looks[n]) for n, each in enumerate(lights)])
    found = np.log2(gains(settled))
    assert np.abs(found - np.log2([8.0] * 15 + [2.0] * 15)).max() < 0.2
    assert max(np.abs(each.shift_C).max() for each in settled) < 0.1


def test_pictures_wait_no_longer_than_the_seconds_and_no_more_than_a_bound() -> None:
    smoother: Smoother[int] = Smoother(1.0)
    waiting, most, latest = 0, 0, 0.0
    for number in range(600):
        waiting += 1
        for settled in smoother.add(number, Sight(number / 240, small(), look())):
            waiting -= 1
            latest = max(latest, number / 240 - settled.seconds)
        most = max(most, waiting)
    assert most <= 64
    assert latest <= 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=30), st.floats(0, 2), st.integers(0, 2**31))
def test_every_picture_comes_once_and_in_order(steps: list[float], seconds: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(steps)
    sights = [Sight(t, small(0.2, int(random.integers(3))), look(float(random.uniform(1, 9)))) for t in times]
    settled = smoothed(sights, seconds)
    assert [each.carried for each in settled] == list(range(len(steps)))
    low, high = (
        f(float(each.look.adjustment.gain_C[0]) for each in sights if each.look.adjustment)
        for f in (min, max)
    )
    assert all(low - 1e-6 <= gain <= high + 1e-6 for gain in gains(settled))


def test_light_that_rises_steadily_is_no_flicker() -> None:
    times = np.arange(0, 3, 1 / 30)
    settled = smoothed([Sight(t, small(0.1 * 2**t), look()) for t in times])
    assert max(np.abs(each.shift_C).max() for each in settled) < 0.01


def test_change_as_small_as_a_cameras_exposure_is_left() -> None:
    times = np.arange(0, 3, 1 / 30)
    lights = 0.2 * (1 + 0.01 * np.sin(2 * np.pi * 1.5 * times))
    settled = smoothed([Sight(t, small(light), look()) for t, light in zip(times, lights, strict=True)])
    assert max(np.abs(each.shift_C).max() for each in settled) < 0.002


def test_a_change_of_light_is_told_by_what_is_bright() -> None:
    before = np.full((3, SIDE, SIDE), 0.05)
    before[:, : SIDE // 4] = 0.5
    after = before * 1.3
    after[:, SIDE // 4 :] = 0.05  # noise
    wanted = np.log(to_linear(np.array(0.65)) / to_linear(np.array(0.5)))
    assert change_of_light(before, after, 2.0) == pytest.approx([float(wanted)] * 3)
    assert change_of_light(before, after) == pytest.approx([0.0] * 3)


def test_what_results_keep_of_shifts_is_taken_off_and_what_has_nothing_to_do_with_them_stays() -> None:
    random = np.random.default_rng(0)
    shifts, own = random.normal(0, 0.2, 40), np.linspace(0, 0.5, 40)
    kept = np.exp(own - 0.1 * shifts)
    trimmer = Trimmer(1.0)
    found = [
        trimmer.shift(n / 20, 0, small(0.3 * kept[n]), np.full(3, shift)).mean()
        for n, shift in enumerate(shifts)
    ]
    left = np.log(kept) + found - own
    assert left[5:].std() < 0.25 * 0.1 * shifts.std()
    still = Trimmer(1.0)
    assert not any(still.shift(n / 20, 0, small(0.3 * kept[n]), np.zeros(3)).any() for n in range(40))


def test_trimming_begins_anew_with_a_scene() -> None:
    trimmer, found = Trimmer(1.0), np.zeros(3)
    for number in range(3):
        found = trimmer.shift(number / 10, 0, small(0.5 + 0.02 * number), np.full(3, -0.2 * number))
    assert found.any()
    assert not trimmer.shift(0.3, 1, small(0.5), np.full(3, 0.2)).any()


@pytest.mark.parametrize("sample", [np.uint8, np.uint16])
@pytest.mark.parametrize("wanted_sample", [np.uint8, np.uint16])
def test_a_shift_is_a_factor_on_linear_light(sample: type, wanted_sample: type) -> None:
    top, wanted_top = np.iinfo(sample).max, np.iinfo(wanted_sample).max
    photo = Photo(np.full((4, 5, 3), round(0.3 * top), sample))
    found = shifted(photo, np.log([2.0, 1.0, 0.5]), wanted_sample).rgb_HWC[0, 0] / wanted_top
    wanted = to_srgb(to_linear(np.full(3, 0.3)) * np.array([2.0, 1.0, 0.5]))
    assert found == pytest.approx(wanted, abs=0.004)


def test_no_shift_is_the_photo_itself_and_grey_stays_grey() -> None:
    grey = Photo(np.full((4, 5, 3), 90, np.uint8), grey=True)
    assert shifted(grey, np.zeros(3), np.uint8) is grey
    back = shifted(shifted(grey, np.zeros(3)), np.zeros(3), np.uint8)
    assert (back.rgb_HWC == grey.rgb_HWC).all()
    pixels = shifted(grey, np.array([0.3, 0.0, -0.1])).rgb_HWC
    assert (pixels == pixels[..., :1]).all()
