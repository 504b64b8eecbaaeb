"""The thumbnail is adaptive average pooling."""

from __future__ import annotations

import numpy as np
import pytest

from relume.steps.thumbnail import thumbnail


def small(pixels_HWC: np.ndarray, side: int, alpha_HW: np.ndarray | None = None) -> np.ndarray:
    return thumbnail(pixels_HWC.transpose(2, 0, 1), (side, side), alpha_HW)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 200), (7, 9), (63, 64), (64, 64), (65, 127), (100, 33), (301, 403)]
)
def test_thumbnail_is_adaptive_average_pooling(size: tuple[int, int], dtype: type) -> None:
    torch = pytest.importorskip("torch")
    pixels = (
        np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (*size, 3), endpoint=True).astype(dtype)
    )
    image = torch.from_numpy(pixels.astype(np.float64) / np.iinfo(dtype).max).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.adaptive_avg_pool2d(image, 64)[0].numpy()
    found = small(pixels, 64)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_transparent_does_not_count(dtype: type) -> None:
    random, top = np.random.default_rng(2), np.iinfo(dtype).max
    pixels = random.integers(0, top, (40, 50, 3)).astype(dtype)
    alpha = np.zeros((40, 50), dtype)
    alpha[8:31, 10:40] = random.integers(1, top, (23, 30))
    inside, weights = pixels[8:31, 10:40].astype(float), alpha[8:31, 10:40, None].astype(float)
    one = small(pixels, 1, alpha)[:, 0, 0]
    np.testing.assert_allclose(one, (inside * weights).sum((0, 1)) / weights.sum() / top, rtol=1e-6)
    corner = small(pixels, 5, alpha)[:, 0, 0]  # sees nothing itself
    np.testing.assert_allclose(corner, one, rtol=1e-6)
    changed = np.where(alpha[..., None] == 0, 0, pixels).astype(dtype)
    np.testing.assert_array_equal(
        small(changed, 5, alpha),
        small(pixels, 5, alpha),
    )


def test_wholly_opaque_and_wholly_transparent_are_like_no_alpha() -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    for alpha in (0, 255):
        opacity = np.full((9, 7), alpha, np.uint8)
        np.testing.assert_array_equal(
            small(pixels, 4, opacity),
            small(pixels, 4),
        )


def test_thumbnail_of_one_colour_is_that_colour() -> None:
    for value in (0, 1, 255, 65535):
        for size in ((70, 30), (1_200_000, 1)):  # with columns of cells that 32 bits do not hold, and others
            pixels = np.broadcast_to(np.uint16(value), (3, *size))
            small = thumbnail(pixels, (16, 16))
            assert small.shape == (3, 16, 16)
            np.testing.assert_array_equal(small, np.float32(value / 65535))
