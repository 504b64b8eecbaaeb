"""Local exposure: a bilateral grid of log gains, and the brightening that it decides.

Chen, Paris and Durand, "Real-time Edge-Aware Image Processing with the Bilateral Grid", SIGGRAPH 2007; Gharbi
et al., "Deep Bilateral Learning for Real-Time Image Enhancement", SIGGRAPH 2017. Here the third axis of the
grid is the log odds of luma, `log(x / (1 - x))`, which the exposure curve shifts by the log gain. A grid
whose gains fall from knot to knot by less than the knots lie apart therefore keeps the order of brightness at
every place, and 0 and 1 stay where they are.
"""

from __future__ import annotations

from typing import NamedTuple

from relume.arrays import Array, device, namespace
from relume.colour import luma_of
from relume.steps.curve import exposure_curve

KNOT_END = 3.5
"""Log odds of the outer knots: luma from 0.03 to 0.97 after the gain of the whole photo."""

_ODDS_FLOOR = 1 / 1020
"""A quarter of a step of 8 bits: log odds are taken of luma between it and its mirror image."""


class Toned(NamedTuple):
    """A brightened image, and how much the grid added.

    Attributes:
        bright: ... x 3 x H x W in [0, 1].
        local_gain: logarithm of the grid's gain at each pixel, ... x 1 x H x W.
    """

    bright: Array
    local_gain: Array


def tone(image: Array, gain: Array, grid: Array, place: Array, evidence: Array | float = 1.0) -> Toned:
    """Brighten by one gain per channel, then by the grid's gain at each pixel's place and luma.

    Of the logarithm of both, as much is kept as there is evidence for.

    Args:
        image: ... x 3 x H x W in [0, 1], a photo or a part of it.
        gain: ... x 3, positive.
        grid: ... x K x rows x columns, log gains at K knots for cells of the whole photo.
        place: see `slice_grid`.
        evidence: from 0 to 1, ... x 1 x H x W.
    """
    xp = namespace(image, gain)
    bright = exposure_curve(image, gain[..., None, None])
    whole = xp.mean(xp.log(gain), axis=-1)[..., None, None, None]
    local_gain = evidence * (slice_grid(guide_of(bright), grid, place) + whole) - whole
    return Toned(exposure_curve(bright, xp.exp(local_gain)), local_gain)


def guide_of(image: Array) -> Array:
    """Log odds of an image's luma, by which a grid is sliced; ... x 1 x H x W.

    Args:
        image: ... x 3 x H x W in [0, 1].
    """
    xp = namespace(image)
    luma = xp.clip(luma_of(image), _ODDS_FLOOR, 1 - _ODDS_FLOOR)
    return xp.log(luma / (1 - luma))


def slice_grid(guide: Array, grid: Array, place: Array) -> Array:
    """Log gain of each pixel, from a bilateral grid; ... x 1 x H x W.

    Between knots the gain is interpolated, beyond the outer ones it is theirs.

    Args:
        guide: from `guide_of`, ... x 1 x H x W.
        grid: log gains, ... x K x rows x columns; the knots lie at equal distances from -`KNOT_END` to it.
        place: where the pixels lie in the photo, ... x 4: their first row and column, then the rows and
            columns of the whole photo, in pixels.
    """
    xp = namespace(guide, grid, place)
    rows = basis(place[..., 0], place[..., 2], guide.shape[-2], grid.shape[-2])
    columns = basis(place[..., 1], place[..., 3], guide.shape[-1], grid.shape[-1])
    knots = grid.shape[-3]
    first, steps = grid[..., :1, :, :], grid[..., 1:, :, :] - grid[..., :-1, :, :]
    across = xp.matrix_transpose(columns)[..., None, :, :]
    # The steps from knot to knot at each pixel's place; products of matrices cost next to nothing. One by
    # one along the rows, since graphs copy what is cut out of a large array.
    bands, rows = xp.concat([first, steps], axis=-3) @ across, rows[..., None, :, :]
    gain = rows @ bands[..., :1, :, :]
    if knots > 1:
        position = (guide + KNOT_END) * ((knots - 1) / (2 * KNOT_END))
        for index in range(knots - 1):
            step = rows @ bands[..., index + 1 : index + 2, :, :]
            gain = gain + step * xp.clip(position - index, 0.0, 1.0)
    return gain


def basis(first: Array, whole: Array, count: int, cells: int) -> Array:
    """Weights by which pixels along one side are interpolated from a row of cells, ... x count x cells.

    Quadratic B-splines: smooth, not negative, and of sum 1, so that what rises in every cell rises between
    them. Beyond the outer cells' centres the outer cells continue.

    Args:
        first: position of the first pixel in the side that the cells span, in pixels, shape ...; those beyond
            that side have the weights of its ends.
        whole: length of that side, in pixels, shape ...
        count: pixels.
        cells: cells.
    """
    xp, where = namespace(first, whole), device(first)
    pixels = xp.astype(xp.arange(count, device=where), first.dtype) + 0.5
    position = xp.clip((first[..., None] + pixels) / whole[..., None], 0.0, 1.0) * cells
    nodes = xp.astype(xp.arange(cells + 2, device=where), first.dtype) - 0.5
    distance = xp.abs(position[..., None] - nodes)
    far = xp.clip(1.5 - distance, 0.0, None)
    weights = xp.where(distance < 0.5, 0.75 - distance * distance, 0.5 * far * far)
    # The cells beyond the outer ones are these again.
    is_first = xp.astype(nodes[1:-1] == nodes[1], first.dtype)
    is_last = xp.astype(nodes[1:-1] == nodes[-2], first.dtype)
    return weights[..., 1:-1] + weights[..., :1] * is_first + weights[..., -1:] * is_last
