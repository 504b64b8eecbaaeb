"""The local pass on a reduced photo, and its way back to full resolution.

What the network makes of the area average is carried over as a linear model at each pixel of the reduced
photo, `result = slope * guide + offset`, where the guide is the brightened photo. The slope is
that of a guided filter with 3x3 windows, and, as in the fast guided filter, it is fitted on the reduced photo
and interpolated: near 1 at edges, whose detail then comes from the photo itself, and near 0 where the network
removed noise, which then stays removed. The offset is not averaged as there: it makes the model exact on the
reduced photo, so coarse structure is the network's own.

He, Sun and Tang, "Guided Image Filtering", IEEE TPAMI 35 (2013); He and Sun, "Fast Guided Filter",
arXiv:1505.00996 (2015).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator

from relume.arrays import Array, full_range, namespace
from relume.colour import luma
from relume.steps.controls import Change

REACH = 2
"""Pixels of the reduced photo that the window and the interpolation reach beyond a pixel's own."""

_NOISE = 0.002
"""Variance of the brightened photo, in units of full range squared, below which a window counts as flat."""


def area_mean(pixels_HWC: Array, factor: int) -> Array:
    """Means of squares of `factor` pixels a side; the last row and column are repeated to fill the last ones.

    Args:
        pixels_HWC: integers over their whole range, or floats in [0, 1].
        factor: 1 to 4.

    Returns:
        3 x ceil(H / factor) x ceil(W / factor), float32 in [0, 1]; for integers the sums are whole numbers,
        so a part of a photo that starts at a multiple of `factor` has the very values of the whole.
    """
    xp = namespace(pixels_HWC)
    full = _filled(_filled(pixels_HWC, 0, factor), 1, factor)
    scale = 1 / (factor * factor * full_range(pixels_HWC))
    rows_HWC = _sum([xp.astype(full[row::factor], xp.float32) for row in range(factor)])
    means = [
        _sum([rows_HWC[:, column::factor, channel] for column in range(factor)]) * scale
        for channel in range(3)
    ]
    return xp.stack(means)


def _sum(parts: list[Array]) -> Array:
    return functools.reduce(operator.add, parts)


def _filled(pixels_HWC: Array, axis: int, factor: int) -> Array:
    """The last row or column is repeated up to a multiple of `factor`."""
    missing = -pixels_HWC.shape[axis] % factor
    if not missing:
        return pixels_HWC
    last = pixels_HWC[-1:] if axis == 0 else pixels_HWC[:, -1:]
    return namespace(pixels_HWC).concat([pixels_HWC, *[last] * missing], axis=axis)


def fit(change: Change, gain_C: Array, rows: slice, columns: slice) -> Array:
    """Fit the linear model for part of the reduced photo.

    Args:
        change: what the network saw and returned, the part's surroundings included.
        gain_C: gains of the guide: those that, with the change's own, the network's effect is nearest to.
        rows, columns: the part, in pixels of the reduced photo.

    Returns:
        Slope, three offsets and the local gain's logarithm, 5 x (rows + 2) x (columns + 2): one pixel more on
        each side.
    """
    seen = tuple(slice(max(0, part.start - REACH), part.stop + REACH) for part in (rows, columns))
    padded = model_of(Change(*(image[:, seen[0], seen[1]] for image in change)), gain_C)
    inner = [
        slice(part.start - s.start, part.stop - s.start + 2)
        for part, s in zip((rows, columns), seen, strict=True)
    ]
    return padded[:, inner[0], inner[1]]


def model_of(seen_change: Change, gain_C: Array) -> Array:
    """The linear model of everything that is seen: what `fit` returns for its part, 5 x (H + 2) x (W + 2)."""
    model_4HW = slope_and_offset(seen_change.brightened(gain_C), seen_change.after)
    return _framed(namespace(model_4HW).concat([model_4HW, seen_change.local_gain]))


