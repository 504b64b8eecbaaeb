"""PSNR, SSIM and the GT-mean correction, in NumPy alone.

Every function takes images as H x W x C arrays: floats with the nominal range [0, 1], or unsigned integers,
which are divided by the largest value of their type. The work runs over strips of rows in float64, so an
image of 48 megapixels needs a few megabytes beside the image itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from relume.arrays import Doubles, Numbers
from relume.colour import LUMA_REC601
from relume.errors import DataError

Window: TypeAlias = Literal["gaussian", "uniform7"]

PSNR_CAP = 100.0
"""Decibels reported at most, so that identical images give a number that JSON can hold."""

_STRIP_ROWS = 64
_C1 = 0.01**2
_C2 = 0.03**2


def psnr(prediction_HWC: Numbers, target_HWC: Numbers) -> float:
    """Peak signal-to-noise ratio over all channels, in decibels, capped at 100.

    PSNR = 10 log10(1 / MSE), with the mean squared error over every value of the image and data range 1.

    >>> target = np.full((16, 16, 3), 0.5)
    >>> round(psnr(target + 0.1, target), 6)
    20.0

    Args:
        prediction_HWC: H x W x C, floats in [0, 1] or unsigned integers.
        target_HWC: the same size.

    Returns:
        Decibels, at most `PSNR_CAP`: identical images give 100, not infinity.

    Raises:
        DataError: the sizes differ, or the arrays are not images.
    """
    return _decibels(_mean_squared_error(prediction_HWC, target_HWC))


def psnr_gt_mean(prediction_HWC: Numbers, target_HWC: Numbers) -> float:
    """PSNR after `gt_mean`: what `psnr(gt_mean(prediction, target), target)` gives, strip by strip.

    >>> target = np.full((16, 16, 3), 0.5)
    >>> psnr_gt_mean(target / 2, target)
    100.0

    Raises:
        DataError: the sizes differ, or the images have not three channels.
    """
    check_sizes(prediction_HWC, target_HWC)
    scale = gt_mean_scale(prediction_HWC, target_HWC)
    return _decibels(_mean_squared_error(prediction_HWC, target_HWC, scale))


def ssim(prediction_HWC: Numbers, target_HWC: Numbers, *, window: Window = "gaussian") -> float:
    """Structural similarity, computed on each channel and averaged.

    >>> image = np.random.default_rng(0).random((16, 16, 3))
    >>> round(ssim(image, image), 6)
    1.0

    SSIM = (2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2)), where mu, s^2 and
    s_xy are local means, variances and covariance under the window, C1 = 0.01^2, C2 = 0.03^2 and the data
    range is 1.

    Two formulations are in use and give different numbers:

    - "gaussian": 11 x 11 Gaussian weights of sigma 1.5 and the population covariance, as in the original
      paper. Equals `skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5,
      use_sample_covariance=False, channel_axis=2, data_range=1)`.
    - "uniform7": 7 x 7 equal weights and the sample covariance (divided by 48), which is what scikit-image
      does unless told otherwise.

    Only windows that lie wholly inside the image count: as scikit-image does, the mean leaves out a border of
    5 pixels ("gaussian") or 3 pixels ("uniform7"), so no rule for extending the image enters the number.

    Args:
        prediction_HWC: H x W x C, floats in [0, 1] or unsigned integers.
        target_HWC: the same size.
        window: which formulation.

    Returns:
        A number in [-1, 1]; 1 for identical images.

    Raises:
        DataError: the sizes differ, or the image is smaller than the window.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE Transactions on Image Processing 13(4), 2004.
    """
    height, width = check_sizes(prediction_HWC, target_HWC)
    weights, covariance_scale = _window(window)
    border = len(weights) - 1
    if min(height, width) <= border:
        raise DataError(
            f"{width}x{height} pixels is smaller than the {border + 1}x{border + 1} window of SSIM",
            "Compare images that are larger than the window.",
        )
    total = 0.0
    for rows in _strips(height - border):
        inner = slice(rows.start, rows.stop + border)
        for channel in range(target_HWC.shape[2]):
            prediction_HW = as_unit(prediction_HWC[inner, :, channel])
            target_HW = as_unit(target_HWC[inner, :, channel])
            total += float(_ssim_map(prediction_HW, target_HW, weights, covariance_scale).sum())
    return total / ((height - border) * (width - border) * target_HWC.shape[2])


def gt_mean(prediction_HWC: Numbers, target_HWC: Numbers) -> Doubles:
    """The prediction, scaled so that its mean luma becomes the target's, and clipped to [0, 1].

    Some papers report scores after this step. It hands the right overall brightness to the prediction, which
    is worth several decibels on dark photos, so such a score belongs in a column of its own.

    Both means are taken of Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B, over the whole image. Clipping comes
    after scaling, so a prediction with highlights may end a little darker than the target. A wholly black
    prediction has no scale and is returned as it is.

    >>> bright = gt_mean(np.full((2, 2, 3), 0.1), np.full((2, 2, 3), 0.4))
    >>> round(float(bright.max()), 6)
    0.4

    Args:
        prediction_HWC: H x W x 3, floats in [0, 1] or unsigned integers.
        target_HWC: the same size.

    Returns:
        float64, H x W x 3, in [0, 1], not rounded to 8 bits again.

    Raises:
        DataError: the sizes differ, or the images have not three channels.
    """
    check_sizes(prediction_HWC, target_HWC)
    scale = gt_mean_scale(prediction_HWC, target_HWC)
    return np.clip(as_unit(prediction_HWC) * scale, 0.0, 1.0)


def gt_mean_scale(prediction_HWC: Numbers, target_HWC: Numbers) -> float:
    """Mean luma of the target over that of the prediction; 1 where the prediction is black.

    Raises:
        DataError: an image has not three channels.
    """
    predicted = mean_luma(prediction_HWC)
    return mean_luma(target_HWC) / predicted if predicted > 0.0 else 1.0


def mean_luma(rgb_HWC: Numbers) -> float:
    """Mean Rec. 601 luma of an H x W x 3 image, in [0, 1].

    Raises:
        DataError: the image has not three channels.
    """
    if rgb_HWC.ndim != 3 or rgb_HWC.shape[2] != 3:
        raise DataError(f"an array of shape {rgb_HWC.shape} is not an H x W x 3 image")
    total = np.zeros(3)
    for rows in _strips(rgb_HWC.shape[0]):
        total += as_unit(rgb_HWC[rows]).sum(axis=(0, 1))
    return float(total @ np.array(LUMA_REC601)) / (rgb_HWC.shape[0] * rgb_HWC.shape[1])


def as_unit(pixels: Numbers) -> Doubles:
    """The same values as float64 in [0, 1]: unsigned integers over their whole range, floats as they are.

    Raises:
        DataError: the values are neither unsigned integers nor floats.
    """
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float64) * (1.0 / float(np.iinfo(pixels.dtype).max))
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float64)
    raise DataError(f"pixels of type {pixels.dtype} have no range; floats or unsigned integers are needed")


def check_sizes(prediction_HWC: Numbers, target_HWC: Numbers) -> tuple[int, int]:
    """Height and width of two images of one size.

    Raises:
        DataError: the sizes differ (nothing is ever resized), or an array is not an H x W x C image.
    """
    for image in (prediction_HWC, target_HWC):
        if image.ndim != 3 or 0 in image.shape:
            raise DataError(f"an array of shape {image.shape} is not an H x W x C image")
    if prediction_HWC.shape != target_HWC.shape:
        raise DataError(
            f"the prediction is {_size(prediction_HWC)}, the target {_size(target_HWC)}",
            "A score needs both at the same size; nothing is resized.",
        )
    return target_HWC.shape[0], target_HWC.shape[1]


def _mean_squared_error(prediction_HWC: Numbers, target_HWC: Numbers, scale: float | None = None) -> float:
    """Mean squared difference; with a scale, of the prediction scaled and clipped to [0, 1]."""
    height, _ = check_sizes(prediction_HWC, target_HWC)
    total = 0.0
    for rows in _strips(height):
        predicted = as_unit(prediction_HWC[rows])
        if scale is not None:
            predicted = np.clip(predicted * scale, 0.0, 1.0)
        difference = (predicted - as_unit(target_HWC[rows])).ravel()
        total += float(difference @ difference)
    return total / target_HWC.size


def _decibels(mean_squared_error: float) -> float:
    if mean_squared_error <= 10 ** (-PSNR_CAP / 10):
        return PSNR_CAP
    return -10.0 * math.log10(mean_squared_error)


def _size(image_HWC: Numbers) -> str:
    height, width, channels = image_HWC.shape
    return f"{width}x{height} pixels" + ("" if channels == 3 else f" of {channels} channels")


def _strips(height: int) -> Iterator[slice]:
    for start in range(0, height, _STRIP_ROWS):
        yield slice(start, min(start + _STRIP_ROWS, height))


def _window(window: Window) -> tuple[Doubles, float]:
    """Weights along one axis (odd count, sum 1), and the factor from population to wanted covariance."""
    if window == "gaussian":
        offsets = np.arange(-5, 6, dtype=np.float64)
        weights = np.exp(-(offsets**2) / (2 * 1.5**2))
        return weights / weights.sum(), 1.0
    if window == "uniform7":
        return np.full(7, 1.0 / 7.0), 49.0 / 48.0
    raise ValueError(f'window is "gaussian" or "uniform7", not {window!r}')


def _ssim_map(x_HW: Doubles, y_HW: Doubles, weights: Doubles, covariance_scale: float) -> Doubles:
    """SSIM at every place where the window lies inside the image."""
    mean_x, mean_y = _filter(x_HW, weights), _filter(y_HW, weights)
    means_product = mean_x * mean_y
    means_squared = mean_x**2 + mean_y**2
    variances = covariance_scale * (_filter(x_HW**2 + y_HW**2, weights) - means_squared)
    covariance = covariance_scale * (_filter(x_HW * y_HW, weights) - means_product)
    numerator = (2.0 * means_product + _C1) * (2.0 * covariance + _C2)
    return numerator / ((means_squared + _C1) * (variances + _C2))


def _filter(plane_HW: Doubles, weights: Doubles) -> Doubles:
    """Separable symmetric filter, valid part only: (H - n + 1) x (W - n + 1) for n weights."""
    return _filter_columns(_filter_columns(plane_HW, weights).T, weights).T


def _filter_columns(plane_HW: Doubles, weights: Doubles) -> Doubles:
    last = len(weights) - 1
    length = plane_HW.shape[0] - last
    half = last // 2
    filtered = weights[half] * plane_HW[half : half + length]
    for near in range(half):
        far = last - near
        filtered += weights[near] * (plane_HW[near : near + length] + plane_HW[far : far + length])
    return filtered
