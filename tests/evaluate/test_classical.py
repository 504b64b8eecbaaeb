"""Methods without a network, as marks to measure against."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import color, exposure

from relume.evaluate.classical import apply_classical
from shared import dark


def test_the_input_is_itself() -> None:
    image = dark(30, 40)
    np.testing.assert_array_equal(apply_classical("input", image), image)


@pytest.mark.parametrize("factor", [0.05, 0.3, 1.0])
def test_gamma_meets_the_middle_and_keeps_the_order(factor: float) -> None:
    image = np.rint(dark(30, 40).astype(float) * 6 * factor).clip(0, 255).astype(np.uint8)
    result = apply_classical("gamma", image)
    luma = (result / 255) @ np.array([0.299, 0.587, 0.114])
    assert luma.mean() == pytest.approx(0.5, abs=0.02)
    order = np.argsort(image, axis=None, kind="stable")
    assert (np.diff(result.ravel()[order].astype(int)) >= 0).all()


def test_gamma_never_darkens() -> None:
    bright = np.full((8, 8, 3), 200, np.uint8)
    np.testing.assert_array_equal(apply_classical("gamma", bright), bright)


def test_clahe_is_scikit_images_on_lightness() -> None:
    image = dark(64, 72)
    lab = color.rgb2lab(image)
    lab[..., 0] = 100 * exposure.equalize_adapthist(lab[..., 0] / 100)
    expected = np.rint(np.clip(color.lab2rgb(lab), 0, 1) * 255)
    np.testing.assert_array_equal(apply_classical("clahe", image), expected)
