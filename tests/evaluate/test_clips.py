"""Measures of clips, against clips whose flicker is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("av")

from relume.errors import DataError
from relume.evaluate.clips import ClipScores, flicker, measure_clip
from relume.evaluate.timeline import timeline_png
from video.clips import scene

SIZE = (48, 40)


def measured(
    gains: list[float], reference: list[float], *, rate: float = 10, flow: bool = False, **kind: bool
) -> ClipScores:
    picture = scene(SIZE, 0.3, seed=3)

    def pairs() -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        for number, (gain, other) in enumerate(zip(gains, reference, strict=True)):
            yield number / rate, np.clip(picture * gain, 0, 1), np.clip(picture * other, 0, 1)

    return measure_clip(pairs(), has_target=kind.get("has_target", True), flow=flow)


def test_a_steady_clip_does_not_flicker() -> None:
    scores = measured([1.0] * 10, [1.0] * 10)
    assert (scores.flicker, scores.block_flicker, scores.change) == pytest.approx((0, 0, 0), abs=1e-4)
    assert scores.psnr == 100
    assert scores.ssim == pytest.approx(1)


def test_flicker_is_told_in_per_cent_and_the_scenes_own_change_is_none() -> None:
    alternating = [1.0, 1.02] * 20
    scores = measured(alternating, [1.0] * 40, rate=40)
    assert scores.flicker == pytest.approx(100 * np.log(1.02) / 2, rel=0.05)
    assert scores.block_flicker == pytest.approx(scores.flicker, rel=0.05)
    followed = measured(alternating, alternating, rate=40)
    assert followed.flicker == pytest.approx(0, abs=1e-9)
    assert followed.change == pytest.approx(followed.reference_change) == pytest.approx(scores.change)


def test_slow_change_is_no_flicker_but_change() -> None:
    slow = [1.0 + 0.002 * n for n in range(60)]
    scores = measured(slow, [1.0] * 60, rate=30)
    assert scores.flicker < 0.1 * scores.change


def test_what_goes_on_across_a_cut_does_not_count() -> None:
    levels = np.array([0.0] * 5 + [1.0] * 5)
    assert flicker(levels, np.arange(10) / 10, [slice(0, 5), slice(5, 10)]) == pytest.approx(0, abs=1e-9)
    assert flicker(levels, np.arange(10) / 10, [slice(0, 10)]) > 10


def test_cuts_are_found_in_the_reference() -> None:
    def pairs() -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        for number in range(10):
            picture = scene(SIZE, 0.3 if number < 5 else 0.15, seed=1 if number < 5 else 2)
            yield number / 10, picture, picture

    assert measure_clip(pairs(), has_target=True, flow=False).change < 1e-9


def test_the_warping_error_follows_motion() -> None:
    pytest.importorskip("cv2")
    wide = scene((80, 40), 0.5, seed=5)
    fine = np.random.default_rng(0).normal(0, 0.05, wide.shape)

    def moving(noise: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        random = np.random.default_rng(1)
        for number in range(8):
            picture = np.clip((wide + fine)[:, number : number + 60], 0, 1)
            grain = random.normal(0, noise, picture.shape)
            yield number / 10, np.clip(picture + grain, 0, 1), picture

    quiet, grainy = (measure_clip(moving(noise), has_target=True) for noise in (0.0, 0.05))
    assert quiet.warping is not None
    assert grainy.warping is not None
    assert quiet.warping < 3
    assert grainy.warping > 2 * quiet.warping


def test_without_an_original_there_is_no_fidelity() -> None:
    scores = measured([1.0] * 4, [0.5] * 4, has_target=False)
    assert scores.psnr is None
    assert scores.ssim is None
    assert scores.to_json()["flicker"] == 0


def test_sizes_must_agree_and_there_must_be_pictures() -> None:
    with pytest.raises(DataError, match="48x40"):
        measure_clip([(0.0, np.zeros((40, 48, 3)), np.zeros((40, 50, 3)))], has_target=True, flow=False)
    with pytest.raises(DataError, match="no pictures"):
        measure_clip([], has_target=True, flow=False)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_timeline_is_a_picture_of_any_number_of_values(count: int) -> None:
    times = np.arange(count) / 10
    png = timeline_png(
        times.tolist(), {"before": [0.1] * count, "after": [0.4] * count}, [0.1], title="<clip>"
    )
    assert png.startswith(b"\x89PNG")
