"""The thumbnail by which a whole photo is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relume.arrays import Array, device, full_range, namespace


def overview_shape(height: int, width: int, side: int, multiple: int = 8) -> tuple[int, int]:
    """Rows and columns of a thumbnail that keeps the aspect of a photo.

    Args:
        height, width: of the photo.
        side: the longer side of the thumbnail.
        multiple: both sides are multiples of it; the shorter one is the nearest, at least twice as long.
    """
    longer = max(height, width)
    rows, columns = (
        max(2, round(side * length / (longer * multiple))) * multiple for length in (height, width)
    )
    return rows, columns


def thumbnail(image: Array, shape: tuple[int, int], alpha: Array | None = None) -> Array:
    """Area average of an image to a grid of cells, whatever its aspect.

    Cell i of S covers rows `floor(i H / S)` to `ceil((i + 1) H / S)`, as in adaptive average pooling, so
    images smaller than the thumbnail repeat their pixels. What is transparent counts as little as it is seen:
    whatever colour lies there must not decide how bright the rest becomes.

    Args:
        image: ... x H x W; integers over their whole range, or floats in [0, 1].
        shape: rows and columns of the thumbnail.
        alpha: opacity, H x W, of an image of integers; cells without any get the mean of the others.

    Returns:
        ... x shape in [0, 1]; float32 for integers, otherwise the image's type.
    """
    xp = namespace(image)
    if xp.isdtype(image.dtype, "integral"):
        return _of_integers(image, shape, alpha)
    where = device(image)
    return averaged(image, *(xp.arange(cells, dtype=xp.int64, device=where) for cells in shape))


def _of_integers(image: Array, shape: tuple[int, int], alpha: Array | None) -> Array:
    """Sums are whole numbers, and do not depend on the order of addition."""
    xp, top = namespace(image), full_range(image)
    bounds = tuple(
        _bounds(length, xp.arange(cells, dtype=xp.int64))
        for length, cells in zip(image.shape[-2:], shape, strict=True)
    )
    if alpha is None or not xp.any(alpha) or xp.min(alpha) == top:
        # Half as wide, twice as fast; a column of a cell fits, but of many thousand rows at 16 bits.
        column = top * (-(-image.shape[-2] // shape[0]) + 1)
        narrow = xp.int32 if column <= xp.iinfo(xp.int32).max else xp.int64
        sums = _sums(xp, lambda rows: image[..., rows, :], bounds, narrow)
        tall, wide = (stops - starts for starts, stops in bounds)
        weights = tall[:, None] * wide
    else:

        def opacity(rows: slice) -> Array:
            return xp.astype(alpha[rows, :], xp.int64)

        sums = _sums(xp, lambda rows: image[..., rows, :] * opacity(rows), bounds, xp.int64)
        weights = _sums(xp, opacity, bounds, xp.int64)
    return weighed_means(sums, weights, top)


def weighed_means(sums: Array, weights: Array, top: int) -> Array:
    """The thumbnail from the sums of its cells, float32; cells of weight 0 get the mean of the others.

    Args:
        sums: of weighed whole numbers, ... x rows x columns.
        weights: sums of the weights, rows x columns, not all 0.
        top: the whole number that stands for 1.
    """
    xp = namespace(sums)
    unseen = weights == 0
    sums = xp.where(unseen, xp.sum(sums, axis=(-2, -1), keepdims=True), sums)
    weights = xp.where(unseen, xp.sum(weights), weights)
    means = xp.astype(sums, xp.float64) / xp.astype(weights * top, xp.float64)
    return xp.astype(means, xp.float32)


def row_of_cells(rows_3HW: Array, opacity_HW: Array, index_T: Array) -> tuple[Array, Array]:
    """Sums for one row of the cells that `thumbnail` has of integers, for hosts that keep photos by rows.

    Args:
        rows_3HW: the photo's rows that lie in these cells, whole numbers as float64.
        opacity_HW: their opacity as whole numbers, 1 everywhere for photos without.
        index_T: 0, 1, 2 and so on, int64; as many as the thumbnail has columns.

    Returns:
        Sums of the values, each times its opacity, 3 x T; and of the opacity. All are exact.
    """
    xp = namespace(rows_3HW)
    member_WT = xp.matrix_transpose(_membership(rows_3HW, -1, index_T))
    return xp.sum(rows_3HW * opacity_HW, axis=-2) @ member_WT, xp.sum(opacity_HW, axis=-2) @ member_WT


def averaged(image: Array, rows_S: Array, columns_T: Array) -> Array:
    """As `thumbnail`, of floats, for a grid whose rows and columns are numbered.

    One product along each axis: a handful of nodes in a graph, for images of any size.

    Args:
        image: ... x H x W in [0, 1].
        rows_S, columns_T: 0, 1, 2 and so on, int64; as many as the thumbnail has.
    """
    xp = namespace(image)
    member_SH, member_TW = (
        _membership(image, axis, index) for axis, index in ((-2, rows_S), (-1, columns_T))
    )
    sums = member_SH @ image @ xp.matrix_transpose(member_TW)
    return sums / (xp.sum(member_SH, axis=1)[:, None] * xp.sum(member_TW, axis=1))


def _membership(image: Array, axis: int, index: Array) -> Array:
    """1 where a row or column belongs to a cell, else 0: cells x length."""
    xp = namespace(image)
    starts, stops = _bounds(image.shape[axis], index)
    at = xp.arange(image.shape[axis], device=device(image))
    return xp.astype((at >= starts[:, None]) & (at < stops[:, None]), image.dtype)


def _bounds(length: int, index: Array) -> tuple[Array, Array]:
    """Where each cell starts and stops along an axis."""
    cells = index.shape[0]
    return index * length // cells, -(-(index + 1) * length // cells)


def _sums(
    xp: Any, values: Callable[[slice], Array], bounds: tuple[tuple[Array, Array], ...], kind: Any
) -> Array:
    """Sum over each cell of what `values` returns for some rows; `kind` is wide enough for its columns."""
    rows, columns = ([slice(int(a), int(b)) for a, b in zip(*each, strict=True)] for each in bounds)
    by_row = xp.stack([xp.sum(values(part), axis=-2, dtype=kind) for part in rows], axis=-2)
    return xp.stack([xp.sum(by_row[..., part], axis=-1, dtype=xp.int64) for part in columns], axis=-1)
