"""Bands of whole steps become slopes; texture, noise and finer values stay."""

from __future__ import annotations

import numpy as np
import pytest

from relume.steps.deband import CELL, REACH, debanded, enlarged
from relume.steps.grid import basis

STEP = np.array([1 / 255], np.float32)


def banded(height: int = 64, width: int = 320, slope: float = 1 / 28) -> np.ndarray:
    """A slope of one level in 28 pixels, rounded to levels."""
    levels = np.rint(4 + slope * np.arange(width, dtype=np.float32))
    return np.broadcast_to(levels / 255, (3, height, width)).astype(np.float32)


def test_bands_become_a_slope() -> None:
    before = banded()
    after = debanded(before, STEP).image
    jumps = 255 * np.abs(np.diff(after, axis=2))
    assert (255 * np.abs(np.diff(before, axis=2))).max() > 0.99
    assert jumps.max() < 0.12
    assert (np.abs(after - before) <= 0.5 / 255 + 1e-7).all()


def test_blocks_of_a_level_are_smoothed() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(3, 5, (3, 12, 12)).repeat(8, 1).repeat(8, 2) / 255
    after = debanded(blocks.astype(np.float32), STEP).image
    assert 255 * np.abs(np.diff(blocks, axis=2)).max() > 0.99
    assert 255 * np.abs(np.diff(after, axis=2)).max() < 0.3


def test_texture_and_noise_stay() -> None:
    random = np.random.default_rng(0)
    noise = (random.integers(2, 9, (3, 64, 64)) / 255).astype(np.float32)
    np.testing.assert_array_equal(debanded(noise, STEP).image, noise)
    checks = np.broadcast_to((np.indices((64, 64)).sum(0) % 2 + 3) / 255, (3, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(debanded(checks, STEP).image, checks)


def test_finer_steps_are_moved_by_no_more_than_half_of_one() -> None:
    fine = np.array([1 / 65535], np.float32)
    before = banded()
    assert np.abs(debanded(before, fine).image - before).max() <= 0.5 / 65535 + 1e-7


def test_parts_agree_with_the_whole_but_for_their_rim() -> None:
    image = np.random.default_rng(0).integers(3, 5, (3, 20, 20)).repeat(16, 1).repeat(16, 2) / 255
    image = image.astype(np.float32)
    whole, part = debanded(image, STEP).image, debanded(image[:, 64:256, 48:240], STEP).image
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
    after = debanded(blocks, STEP).image
    assert 0.4 / 255 < np.abs(after - blocks).max() <= 0.5 / 255 + 1e-7
    # Moved by half a cell they end inside of cells, which are not flat any more.
    shifted = np.roll(blocks, (4, 4), (1, 2))
    np.testing.assert_array_equal(debanded(shifted, STEP).image, shifted)


def test_of_what_is_flat_and_nearly_black_little_is_known() -> None:
    levels = np.array([0, 1, 2, 3, 4], np.float32)
    flat = [debanded(np.full((3, 32, 32), level / 255, np.float32), STEP).evidence for level in levels]
    assert all(np.ptp(each) < 1e-5 for each in flat)
    known = [float(each.mean()) for each in flat]
    assert known == pytest.approx([0.3, 0.5, 0.7, 0.9, 1], abs=1e-3)


def test_noise_tells_what_steps_do_not() -> None:
    noise = np.random.default_rng(0).integers(0, 4, (3, 64, 64)) / 255
    assert debanded(noise.astype(np.float32), STEP).evidence.min() == 1


def test_of_finer_steps_all_is_known() -> None:
    dark = np.full((3, 32, 32), 1 / 255, np.float32)
    assert debanded(dark, np.array([1 / 65535], np.float32)).evidence.min() == 1
    assert debanded(dark, np.array([0], np.float32)).evidence.min() == 1
