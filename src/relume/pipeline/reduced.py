"""The local pass on a reduced photo, and its way back to full resolution.

What the network makes of the area average is carried over as a linear model at each pixel of the reduced
photo, `result = slope * guide + offset`, where the guide is the photo after the exposure curve. The slope is
that of a guided filter with 3x3 windows, and, as in the fast guided filter, it is fitted on the reduced photo
and interpolated: near 1 at edges, whose detail then comes from the photo itself, and near 0 where the network
removed noise, which then stays removed. The offset is not averaged as there: it makes the model exact on the
reduced photo, so coarse structure is the network's own.

He, Sun and Tang, "Guided Image Filtering", IEEE TPAMI 35 (2013); He and Sun, "Fast Guided Filter",
arXiv:1505.00996 (2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.photo import Photo, Pixels
from relume.pipeline.controls import Gains, exposure_curve, luma

Array = npt.NDArray[np.float32]

REACH = 2
"""Pixels of the reduced photo that the window and the interpolation reach beyond a pixel's own."""

_NOISE = np.float32(0.002)
"""Variance of the brightened photo, in units of full range squared, below which a window counts as flat."""

AUTOMATIC = 2
"""The factor that `auto` takes for large photos."""

LARGE = 8_000_000
"""Pixels from which on a photo counts as large: its detail and noise are taken to span several pixels."""


def automatic_factor(photo: Photo) -> int:
    """What `auto` stands for."""
    return AUTOMATIC if photo.height * photo.width >= LARGE else 1


def area_mean(pixels_HWC: Pixels, factor: int) -> Array:
    """Means of squares of `factor` pixels a side; the last row and column are repeated to fill the last ones.

    Returns:
        3 x ceil(H / factor) x ceil(W / factor) in [0, 1]; the sums are whole numbers, so a part of a photo
        that starts at a multiple of `factor` has the very values of the whole.
    """
    missing = [(0, -side % factor) for side in pixels_HWC.shape[:2]]
    full: npt.NDArray[Any] = pixels_HWC
    if any(after for _, after in missing):
        full = np.pad(pixels_HWC, [*missing, (0, 0)], mode="edge")
    rows = _sum([full[row::factor] for row in range(factor)])
    height, width = (side // factor for side in full.shape[:2])
    scale = np.float32(1 / (factor * factor * np.iinfo(pixels_HWC.dtype).max))
    means = np.empty((3, height, width), np.float32)
    for channel in range(3):
        sums_HW = _sum([rows[:, column::factor, channel] for column in range(factor)])
        np.multiply(sums_HW, scale, out=means[channel], casting="unsafe")
    return means


def _sum(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Sum of whole numbers, as uint32 where there is more than one."""
    total = parts[0]
    for part in parts[1:]:
        total = np.add(total, part, dtype=np.uint32)
    return total


def fit(reduced_3HW: Array, result_3HW: Array, gain_C: Gains, rows: slice, columns: slice) -> Array:
    """Fit the linear model for part of the reduced photo.

    Args:
        reduced_3HW: what the network saw, the part's surroundings included.
        result_3HW: what it returned.
        gain_C: gains of the guide's exposure curve: those that the network's own effect is nearest to.
        rows, columns: the part, in pixels of `reduced_3HW`.

    Returns:
        Slope and three offsets, 4 x (rows + 2) x (columns + 2): one pixel more on each side.
    """
    seen = tuple(slice(max(0, part.start - REACH), part.stop + REACH) for part in (rows, columns))
    model_4HW = slope_and_offset(exposure_curve(reduced_3HW[:, *seen], gain_C), result_3HW[:, *seen])
    padded: Array = np.pad(model_4HW, ((0, 0), (1, 1), (1, 1)), mode="edge")
    inner = (
        slice(part.start - s.start, part.stop - s.start + 2)
        for part, s in zip((rows, columns), seen, strict=True)
    )
    return padded[:, *inner]


def slope_and_offset(guide_3HW: Array, result_3HW: Array) -> Array:
    """Fit `result = slope * guide + offset` around each pixel of the reduced photo.

    Returns:
        4 x H x W: the slope in [0, 1], fitted to luma, and the offset of each channel.
    """
    guide_HW, result_HW = luma(guide_3HW), luma(result_3HW)
    guide_mean = _mean_3x3(guide_HW)
    variance = _mean_3x3(guide_HW * guide_HW) - guide_mean * guide_mean
    covariance = _mean_3x3(guide_HW * result_HW) - guide_mean * _mean_3x3(result_HW)
    model_4HW = np.empty((4, *guide_HW.shape), np.float32)
    slope_HW, offset_3HW = model_4HW[0], model_4HW[1:]
    np.divide(covariance, np.maximum(variance, 0) + _NOISE, out=slope_HW)
    np.clip(slope_HW, 0, 1, out=slope_HW)
    np.multiply(slope_HW, guide_3HW, out=offset_3HW)
    np.subtract(result_3HW, offset_3HW, out=offset_3HW)
    return model_4HW


def _mean_3x3(image_HW: Array) -> Array:
    """Mean of each pixel's 3x3 neighbourhood, edges repeated."""
    padded: Array = np.pad(image_HW, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return np.multiply(sums, np.float32(1 / 9), out=sums)


def interleaved(model_CHW: Array, factor: int) -> Iterator[tuple[slice, slice, Array]]:
    """Enlarge by bilinear interpolation between the pixels' centres, a set of pixels at a time.

    A set is every `factor`-th pixel of every `factor`-th row. It has the size of the reduced part and
    all work on it runs over whole arrays; interpolating the full picture takes twice the time.

    Args:
        model_CHW: part of the reduced photo with one more pixel on each side.
        factor: whole number.

    Yields:
        Which rows and columns of the part at full resolution these are, and the values there, C x H x W.
    """
    for row in range(factor):
        between_rows = _between(model_CHW, row, factor)
        for column in range(factor):
            between = _between(between_rows.swapaxes(1, 2), column, factor).swapaxes(1, 2)
            yield slice(row, None, factor), slice(column, None, factor), between


def _between(image_CHW: Array, phase: int, factor: int) -> Array:
    """Along the second axis: each pixel but the outer ones, moved towards its neighbour at this phase."""
    offset = (phase + 0.5) / factor - 0.5
    centre = image_CHW[:, 1:-1]
    step = (image_CHW[:, 2:] if offset > 0 else image_CHW[:, :-2]) - centre
    step *= np.float32(abs(offset))
    step += centre
    return step


def transfer(photo_3HW: Array, model_4HW: Array, gain_C: Gains) -> Array:
    """Apply the linear model to pixels at full resolution.

    Args:
        photo_3HW: the photo in [0, 1]; at its end it may be smaller than the model.
        model_4HW: from `interleaved`.
        gain_C: those of `fit`.

    Returns:
        The result in [0, 1], of the size of `photo_3HW`.
    """
    model_4HW = model_4HW[:, : photo_3HW.shape[1], : photo_3HW.shape[2]]
    full = exposure_curve(photo_3HW, gain_C)
    full *= model_4HW[:1]
    full += model_4HW[1:]
    return np.clip(full, 0, 1, out=full)
