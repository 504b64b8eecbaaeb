"""Statistics of photos that have no target: how bright, how contrasty, how clipped, how tinted, how noisy.

They describe; none of them is a score of quality.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.arrays import Doubles, Numbers
from relume.colour import LUMA_REC601, to_linear
from relume.errors import DataError
from relume.evaluate.metrics import as_unit

_STRIP_ROWS = 64
_BLACK_BELOW = 0.5 / 255.0
_WHITE_FROM = 254.5 / 255.0

# Linear sRGB to CIE XYZ, D65, 2 degrees (IEC 61966-2-1); its row sums are the white point.
_XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE_XYZ = _XYZ_FROM_RGB.sum(axis=1)


@dataclass(frozen=True)
class Change:
    """`statistics` of one photo before and after."""

    name: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True)
class Changes:
    """What a model did to photos: at least one, in their order."""

    rows: tuple[Change, ...]

    @property
    def before(self) -> dict[str, float]:
        """Means of the photos' statistics."""
        return _means([row.before for row in self.rows])

    @property
    def after(self) -> dict[str, float]:
        """Means of the results' statistics."""
        return _means([row.after for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes: `n`, means `before` and `after`, `per_image`."""
        rows = [
            {"name": row.name, "before": _rounded(row.before), "after": _rounded(row.after)}
            for row in self.rows
        ]
        means = {"before": _rounded(self.before), "after": _rounded(self.after)}
        return {"n": len(rows), **means, "per_image": rows}


def measure_changes(
    photos: Sequence[Path],
    read: Callable[[Path], Numbers],
    enhance: Callable[[Path, Numbers], Numbers],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Changes:
    """Measure photos before and after.

    Args:
        photos: files, at least one.
        read: the pixels of a file, as `statistics` takes them.
        enhance: the result for a file and its pixels.
        progress: called with (done, total) after each photo.

    Raises:
        DataError: a photo is too small.
        RelumeError: what `read` and `enhance` raise.
    """
    rows: list[Change] = []
    for path in photos:
        pixels = read(path)
        try:
            rows.append(Change(path.name, statistics(pixels), statistics(enhance(path, pixels))))
        except DataError as error:
            error.path = error.path or path
            raise
        if progress is not None:
            progress(len(rows), len(photos))
    return Changes(tuple(rows))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def statistics(rgb_HWC: Numbers) -> dict[str, float]:
    """Statistics of one image, over all its pixels.

    - `mean_luma`: mean of Y = 0.299 R + 0.587 G + 0.114 B (Rec. 601) of the sRGB-encoded values, in [0, 1].
    - `contrast`: standard deviation of Y, in [0, 0.5] (root mean square contrast).
    - `clipped_shadows`: fraction of pixels whose every channel is 0 at 8 bits.
    - `clipped_highlights`: fraction of pixels of which a channel is 255 at 8 bits.
    - `mean_a`, `mean_b`: means of CIELAB a* (green to red) and b* (blue to yellow) under D65; both are near 0
      for a scene that averages to grey, and a colour cast shows as a shift.
    - `noise_sigma`: standard deviation of the noise of Y, in [0, 1], after Immerkaer: with the mask
      N = [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], sigma = sqrt(pi / 2) / (6 (W - 2)(H - 2)) * sum |Y * N|. The
      mask cancels flat and sloping areas; fine texture counts as noise, so compare photos of one scene only.

    Args:
        rgb_HWC: sRGB-encoded, H x W x 3, floats in [0, 1] or unsigned integers, at least 3 x 3 pixels.

    Raises:
        DataError: the array is no such image.

    Source: Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding 64(2), 1996.
    """
    if rgb_HWC.ndim != 3 or rgb_HWC.shape[2] != 3 or min(rgb_HWC.shape[:2]) < 3:
        raise DataError(
            f"an array of shape {rgb_HWC.shape} is not an H x W x 3 image of at least 3 x 3 pixels",
            "Leave it out: there are no statistics of smaller ones.",
        )
    height, width, _ = rgb_HWC.shape
    sums = np.zeros(6)
    residual = 0.0
    for start in range(0, height, _STRIP_ROWS):
        strip_HWC = as_unit(rgb_HWC[start : start + _STRIP_ROWS + 2])
        luma_HW = strip_HWC @ np.array(LUMA_REC601)
        residual += _laplacian_sum(luma_HW)
        sums += _sums(strip_HWC[:_STRIP_ROWS], luma_HW[:_STRIP_ROWS])
    means = sums / (height * width)
    return {
        "mean_luma": float(means[0]),
        "contrast": math.sqrt(max(float(means[1] - means[0] ** 2), 0.0)),
        "clipped_shadows": float(means[2]),
        "clipped_highlights": float(means[3]),
        "mean_a": float(means[4]),
        "mean_b": float(means[5]),
        "noise_sigma": math.sqrt(math.pi / 2.0) * residual / (6.0 * (width - 2) * (height - 2)),
    }


def _sums(rgb_HWC: Doubles, luma_HW: Doubles) -> npt.NDArray[Any]:
    """Sums over a strip: luma, its square, black pixels, white pixels, a*, b*."""
    a_HW, b_HW = _lab_ab(rgb_HWC)
    black = np.count_nonzero(rgb_HWC.max(axis=2) < _BLACK_BELOW)
    white = np.count_nonzero(rgb_HWC.max(axis=2) >= _WHITE_FROM)
    return np.array([luma_HW.sum(), (luma_HW**2).sum(), black, white, a_HW.sum(), b_HW.sum()])


def _lab_ab(rgb_HWC: Doubles) -> tuple[Doubles, Doubles]:
    """CIELAB a* and b* of sRGB-encoded values (CIE 15, IEC 61966-2-1)."""
    encoded = np.clip(rgb_HWC, 0.0, 1.0)
    ratio: Doubles = (to_linear(encoded) @ _XYZ_FROM_RGB.T) / _WHITE_XYZ
    f_HWC = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return 500.0 * (f_HWC[..., 0] - f_HWC[..., 1]), 200.0 * (f_HWC[..., 1] - f_HWC[..., 2])


def _laplacian_sum(luma_HW: Doubles) -> float:
    """Sum of |Y * N| over the places where the 3 x 3 mask lies inside: N is [1, -2, 1] along both axes."""
    if luma_HW.shape[0] < 3:
        return 0.0
    rows = luma_HW[:-2] - 2.0 * luma_HW[1:-1] + luma_HW[2:]
    return float(np.abs(rows[:, :-2] - 2.0 * rows[:, 1:-1] + rows[:, 2:]).sum())
