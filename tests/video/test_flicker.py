"""Whole clips with the shipped model: light that flickers, and a cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from relume.enhancer import Enhancer
from relume.evaluate.clips import flicker
from relume.options import Controls
from relume.video.clip import Brightness, ClipOptions, enhance_clip
from relume.video.smooth import DEFAULT_SECONDS
from video.clips import make_clip

FRAMES, PER_SECOND = 40, 20
WAYS = {"picture by picture": 0.0, "smoothed": DEFAULT_SECONDS}


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    return Enhancer(downsample=1, threads=1)


def brightness(
    folder: Path,
    enhancer: Enhancer,
    light: Callable[[float], float],
    seed: Callable[[int], int] = lambda n: 0,
) -> dict[str, Brightness]:
    """Over time, both ways, of a dark clip of two seconds in this light."""
    path = make_clip(
        folder / "dark.mkv",
        codec="ffv1",
        pixel_format="bgr0",
        size=(96, 64),
        frames=FRAMES,
        rate=PER_SECOND,
        light=lambda n: light(n / PER_SECOND),
        seed=seed,
    )
    return {
        way: enhance_clip(
            path, folder / "bright.mkv", lambda factor: enhancer, Controls(), ClipOptions(smooth=smooth)
        ).brightness
        for way, smooth in WAYS.items()
    }


def flickers(found: dict[str, Brightness], by: Callable[[Brightness], np.ndarray]) -> dict[str, float]:
    whole = [slice(0, FRAMES)]
    return {
        way: flicker(np.log(np.array(each.after) / by(each)), np.array(each.seconds), whole)
        for way, each in found.items()
    }


def test_light_that_flickers_leaves_little_in_the_result(tmp_path: Path, enhancer: Enhancer) -> None:
    def bulb(second: float) -> float:
        waves = (np.sin(2 * np.pi * hertz * second) for hertz in (3.3, 7.1))
        return 0.12 * 2 ** (0.16 * sum(waves))  # of stored values: twice as many stops of light

    found = flickers(brightness(tmp_path, enhancer, bulb), lambda each: np.ones(FRAMES))
    # Of so small and short a clip more is left than of the benchmark's.
    assert found["smoothed"] < 0.7 * found["picture by picture"]


def test_a_cut_is_followed_within_two_pictures(tmp_path: Path, enhancer: Enhancer) -> None:
    cut = FRAMES // 2
    found = brightness(
        tmp_path,
        enhancer,
        lambda second: 0.2 if second < cut / PER_SECOND else 0.1,
        lambda number: 3 if number < cut else 4,
    )
    assert found["smoothed"].cuts == [pytest.approx(cut / PER_SECOND)]
    apart = np.subtract(found["smoothed"].after, found["picture by picture"].after)[cut:]
    assert np.abs(apart[1:]).max() < 0.02
