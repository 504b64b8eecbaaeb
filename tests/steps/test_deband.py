"""Bands of whole steps become slopes; texture, noise and finer values stay."""

from __future__ import annotations

import numpy as np

from relume.steps.deband import CELL, REACH, debanded, enlarged
from relume.steps.grid import basis

STEP = np.array([1 / 255], np.float32)


def banded(height: int = 64, width: int = 320, slope: float = 1 / 28) -> np.ndarray:
    """A slope of one level in 28 pixels, rounded to levels."""
    levels = np.rint(4 + slope * np.arange(width, dtype=np.float32))
    return np.broadcast_to(levels / 255, (3, height, width)).astype(np.float32)


def test_bands_become_a_slope() -> None:
    before = banded()
    after = debanded(before, STEP)
    jumps = 255 * np.abs(np.diff(after, axis=2))
    assert (255 * np.abs(np.diff(before, axis=2))).max() > 0.99
    assert jumps.max() < 0.12
    assert (np.abs(after - before) <= 0.5 / 255 + 1e-7).all()


def test_blocks_of_a_level_are_smoothed() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(3, 5, (3, 12, 12)).repeat(8, 1).repeat(8, 2) / 255
    after = debanded(blocks.astype(np.float32), STEP)
    assert 255 * np.abs(np.diff(blocks, axis=2)).max() > 0.99
    assert 255 * np.abs(np.diff(after, axis=2)).max() < 0.3


def test_texture_and_noise_stay() -> None:
    random = np.random.default_rng(0)
    noise = (random.integers(2, 9, (3, 64, 64)) / 255).astype(np.float32)
    np.testing.assert_array_equal(debanded(noise, STEP), noise)
    checks = np.broadcast_to((np.indices((64, 64)).sum(0) % 2 + 3) / 255, (3, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(debanded(checks, STEP), checks)


def test_finer_steps_are_moved_by_no_more_than_half_of_one() -> None:
    fine = np.array([1 / 65535], np.float32)
    before = banded()
    assert np.abs(debanded(before, fine) - before).max() <= 0.5 / 65535 + 1e-7


def test_parts_agree_with_the_whole_but_for_their_rim() -> None:
    image = np.random.default_rng(0).integers(3, 5, (3, 20, 20)).repeat(16, 1).repeat(16, 2) / 255
    image = image.astype(np.float32)
    whole, part = debanded(image, STEP), debanded(image[:, 64:256, 48:240], STEP)
    inner = np.s_[:, REACH:-REACH, REACH:-REACH]
    np.testing.assert_allclose(part[inner], whole[:, 64:256, 48:240][inner], atol=1e-7)


def test_enlarging_is_the_basis_of_cells() -> None:
    cells = np.random.default_rng(0).random((3, 5, 7), np.float32)
    rows, columns = (
        basis(np.zeros((), np.float32), np.float32(CELL * count), CELL * count, count) for count in (5, 7)
    )
    np.testing.assert_allclose(enlarged(cells), rows @ cells @ columns.T, atol=1e-6)


def test_steps_between_cells_do_not_count() -> None:
    """Blocks of a JPEG far apart in level are flat inside: each is moved, and by no more than half a step."""
    levels = 8 * np.random.default_rng(0).permutation(25).reshape(5, 5)
    blocks = np.broadcast_to(levels.repeat(8, 0).repeat(8, 1) / 255, (3, 40, 40)).astype(np.float32)
    after = debanded(blocks, STEP)
    assert 0.4 / 255 < np.abs(after - blocks).max() <= 0.5 / 255 + 1e-7
    # Moved by half a cell they end inside of cells, which are not flat any more.
    shifted = np.roll(blocks, (4, 4), (1, 2))
    np.testing.assert_array_equal(debanded(shifted, STEP), shifted)
