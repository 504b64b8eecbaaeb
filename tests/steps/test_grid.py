"""Local exposure: what interpolates the grid, and that it keeps the order of brightness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.steps.grid import basis, slice_grid, tone
from relume.steps.thumbnail import overview_shape


@given(st.integers(1, 50), st.integers(1, 20), st.integers(-50, 900), st.integers(1, 1000))
@settings(max_examples=40, deadline=None)
def test_a_basis_is_a_mean_of_cells(count: int, cells: int, first: int, whole: int) -> None:
    weights = basis(torch.tensor([float(first)]), torch.tensor([float(whole)]), count, cells)
    assert weights.shape == (1, count, cells)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, count))


def test_a_basis_by_hand() -> None:
    # Five cells of three pixels: the centre of the middle cell, and pixels a third of a cell beside it.
    pixels = basis(torch.tensor([6.0]), torch.tensor([15.0]), 3, 5)[0]
    third = torch.tensor([0.0, 0.5 * (5 / 6) ** 2, 0.75 - 1 / 9, 0.5 * (1 / 6) ** 2, 0.0])
    torch.testing.assert_close(pixels[1], torch.tensor([0.0, 0.125, 0.75, 0.125, 0.0]))
    torch.testing.assert_close(pixels[0], third)
    torch.testing.assert_close(pixels[2], third.flip(0))


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [(400, 600, (88, 128)), (512, 512, (128, 128)), (3000, 4000, (96, 128)), (100, 1000, (16, 128))],
)
def test_overviews_keep_the_aspect(height: int, width: int, shape: tuple[int, int]) -> None:
    assert overview_shape(height, width, 128) == shape
    assert overview_shape(width, height, 128) == shape[::-1]


def test_a_grid_is_sliced_by_hand() -> None:
    # Knots at log odds of -3.5, 0 and 3.5; one cell, so that place does not matter.
    grid = np.array([1.0, 3.0, 2.0]).reshape(3, 1, 1)
    place = np.array([0.0, 0.0, 1.0, 5.0])
    guide = np.array([-9.0, -3.5, -1.75, 0.0, 1.75])[None, None]
    np.testing.assert_allclose(slice_grid(guide, grid, place)[0, 0], [1.0, 1.0, 2.0, 3.0, 2.5])


def test_two_gains_multiply() -> None:
    image = np.full((3, 1, 1), 0.1)
    toned = tone(image, np.full(3, 4.0), np.full((1, 1, 1), np.log(2.0)), np.array([0.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(toned.bright, 8 * 0.1 / (1 + 7 * 0.1))
    np.testing.assert_allclose(toned.local_gain, np.log(2.0))


def test_a_part_is_brightened_as_within_the_whole() -> None:
    random = np.random.default_rng(0)
    image = random.random((3, 40, 50), np.float32)
    gain, grid = np.array([3, 4, 5], np.float32), random.normal(size=(4, 5, 6)).astype(np.float32)
    whole = tone(image, gain, grid, np.array([0, 0, 40, 50], np.float32))
    part = tone(image[:, 7:, 13:], gain, grid, np.array([7, 13, 40, 50], np.float32))
    np.testing.assert_array_equal(part.local_gain, whole.local_gain[:, 7:, 13:])
    np.testing.assert_array_equal(part.bright, whole.bright[:, 7:, 13:])


def test_numpy_and_torch_brighten_alike() -> None:
    random = np.random.default_rng(1)
    arrays = (
        random.random((2, 3, 20, 30), np.float32),
        random.uniform(1, 9, (2, 3)).astype(np.float32),
        random.normal(size=(2, 6, 4, 5)).astype(np.float32),
        np.array([[0, 0, 20, 30], [5, 6, 70, 80]], np.float32),
    )
    one, other = tone(*arrays), tone(*map(torch.from_numpy, arrays))
    np.testing.assert_allclose(one.bright, other.bright.numpy(), atol=1e-6)
    np.testing.assert_allclose(one.local_gain, other.local_gain.numpy(), atol=1e-5)
