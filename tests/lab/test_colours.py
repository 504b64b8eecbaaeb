"""Jitter of brightness, contrast, saturation and hue."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from relume.lab.data.colours import jitter_colours

WEIGHTS = np.array([0.299, 0.587, 0.114])


def images(count: int = 3) -> torch.Tensor:
    """Colours that no factor of the tests drives out of range."""
    return 0.4 + 0.2 * torch.rand(count, 3, 5, 6, generator=torch.Generator().manual_seed(0))


def factors(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_factors_of_one_and_no_turn_change_nothing() -> None:
    torch.testing.assert_close(
        jitter_colours(images(), factors(*[(1, 1, 1, 0)] * 3)), images(), atol=1e-6, rtol=0
    )


def test_brightness_contrast_and_saturation_by_hand() -> None:
    """Each image has its own factors."""
    given = images().numpy()
    result = jitter_colours(images(), factors((1.2, 1, 1, 0), (1, 1.3, 1, 0), (1, 1, 0.5, 0))).numpy()
    grey = np.tensordot(WEIGHTS, given, (0, 1))[:, None]
    np.testing.assert_allclose(result[0], 1.2 * given[0], atol=1e-5)
    np.testing.assert_allclose(result[1], 1.3 * given[1] - 0.3 * grey[1].mean(), atol=1e-5)
    np.testing.assert_allclose(result[2], 0.5 * given[2] + 0.5 * grey[2], atol=1e-5)


@pytest.mark.parametrize("turn", [0.02, -0.05, 0.25])
def test_hue_turns_and_keeps_luma_and_grey(turn: float) -> None:
    given = images(1)
    result = jitter_colours(given, factors((1, 1, 1, turn)))
    before, after = (np.tensordot(WEIGHTS, image[0].numpy(), 1) for image in (given, result))
    np.testing.assert_allclose(after, before, atol=1e-3)
    grey = torch.full((1, 3, 2, 2), 0.5)
    torch.testing.assert_close(jitter_colours(grey, factors((1, 1, 1, turn))), grey, atol=1e-4, rtol=0)
    back = jitter_colours(result, factors((1, 1, 1, -turn)))
    torch.testing.assert_close(back, given, atol=1e-3, rtol=0)


def test_a_third_of_a_turn_moves_hue_by_about_as_much() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1)
    hues = {
        colorsys.rgb_to_hsv(*jitter_colours(red, factors((1, 1, 1, turn))).flatten().tolist())[0]
        for turn in (1 / 3, -1 / 3)
    }
    assert sorted(hues) == pytest.approx([1 / 3, 2 / 3], abs=0.08)


def test_results_stay_in_range() -> None:
    bright = torch.rand(2, 3, 8, 8)
    result = jitter_colours(bright, factors((3, 2, 3, 0.3), (0.1, 4, 2, -0.3)))
    assert result.min() >= 0
    assert result.max() <= 1
