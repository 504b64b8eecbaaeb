"""Steps of integers undone where they show: bands of skies and walls, before brightening makes them edges."""

from __future__ import annotations

from relume.arrays import Array, device, namespace
from relume.steps.grid import basis

CELL = 8
"""Side of the squares whose means tell what lies between the steps, in pixels; that of a JPEG's blocks."""

REACH = 2 * CELL
"""How far around a pixel its result depends on the image."""


_FINEST = 1e-6
"""A step so small that nothing is moved."""


def debanded(image: Array, step: Array) -> Array:
    """Move each value towards the mean around it, by at most half a step, where the image is flat.

    A value that was rounded to a whole step tells the truth up to half a step, and where neighbours hardly
    differ, the mean around it is nearer to that truth. Texture and noise differ from pixel to pixel and stay:
    an area counts as flat as long as the differences to the right and below are a quarter of a step on
    average, and not at all from three quarters on.

    Args:
        image: ... x C x H x W; height and width are multiples of `CELL`.
        step: what whole numbers the values were rounded to, such as 1 / 255, or 0; shape ... x 1.
    """
    xp = namespace(image, step)
    step = xp.clip(step[..., None, None], _FINEST, None)
    right = xp.abs(image[..., :, 1:] - image[..., :, :-1])
    below = xp.abs(image[..., 1:, :] - image[..., :-1, :])
    across = xp.concat([right, right[..., :, -1:]], axis=-1) + xp.concat([below, below[..., -1:, :]], axis=-2)
    busy = xp.mean(_cells(xp.mean(across, axis=-3, keepdims=True)) / step, axis=-3, keepdims=True)
    flat = xp.clip(1.5 - 2 * busy, 0.0, 1.0)
    between = _enlarged(xp.concat([_cells(image), flat], axis=-3))
    mean, flat = between[..., :-1, :, :], between[..., -1:, :, :]
    return image + flat * xp.clip(mean - image, -0.5 * step, 0.5 * step)


def _cells(image: Array) -> Array:
    """Means of squares of `CELL` pixels a side."""
    xp = namespace(image)
    *front, height, width = image.shape
    squares = xp.reshape(image, (*front, height // CELL, CELL, width // CELL, CELL))
    return xp.mean(squares, axis=(-3, -1))


def _enlarged(cells: Array) -> Array:
    """Smoothly interpolated between the cells: `CELL` times as many rows and columns."""
    xp = namespace(cells)
    rows, columns = (basis(*_ends(cells, length), CELL * length, length) for length in cells.shape[-2:])
    return rows @ cells @ xp.matrix_transpose(columns)


def _ends(cells: Array, length: int) -> tuple[Array, Array]:
    """The first pixel of an axis and its length in pixels, as `basis` takes them."""
    xp = namespace(cells)
    first = xp.zeros((), dtype=cells.dtype, device=device(cells))
    return first, first + CELL * length
