"""How well the two images of a pair agree in what they show, whatever their brightness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from relume.colour import LUMA_REC601

USABLE = 0.7
"""Least agreement of a pair worth training on."""


def agreement(low_HWC: npt.NDArray[np.uint8], high_HWC: npt.NDArray[np.uint8]) -> float:
    """Correlation of local contrast, at most 1.

    Misaligned images agree little, and so do those whose dark one has lost what the other shows. The luma of
    each becomes square roots, smoothed over 3 x 3 pixels, less the local mean over 17 x 17 and divided by the
    local deviation.
    """
    low, high = (_local_contrast(image) for image in (low_HWC, high_HWC))
    return float((low * high).sum() / np.sqrt((low**2).sum() * (high**2).sum()))


def _local_contrast(image_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    luma_HW = image_HWC @ np.array(LUMA_REC601)
    values = _box(np.sqrt(luma_HW + 1), 1)
    mean = _box(values, 8)
    deviation = np.sqrt(np.maximum(_box(values**2, 8) - mean**2, 0))
    return (values - mean) / (deviation + 0.3)


def _box(image_HW: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.float64]:
    """Mean over a square window; the image is mirrored at its edges."""
    size = 2 * radius + 1
    sums = np.pad(image_HW, radius, mode="reflect").cumsum(0).cumsum(1)
    sums = np.pad(sums, ((1, 0), (1, 0)))
    return (sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]) / size**2
