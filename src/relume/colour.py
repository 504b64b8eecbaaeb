"""Colour: luma, luminance and the curve of sRGB, each written once, for arrays of any library."""

from __future__ import annotations

from relume.arrays import Array, constant, namespace

LUMA_REC601 = (0.299, 0.587, 0.114)
"""Weights of the sRGB-encoded channels."""

LUMINANCE_REC709 = (0.2126, 0.7152, 0.0722)
"""Weights of the linear channels."""


def luma(image_3HW: Array) -> Array:
    """Rec. 601 luma of sRGB-encoded channels, H x W."""
    return namespace(image_3HW).tensordot(constant(LUMA_REC601, image_3HW), image_3HW, axes=((0,), (0,)))


def luma_of(images: Array) -> Array:
    """The same of any number of images, ... x 3 x H x W, as ... x 1 x H x W."""
    xp = namespace(images)
    # A product of matrices, since graphs copy the channels to tell them apart.
    flat = xp.reshape(images, (*images.shape[:-2], images.shape[-2] * images.shape[-1]))
    weights = constant(LUMA_REC601, flat)[None]
    return xp.reshape(weights @ flat, (*images.shape[:-3], 1, *images.shape[-2:]))


def to_linear(encoded: Array) -> Array:
    """Linear light of sRGB-encoded values in [0, 1] (IEC 61966-2-1)."""
    xp = namespace(encoded)
    return xp.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Array) -> Array:
    """sRGB-encoded values of linear light in [0, 1] (IEC 61966-2-1)."""
    xp = namespace(linear)
    return xp.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
