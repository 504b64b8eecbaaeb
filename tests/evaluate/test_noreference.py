from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from relume.errors import DataError
from relume.evaluate.noreference import statistics


def test_statistics_equal_their_definitions() -> None:
    image = np.random.default_rng(0).random((133, 40, 3)) ** 2
    luma, lab = image @ np.array([0.299, 0.587, 0.114]), rgb2lab(image)
    measured = statistics(image)
    assert measured["mean_luma"] == pytest.approx(luma.mean())
    assert measured["contrast"] == pytest.approx(luma.std())
    assert measured["mean_a"] == pytest.approx(lab[..., 1].mean(), abs=2e-3)
    assert measured["mean_b"] == pytest.approx(lab[..., 2].mean(), abs=2e-3)


@pytest.mark.parametrize("height", [3, 63, 64, 65, 66, 67, 130])
def test_noise_is_the_same_however_the_image_is_cut_in_strips(height: int) -> None:
    luma = np.random.default_rng(1).random((height, 20))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    windows = np.lib.stride_tricks.sliding_window_view(luma, (3, 3))
    expected = np.sqrt(np.pi / 2) * np.abs((windows * mask).sum(axis=(2, 3))).mean() / 6
    assert statistics(np.repeat(luma[..., None], 3, axis=2))["noise_sigma"] == pytest.approx(expected)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.05])
def test_noise_on_a_slope_is_found(sigma: float) -> None:
    slope = np.linspace(0.3, 0.6, 300)[None, :, None] + np.zeros((200, 300, 3))
    noise = np.random.default_rng(2).normal(0, sigma, (200, 300, 1))
    assert statistics(slope + noise)["noise_sigma"] == pytest.approx(sigma, rel=0.03)
    assert statistics(slope)["noise_sigma"] == pytest.approx(0.0, abs=1e-12)


def test_clipped_pixels_are_counted() -> None:
    image = np.full((10, 10, 3), 100, np.uint8)
    image[0] = 0
    image[1] = (0, 0, 1)
    image[2:4] = (10, 255, 10)
    measured = statistics(image)
    assert measured["clipped_shadows"] == pytest.approx(0.1)
    assert measured["clipped_highlights"] == pytest.approx(0.2)


def test_grey_has_no_colour_and_depth_does_not_matter() -> None:
    image = np.full((8, 8, 3), 90, np.uint8)
    measured = statistics(image)
    assert measured["mean_a"] == pytest.approx(0, abs=1e-9)
    assert measured["mean_b"] == pytest.approx(0, abs=1e-9)
    assert measured["contrast"] == pytest.approx(0, abs=1e-6)
    assert statistics(image.astype(np.uint16) * 257) == pytest.approx(measured, abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 3), (8, 8, 1)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="at least 3 x 3"):
        statistics(np.zeros(shape))
