"""The thumbnail that the global pass sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.photo import Pixels


def thumbnail(rgb_HWC: Pixels, size: int, alpha_HW: Pixels | None = None) -> npt.NDArray[np.float32]:
    """Area average of a photo to a square, whatever its aspect.

    Cell i covers rows `floor(i H / size)` to `ceil((i + 1) H / size)`, as in adaptive average pooling; sums
    are whole numbers, so the result does not depend on the order of addition. What is transparent counts as
    little as it is seen: whatever colour lies there must not decide how bright the rest becomes.

    Args:
        rgb_HWC: uint8 or uint16 pixels.
        size: side in pixels.
        alpha_HW: opacity; cells without any get the mean of the others.

    Returns:
        1 x 3 x size x size in [0, 1].
    """
    top = float(np.iinfo(rgb_HWC.dtype).max)
    shape = rgb_HWC.shape[:2]
    if alpha_HW is None or not alpha_HW.any() or alpha_HW.min() == top:
        sums = _sums(lambda rows: rgb_HWC[rows], shape, size)
        sides = [[stop - start for start, stop in _cells(length, size)] for length in shape]
        weights_SS1 = np.outer(sides[0], sides[1])[..., None]
    else:

        def opacity(rows: slice) -> npt.NDArray[np.uint64]:
            return alpha_HW[rows, :, None].astype(np.uint64)

        sums = _sums(lambda rows: rgb_HWC[rows] * opacity(rows), shape, size)
        weights_SS1 = _sums(opacity, shape, size)
        unseen_SS = weights_SS1[..., 0] == 0
        sums[unseen_SS], weights_SS1[unseen_SS] = sums.sum((0, 1)), weights_SS1.sum()
    means_SSC = sums / (weights_SS1 * top)
    return np.ascontiguousarray(means_SSC.transpose(2, 0, 1)[None], dtype=np.float32)


def _sums(
    values: Callable[[slice], npt.NDArray[Any]], shape: tuple[int, ...], size: int
) -> npt.NDArray[np.uint64]:
    """Sum over each cell of what `values` returns for some rows, size x size x C."""
    rows, columns = (_cells(length, size) for length in shape)
    by_row = np.stack([values(slice(*where)).sum(0, dtype=np.uint64) for where in rows])
    return np.stack([by_row[:, start:stop].sum(1) for start, stop in columns], 1)


def _cells(length: int, size: int) -> list[tuple[int, int]]:
    return [(index * length // size, -(-(index + 1) * length // size)) for index in range(size)]
