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


def transfer(
    photo_3HW: Array,
    reduced_3HW: Array,
    result_3HW: Array,
    factor: int,
    gain_C: Gains,
    rows: slice,
    columns: slice,
) -> Array:
    """Bring part of the network's result to full resolution.

    Args:
        photo_3HW: the part at full resolution; at the photo's end it may be smaller than `rows` and
            `columns` make it.
        reduced_3HW: what the network saw, the part's surroundings included.
        result_3HW: what it returned.
        factor: side of the squares that were averaged, in pixels.
        gain_C: gains of the guide's exposure curve: those that the network's own effect is nearest to.
        rows, columns: the part, in pixels of `reduced_3HW`.

    Returns:
        The part's result in [0, 1], of the size of `photo_3HW`.
    """
    seen = tuple(slice(max(0, part.start - REACH), part.stop + REACH) for part in (rows, columns))
    within = tuple(
        slice(part.start - s.start, part.stop - s.start)
        for part, s in zip((rows, columns), seen, strict=True)
    )
    slope, offset = slope_and_offset(exposure_curve(reduced_3HW[:, *seen], gain_C), result_3HW[:, *seen])
    height, width = photo_3HW.shape[1:]
    full = exposure_curve(photo_3HW, gain_C)
    full *= enlarge(slope, factor, *within)[:, :height, :width]
    full += enlarge(offset, factor, *within)[:, :height, :width]
    return np.clip(full, 0, 1, out=full)


def slope_and_offset(guide_3HW: Array, result_3HW: Array) -> tuple[Array, Array]:
    """Fit `result = slope * guide + offset` around each pixel of the reduced photo.

    Returns:
        Slopes in [0, 1], 1 x H x W, fitted to luma; offsets, 3 x H x W.
    """
    guide_HW, result_HW = luma(guide_3HW), luma(result_3HW)
    guide_mean = _mean_3x3(guide_HW)
    variance = _mean_3x3(guide_HW * guide_HW) - guide_mean * guide_mean
    covariance = _mean_3x3(guide_HW * result_HW) - guide_mean * _mean_3x3(result_HW)
    slope_HW = np.divide(covariance, np.maximum(variance, 0) + _NOISE, out=covariance)
    np.clip(slope_HW, 0, 1, out=slope_HW)
    return slope_HW[None], result_3HW - slope_HW * guide_3HW


def _mean_3x3(image_HW: Array) -> Array:
    """Mean of each pixel's 3x3 neighbourhood, edges repeated."""
    padded: Array = np.pad(image_HW, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return np.multiply(sums, np.float32(1 / 9), out=sums)


def enlarge(image_CHW: Array, factor: int, rows: slice, columns: slice) -> Array:
    """Part of an image, `factor` times as large by bilinear interpolation between the pixels' centres.

    Args:
        image_CHW: the reduced image; its edges are repeated.
        factor: whole number.
        rows, columns: the part, in pixels of the reduced image.

    Returns:
        C x factor * rows x factor * columns.
    """
    padded = np.pad(image_CHW, ((0, 0), (1, 1), (1, 1)), mode="edge")
    tall = _enlarge_rows(padded, factor, rows)
    return _enlarge_rows(tall.swapaxes(1, 2), factor, columns).swapaxes(1, 2)


def _enlarge_rows(padded: Array, factor: int, rows: slice) -> Array:
    """As `enlarge`, along the second axis only, of an image with one more pixel on each side."""
    before, centre, after = (padded[:, rows.start + shift : rows.stop + shift] for shift in range(3))
    shape = (len(padded), factor * centre.shape[1], padded.shape[2])
    enlarged = np.empty_like(padded, shape=shape)  # in the order of axes in memory, swapped or not
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5
        step = (after if offset > 0 else before) - centre
        np.multiply(step, np.float32(abs(offset)), out=step)
        np.add(centre, step, out=enlarged[:, phase::factor])
    return enlarged
