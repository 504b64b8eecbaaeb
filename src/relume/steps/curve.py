"""The exposure curve: how relume brightens."""

from __future__ import annotations

from collections.abc import Callable

from relume.arrays import Array, is_numpy, namespace


def exposure_curve(image: Array, gain: Array) -> Array:
    """Brighten by `g x / (1 + (g - 1) x)`: slope g at 0, fixed points 0 and 1, monotone for g > 0.

    Gains add up: the curve of gain g followed by that of gain k is the curve of gain g k, for the curve
    shifts log(x / (1 - x)) by log(g).

    Args:
        image: values in [0, 1].
        gain: positive, of a shape that broadcasts against the image, such as 3 x 1 x 1.

    Returns:
        Values in [0, 1], of the image's shape and type.
    """
    return curve_of_inverse(image, namespace(image, gain).astype(1 / gain, image.dtype, copy=False))


def curve_of_inverse(image: Array, inverse: Array) -> Array:
    """The same curve by 1 / gain, of the image's type: a pass less over the pixels where it is at hand."""
    # Divided through by the gain, which spares another one.
    xp, slope = namespace(image, inverse), 1 - inverse
    slope = _into(slope, xp.multiply, image)
    slope += inverse
    return _into(slope, xp.divide, image)


def _into(memory: Array, work: Callable[..., Array], first: Array) -> Array:
    """What `work` makes of `first` and `memory`, in that memory if it fits: less goes through the cache."""
    if is_numpy(memory) and first.shape == memory.shape and first.dtype == memory.dtype:
        return work(first, memory, out=memory)
    return work(first, memory)
