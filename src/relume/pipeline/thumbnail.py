"""The thumbnail that the global pass sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from relume.photo import Pixels


def thumbnail(rgb_HWC: Pixels, size: int) -> npt.NDArray[np.float32]:
    """Area average of a photo to a square, whatever its aspect.

    Cell i covers rows `floor(i H / size)` to `ceil((i + 1) H / size)`, as in adaptive average pooling; sums
    are whole numbers, so the result does not depend on the order of addition.

    Args:
        rgb_HWC: uint8 or uint16 pixels.
        size: side in pixels.

    Returns:
        1 x 3 x size x size in [0, 1].
    """
    rows, columns = _cells(rgb_HWC.shape[0], size), _cells(rgb_HWC.shape[1], size)
    by_row = np.stack([rgb_HWC[start:stop].sum(0, dtype=np.uint64) for start, stop in rows])
    sums = np.stack([by_row[:, start:stop].sum(1) for start, stop in columns], 1)
    counts = np.outer([stop - start for start, stop in rows], [stop - start for start, stop in columns])
    means_HWC = sums / (counts[..., None] * float(np.iinfo(rgb_HWC.dtype).max))
    return np.ascontiguousarray(means_HWC.transpose(2, 0, 1)[None], dtype=np.float32)


def _cells(length: int, size: int) -> list[tuple[int, int]]:
    return [(index * length // size, -(-(index + 1) * length // size)) for index in range(size)]
