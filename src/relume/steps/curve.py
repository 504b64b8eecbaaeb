"""The exposure curve: how relume brightens."""

from __future__ import annotations

from relume.arrays import Array, namespace


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
    slope = image * (1 - inverse)
    slope += inverse
    return image / slope
