"""Steps of integers undone where they show: bands of skies and walls, before brightening makes them edges."""

from __future__ import annotations

from typing import NamedTuple

from relume.arrays import Array, constant, namespace
from relume.colour import luma_of

CELL = 8
"""Side of the squares whose means tell what lies between the steps, in pixels; that of a JPEG's blocks."""

REACH = 2 * CELL
"""How far around a pixel its result depends on the image."""


_BLACK, _ENOUGH = 0.3, 3.5
"""What is known of flat black, and steps above it from which on all is; in between it rises evenly."""

_FINEST = 1e-6
"""A step so small that nothing is moved."""

_PHASES = tuple(
    ((1 - at) ** 2 / 2, 0.75 - (at - 0.5) ** 2, at**2 / 2)
    for at in ((pixel + 0.5) / CELL for pixel in range(CELL))
)
"""Weights of the cell before, its own and the one after for each pixel along a cell."""

_STEPS = tuple(float(at == after) - float(at == after - 1) for after in range(1, CELL) for at in range(CELL))
"""Differences of neighbours in a row of `CELL` pixels, a row of weights each."""


class Debanded(NamedTuple):
    """An image without bands.

    Attributes:
        image: ... x 3 x H x W.
        evidence: how much is known of each pixel, from 0 to 1, ... x 1 x H x W.
    """

    image: Array
    evidence: Array


def debanded(image: Array, step: Array) -> Debanded:
    """Move each value towards the mean around it, by at most half a step, where the image is flat.

    A value that was rounded to a whole step tells the truth up to half a step, and where neighbours hardly
    differ, the mean around it is nearer to that truth. Texture and noise differ from pixel to pixel and stay:
    a cell counts as flat as long as the differences to the right and below within it are a quarter of a step
    on average, and not at all from three quarters on. Those between cells, where a JPEG's blocks end, do not
    count.

    Of what is flat and within the first three steps above black, rounding has left little: brightened, it
    would be grey, with the blocks of a JPEG. Where noise is left, its mean tells more than a step.

    Args:
        image: ... x 3 x H x W; height and width are multiples of `CELL`.
        step: what whole numbers the values were rounded to, such as 1 / 255, or 0; shape ... x 1.
    """
    xp = namespace(image, step)
    step = xp.clip(step[..., None, None], _FINEST, None)
    busy = _differences(image) / step
    flat = xp.clip(1.5 - 2 * xp.mean(busy, axis=-3, keepdims=True), 0.0, 1.0)
    # Interpolated apart: a part of an array of both would have to be copied.
    away = xp.clip(enlarged(_cells(image)) - image, -0.5 * step, 0.5 * step)
    flat = enlarged(flat)
    image = image + flat * away
    known = xp.clip(_BLACK + luma_of(image) / step * ((1 - _BLACK) / _ENOUGH), None, 1.0)
    return Debanded(image, 1 - flat * (1 - known))


def _differences(image: Array) -> Array:
    """Means over each cell of the differences to the right and below that lie within it, of each channel.

    Products of matrices, since parts of a large image would have to be copied.
    """
    xp = namespace(image)
    *front, height, width = image.shape
    rows, columns = height // CELL, width // CELL
    steps = xp.reshape(constant(_STEPS, image), (CELL - 1, CELL))
    below = xp.abs(steps @ xp.reshape(image, (*front, rows, CELL, width)))
    right = xp.abs(xp.reshape(image, (*front, height, columns, CELL)) @ xp.matrix_transpose(steps))
    below = xp.reshape(below, (*front, rows, CELL - 1, columns, CELL))
    right = xp.reshape(right, (*front, rows, CELL, columns, CELL - 1))
    return xp.mean(below, axis=(-3, -1)) + xp.mean(right, axis=(-3, -1))


def _cells(image: Array) -> Array:
    """Means of squares of `CELL` pixels per side."""
    xp = namespace(image)
    *front, height, width = image.shape
    squares = xp.reshape(image, (*front, height // CELL, CELL, width // CELL, CELL))
    return xp.mean(squares, axis=(-3, -1))


def enlarged(cells: Array) -> Array:
    """Interpolated between the cells by quadratic B-splines: `CELL` times as many rows and columns.

    What `basis` gives for cells of `CELL` pixels, without its zeros: each pixel knows its cell and the two
    beside it, and those of all cells weigh the same.
    """
    xp = namespace(cells)
    *front, rows, columns = cells.shape
    weights = constant([weight for phase in _PHASES for weight in phase], cells)
    weights = xp.reshape(weights, (CELL, 3))
    across = xp.stack(_neighbours(cells, -1), axis=-1) @ xp.matrix_transpose(weights)
    across = xp.reshape(across, (*front, rows, columns * CELL))
    down = weights @ xp.stack(_neighbours(across, -2), axis=-2)
    return xp.reshape(down, (*front, rows * CELL, columns * CELL))


def _neighbours(cells: Array, axis: int) -> tuple[Array, Array, Array]:
    """Cells before, the cells, and those after along one of the last two axes; the outer ones continue."""
    xp = namespace(cells)
    first, last = (cells[..., :1], cells[..., -1:]) if axis == -1 else (cells[..., :1, :], cells[..., -1:, :])
    inner = (cells[..., :-1], cells[..., 1:]) if axis == -1 else (cells[..., :-1, :], cells[..., 1:, :])
    return xp.concat([first, inner[0]], axis=axis), cells, xp.concat([inner[1], last], axis=axis)
