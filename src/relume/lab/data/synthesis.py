"""Synthetic darkness: a clean image through a dim place and a camera, by a `Degradation`.

A crop and the thumbnail of what surrounds it are degraded apart, with one draw: `Area` says where in the
photo each lies, so that lights and dark corners agree. The crop gets noise, 8 bits and JPEG. The thumbnail of
a noisy photo shows hardly any noise, but the *mean* of noisy values: it is brighter in shadows, where noise
is cut off at black. So a thumbnail's pixels become the expectation over the noise.
"""

from __future__ import annotations

import io
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from relume.lab.darkness import LUMA, Darkness, Degradation, draw


class Area(NamedTuple):
    """Part of a photo: top, bottom, left and right edge as shares of its height and width."""

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0


WHOLE = Area()
_ENTRIES = 4097


def darken(clean: Tensor, random: np.random.Generator, darkness: Darkness | None = None) -> Tensor:
    """Darken whole photos, each by a draw of its own.

    Args:
        clean: B x 3 x H x W or 3 x H x W, sRGB in [0, 1].
        random: source of all randomness.
        darkness: ranges to draw from; the defaults if None.

    Returns:
        The same shape, float32, multiples of 1 / 255.
    """
    ranges = darkness or Darkness()
    if clean.ndim == 3:
        return degrade(clean, draw(ranges, random))
    return torch.stack([degrade(image_CHW, draw(ranges, random)) for image_CHW in clean])


def degrade(clean_CHW: Tensor, how: Degradation, area: Area = WHOLE) -> Tensor:
    """A part of a clean photo as the camera stores it: noisy, 8 bits, JPEG.

    Args:
        clean_CHW: sRGB in [0, 1], taken at 8 bits.
        how: the draw.
        area: which part of the photo this is.

    Returns:
        3 x H x W, float32, multiples of 1 / 255.
    """
    levels = to_linear(torch.arange(256) / 255)
    signal = _signal(_look_up(levels, clean_CHW * 255), how, area)
    if how.shot or how.read:
        white = _white_noise(clean_CHW.shape[-2], clean_CHW.shape[-1], how)
        signal = signal + torch.tensordot(_mixing(how), white * _variance(signal, how).sqrt_(), 1)
    developed = _developed(signal, how)
    return _stored((developed * 255).round_().byte(), how).float().div_(255)


def degrade_thumbnail(clean_CSS: Tensor, how: Degradation, area: Area = WHOLE) -> Tensor:
    """The thumbnail that the degraded photo would have, from that of the clean one.

    Each pixel becomes the expectation over the noise, by Gauss-Hermite quadrature with four nodes; rounding
    and JPEG average out.

    Args:
        clean_CSS: sRGB in [0, 1], an area average.
        how: the draw.
        area: which part of the photo the thumbnail shows.

    Returns:
        3 x S x S, float32 in [0, 1].
    """
    signal = _signal(to_linear(clean_CSS), how, area)
    if not (how.shot or how.read):
        return _developed(signal, how)
    deviation = torch.tensordot(_mixing(how) ** 2, _variance(signal, how), 1).sqrt_()
    nodes, weights = _quadrature()
    return torch.tensordot(weights, _developed(signal + deviation * nodes[:, None, None, None], how), 1)


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] -> sRGB in [0, 1]."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _signal(linear_CHW: Tensor, how: Degradation, area: Area) -> Tensor:
    """Linear light of the dark photo without noise, already white-balanced."""
    light = how.exposure * _light(how, area, linear_CHW.shape[-2], linear_CHW.shape[-1])
    return linear_CHW * light + torch.tensor(how.black)[:, None, None] * _gains(how)


def _light(how: Degradation, area: Area, rows: int, columns: int) -> Tensor:
    """Colour and brightness of the light at each pixel, 3 x H x W or 3 x 1 x 1."""
    first, other = (torch.tensor(colour)[:, None, None] for colour in how.lights)
    if how.lights[0] == how.lights[1] and how.side == 1 and not how.vignette:
        return first
    y = _centres(area.top, area.bottom, rows)[:, None]
    x = _centres(area.left, area.right, columns)
    across = x * float(np.cos(how.angle)) + y * float(np.sin(how.angle))
    share = torch.sigmoid((across - how.offset) / how.width)
    corners = 1 - how.vignette * (x**2 + y**2) / 2
    return (first * (how.side * (1 - share)) + other * share) * corners


def _centres(start: float, stop: float, count: int) -> Tensor:
    """Centres of `count` pixels from edge to edge, where the photo goes from -1 to 1."""
    return (start + (torch.arange(count) + 0.5) * ((stop - start) / count)) * 2 - 1


def _gains(how: Degradation) -> Tensor:
    return torch.tensor(how.gains)[:, None, None]


def _variance(signal_CHW: Tensor, how: Degradation) -> Tensor:
    """Of the noise before the colour matrix, in white-balanced units."""
    gains = _gains(how)
    return signal_CHW.clamp(min=0) * (how.shot * gains) + how.read * gains**2


def _white_noise(rows: int, columns: int, how: Degradation) -> Tensor:
    """Unit variance, 3 x H x W; neighbours weigh `correlation`."""
    random = torch.Generator().manual_seed(how.noise_seed)
    noise = torch.randn(3, rows + 2, columns + 2, generator=random)
    near = how.correlation
    noise = noise[:, 1:-1] + near * (noise[:, :-2] + noise[:, 2:])
    noise = noise[..., 1:-1] + near * (noise[..., :-2] + noise[..., 2:])
    return noise / (1 + 2 * near**2)


def _mixing(how: Degradation) -> Tensor:
    """The colour matrix: greys stay, saturation grows."""
    return how.saturation * torch.eye(3) + (1 - how.saturation) * torch.tensor(LUMA).expand(3, 3)


def _developed(linear: Tensor, how: Degradation) -> Tensor:
    """Cut off at black and white, then the tone curve: the same shape in [0, 1], sRGB."""
    # A table over square roots is five times faster than powers, and at most 0.05 of 255 levels off.
    encoded = to_srgb(torch.linspace(0, 1, _ENTRIES) ** 2) ** how.gamma
    table = torch.lerp(encoded, encoded**2 * (3 - 2 * encoded), how.contrast)
    return _look_up(table, linear.clamp(0, 1).sqrt_() * (_ENTRIES - 1))


def _look_up(table: Tensor, position: Tensor) -> Tensor:
    """The entry nearest to each position; plain indexing is four times slower."""
    return table.index_select(0, position.round().int().flatten()).view(position.shape)


def _stored(image_CHW: Tensor, how: Degradation) -> Tensor:
    """uint8 through a JPEG file whose blocks begin anywhere, as those of a crop do."""
    if not how.jpeg_quality:
        return image_CHW
    top, left = how.jpeg_grid
    pixels = np.pad(image_CHW.permute(1, 2, 0).numpy(), ((top, 0), (left, 0), (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=how.jpeg_quality, subsampling=how.jpeg_subsampling)
    decoded = np.array(Image.open(file))[top:, left:]
    return torch.from_numpy(decoded).permute(2, 0, 1)


@cache
def _quadrature() -> tuple[Tensor, Tensor]:
    """Nodes and weights of the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    return torch.tensor(nodes, dtype=torch.float32), torch.tensor(
        weights / weights.sum(), dtype=torch.float32
    )