def slope_and_offset(guide_3HW: Array, result_3HW: Array) -> Array:
    """Fit `result = slope * guide + offset` around each pixel of the reduced photo.

    Returns:
        4 x H x W: the slope in [0, 1], fitted to luma, and the offset of each channel.
    """
    xp = namespace(guide_3HW, result_3HW)
    guide, result = _framed(luma(guide_3HW)), _framed(luma(result_3HW))
    guide_mean = _mean_3x3(guide)
    variance = _mean_3x3(guide * guide) - guide_mean * guide_mean
    covariance = _mean_3x3(guide * result) - guide_mean * _mean_3x3(result)
    slope_HW = xp.clip(covariance / (xp.clip(variance, 0, 1) + _NOISE), 0, 1)
    return xp.concat([slope_HW[None], result_3HW - slope_HW * guide_3HW])


def _mean_3x3(framed: Array) -> Array:
    """Mean of each pixel's 3x3 neighbourhood: of (H + 2) x (W + 2) pixels, H x W."""
    rows = framed[:-2] + framed[1:-1]
    rows += framed[2:]
    mean = rows[:, :-2] + rows[:, 1:-1]
    mean += rows[:, 2:]
    mean *= 1 / 9
    return mean


def _framed(image: Array) -> Array:
    """The outermost pixels of ... x H x W repeated, one more on each side."""
    xp = namespace(image)
    tall = xp.concat([image[..., :1, :], image, image[..., -1:, :]], axis=-2)
    return xp.concat([tall[..., :1], tall, tall[..., -1:]], axis=-1)


def interleaved(model_CHW: Array, factor: int) -> Iterator[tuple[slice, slice, Array]]:
    """Enlarge by bilinear interpolation between the pixels' centres, a set of pixels at a time.

    A set is every `factor`-th pixel of every `factor`-th row. It has the size of the reduced part and
    all work on it runs over whole arrays; interpolating the full picture takes twice the time.

    Args:
        model_CHW: part of the reduced photo with one more pixel on each side.
        factor: whole number.

    Yields:
        Which rows and columns of the part at full resolution these are, and the values there, C x H x W; all
        rows of the first column come first.
    """
    # Across first, while there are fewest rows: work along parts of rows takes three times as long.
    for column, between_columns in enumerate(_between(model_CHW, 2, factor)):
        for row, between in enumerate(_between(between_columns, 1, factor)):
            yield slice(row, None, factor), slice(column, None, factor), between


def _between(image_CHW: Array, axis: int, factor: int) -> Iterator[Array]:
    """Along an axis, phase by phase: each pixel but the outer ones, moved towards a neighbour of it."""

    def along(array_CHW: Array, first: int | None, last: int | None) -> Array:
        return array_CHW[:, first:last] if axis == 1 else array_CHW[:, :, first:last]

    centre, steps = along(image_CHW, 1, -1), along(image_CHW, 1, None) - along(image_CHW, None, -1)
    offsets = [(phase + 0.5) / factor - 0.5 for phase in range(factor)]
    # Phases on both sides of a pixel are as far from it.
    parts = {share: steps * share for share in {abs(offset) for offset in offsets}}
    for offset in offsets:
        part = parts[abs(offset)]
        yield centre + along(part, 1, None) if offset > 0 else centre - along(part, None, -1)


def transfer(photo_3HW: Array, model_5HW: Array, gain_C: Array) -> Change:
    """Apply the linear model to pixels at full resolution.

    Args:
        photo_3HW: the photo in [0, 1]; at its end it may be smaller than the model.
        model_5HW: from `interleaved`.
        gain_C: those of `fit`.

    Returns:
        What the network does to these pixels; the result is in [0, 1].
    """
    model_5HW = model_5HW[:, : photo_3HW.shape[1], : photo_3HW.shape[2]]
    change = Change(photo_3HW, photo_3HW, model_5HW[4:])
    full_3HW = change.brightened(gain_C)
    full_3HW *= model_5HW[:1]
    full_3HW += model_5HW[1:4]
    return change._replace(after=namespace(full_3HW).clip(full_3HW, 0, 1))
