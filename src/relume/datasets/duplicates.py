"""Near-duplicates: images of one scene, found by what they show rather than by name.

Method: each well-lit image becomes a 48 x 32 thumbnail of luma, a local mean is taken away (so exposure and
shading do not count) and the rest normalised. The similarity of two images is the largest normalised
cross-correlation over shifts of up to a quarter of the frame, computed by FFT. Two images belong to one
scene when it reaches `SAME_SCENE`; scenes are the connected components of that relation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from relume.colour import LUMA_REC601

SAME_SCENE = 0.5
_ROWS, _COLUMNS = 32, 48

Progress = Callable[[int, int], None]


def fingerprint(path: Path) -> npt.NDArray[np.float32]:
    """Zero-mean thumbnail of unit norm, 32 x 48."""
    from relume.photo import read_photo  # needs libvips, which a machine that only trains may lack

    rgb_HWC = read_photo(path).rgb_HWC
    red, green, blue = LUMA_REC601
    luma = rgb_HWC[..., 0] * red + rgb_HWC[..., 1] * green + rgb_HWC[..., 2] * blue
    small = _area(_area(luma, _ROWS).T, _COLUMNS).T
    detail = small - _local_mean(small)
    return (detail / (np.linalg.norm(detail) + 1e-6)).astype(np.float32)


def similarities(first: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Largest cross-correlation of one fingerprint with each of N others; N values, at most about 1."""
    shape = (2 * _ROWS, 2 * _COLUMNS)
    spectrum = np.fft.rfft2(first, shape) * np.conj(np.fft.rfft2(others, shape))
    correlation = np.fft.irfft2(spectrum, shape)
    rows, columns = _ROWS // 4, _COLUMNS // 4
    near = np.concatenate([correlation[:, : rows + 1], correlation[:, -rows:]], 1)
    near = np.concatenate([near[..., : columns + 1], near[..., -columns:]], 2)
    return near.max((1, 2)).astype(np.float32)


def similarity_matrix(paths: Sequence[Path], progress: Progress | None = None) -> npt.NDArray[np.float32]:
    """Similarity of every two of N images, N x N."""
    prints = np.stack([fingerprint(path) for path in paths])
    rows: list[npt.NDArray[np.float32]] = []
    for index, first in enumerate(prints, start=1):
        rows.append(similarities(first, prints))
        if progress:
            progress(index, len(prints))
    return np.maximum(np.stack(rows), np.stack(rows).T)


def scenes(similar: npt.NDArray[np.bool_]) -> list[list[int]]:
    """Connected components of a symmetric N x N relation, largest first, members in order."""
    unseen, found = set(range(len(similar))), list[list[int]]()
    while unseen:
        component, frontier = set[int](), {min(unseen)}
        while frontier:
            component |= frontier
            neighbours = np.flatnonzero(similar[sorted(frontier)].any(0))
            frontier = set(neighbours.tolist()) - component
        unseen -= component
        found.append(sorted(component))
    return sorted(found, key=lambda members: (-len(members), members))


def _area(image_HW: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    """Area average to `rows` rows."""
    edges = np.linspace(0, len(image_HW), rows + 1).astype(int)
    sums = np.add.reduceat(image_HW, edges[:-1], axis=0)
    # Of images with fewer rows than wanted, some are repeated.
    return sums / np.maximum(np.diff(edges), 1)[:, None]


def _local_mean(image_HW: npt.NDArray[np.float64], radius: int = 6) -> npt.NDArray[np.float64]:
    padded = np.pad(image_HW, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)
    return windows.mean((2, 3))
