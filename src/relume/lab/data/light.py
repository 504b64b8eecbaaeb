"""The light of a batch of draws at each pixel: where it falls, what it spares, and lamps in the picture.

Everything is a function of the place in the whole photo, so a crop and a thumbnail of it agree. Smooth
functions of few control points are cubic B-splines, evaluated as two small matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.colour import LUMINANCE_REC709
from relume.lab.darkness import FIELD_NODES, MOST_LAMPS, Degradation, Lamp

Values = Mapping[str, Tensor]
"""Numbers of each draw of a batch by name, B x n."""

_DARK_LAMP = Lamp(peak=0.0)


class Area(NamedTuple):
    """Part of a photo: top, bottom, left and right edge as shares of its height and width.

    Attributes:
        aspect: width of the whole photo by its height, in pixels: lamps are round.
    """

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0
    aspect: float = 1.0

    @classmethod
    def of(cls, rows: range, columns: range, height: int, width: int) -> Area:
        """These rows and columns of a photo of so many pixels."""
        return cls(
            rows.start / height,
            rows.stop / height,
            columns.start / width,
            columns.stop / width,
            width / height,
        )


class Places(NamedTuple):
    """Where pixels lie in the photo, which goes from -1 to 1: y is B x H x 1, x is B x 1 x W.

    Attributes:
        aspect: B x 1 x 1.
    """

    y: Tensor
    x: Tensor
    aspect: Tensor


def light_values(how: Degradation) -> dict[str, Sequence[float]]:
    """What `light` and `lamps` need of one draw."""
    lamps = [*how.lamps, *[_DARK_LAMP] * MOST_LAMPS][:MOST_LAMPS]
    return {
        "lights": [how.exposure * c * how.side for c in how.lights[0]]
        + [how.exposure * c for c in how.lights[1]],
        "across": (math.cos(how.angle) / how.width, math.sin(how.angle) / how.width, how.offset / how.width),
        "vignette": (how.vignette,),
        "field": np.ravel(how.field).tolist() if how.field else (0.0,) * FIELD_NODES**2,
        "back": (how.back_stops, how.back_knee[0], how.back_knee[1] - how.back_knee[0], how.back_region),
        "lamps": [number for lamp in lamps for number in _lamp_values(lamp)],
    }


def _lamp_values(lamp: Lamp) -> list[float]:
    return [
        *(lamp.y, lamp.x, lamp.length, lamp.height, math.cos(lamp.angle), math.sin(lamp.angle)),
        *(lamp.size**-2, lamp.peak, lamp.glow * lamp.peak, lamp.reach**-2, lamp.pool, lamp.throw**-2),
        *lamp.colour,
    ]


def places(areas: Tensor, rows: int, columns: int, finer: int = 1) -> Places:
    """Centres of pixels from edge to edge of each area, or of `finer` parts of each on both sides.

    Args:
        areas: B x 5, as `Area`.
        rows, columns: pixels.
    """
    top, bottom, left, right, aspect = areas[:, :, None].unbind(1)
    y, x = (
        (
            start
            + (torch.arange(count * finer, device=areas.device) + 0.5) * ((stop - start) / (count * finer))
        )
        * 2
        - 1
        for start, stop, count in ((top, bottom, rows), (left, right, columns))
    )
    return Places(y[:, :, None], x[:, None], aspect[:, :, None])


def is_uneven(how: Degradation) -> bool:
    """Whether the light is another one at another place."""
    return bool(how.field or how.vignette or how.side != 1 or how.lights[0] != how.lights[1])


def light(values: Values, at: Places) -> Tensor:
    """Colour and brightness of the light, B x 3 x H x W: two lights, a smooth field, dark corners."""
    cosine, sine, offset = values["across"][:, :, None, None].unbind(1)
    share = torch.sigmoid(at.x * cosine + (at.y * sine - offset))
    strength = smooth(values["field"].unflatten(1, (1, FIELD_NODES, FIELD_NODES)), at)[:, 0].exp2_()
    half = values["vignette"][:, :, None] / 2
    strength = strength.mul_((1 - half * at.y**2) - half * at.x**2)
    other = share.mul_(strength)
    both = torch.stack([strength - other, other], 1)
    return (values["lights"].unflatten(1, (2, 3)).mT @ both.flatten(2)).unflatten(2, both.shape[2:])


def smooth(nodes_BCKK: Tensor, at: Places) -> Tensor:
    """The cubic B-spline of these control points over the photo, B x C x H x W."""
    rows, columns = (
        spline((place.flatten(1) + 1) * (count / 2) - 0.5, count)[:, None]
        for place, count in zip((at.y, at.x), nodes_BCKK.shape[2:], strict=True)
    )
    return rows @ (nodes_BCKK @ columns.mT)


def spline(position: Tensor, count: int) -> Tensor:
    """Weights of `count` control points at 0, 1, ... for each position; the outer ones go on for ever.

    Args:
        position: B x N.

    Returns:
        B x N x count; each row adds up to 1.
    """
    position = position.clamp(-0.999, count - 0.001)
    distance = (position[..., None] - torch.arange(-1, count + 1, device=position.device)).abs_()
    weights = ((2 - distance).clamp_(min=0) ** 3 - 4 * (1 - distance).clamp_(min=0) ** 3) / 6
    inner = weights[..., 1:-1].clone()
    inner[..., 0] += weights[..., 0]
    inner[..., -1] += weights[..., -1]
    return inner / inner.sum(-1, keepdim=True)


def spared(values: Values, luma_BHW: Tensor, around_BHW: Tensor) -> Tensor:
    """What back light leaves, B x H x W in (0, 1]: all of the light parts, little of the dark ones.

    The factor is 2^(-stops (1 - s)), where s rises smoothly (3 t^2 - 2 t^3) between two sRGB values of the
    clean picture, part the pixel's own and part that of its surroundings. It never falls with the pixel's own
    value, so among the same surroundings the order of brightness stays.

    Args:
        luma_BHW: of the clean picture, sRGB values.
        around_BHW: the same, blurred.
    """
    stops, low, span, region = values["back"][:, :, None, None].unbind(1)
    t = ((torch.lerp(luma_BHW, around_BHW, region) - low) / span).clamp_(0, 1)
    return (stops * (t * t * (3 - 2 * t) - 1)).exp2_()


class Surroundings(NamedTuple):
    """Coarse luma (sRGB values) of a part of each photo, B x 1 x h x w, and which part it is, B x 5."""

    luma: Tensor
    areas: Tensor

    @classmethod
    def of(cls, clean_BCHW: Tensor, areas: Tensor, most: int = 12) -> Surroundings:
        """Area averages of at most `most` by `most`."""
        rows, columns = (min(most, side) for side in clean_BCHW.shape[-2:])
        return cls(F.adaptive_avg_pool2d(luma(clean_BCHW)[:, None], (rows, columns)), areas)

    def pick(self, which: Tensor) -> Surroundings:
        return Surroundings(self.luma[which], self.areas[which])

    def seen_at(self, at: Places) -> Tensor:
        """Smoothed, at these places: B x H x W."""
        top, bottom, left, right, _ = self.areas[:, :, None, None].unbind(1)
        y = ((at.y + 1) - 2 * top) / (bottom - top) - 1
        x = ((at.x + 1) - 2 * left) / (right - left) - 1
        return smooth(self.luma, Places(y, x, at.aspect))[:, 0]


def luma(image_BCHW: Tensor) -> Tensor:
    """B x H x W; of sRGB values or of linear light, whichever they are."""
    red, green, blue = (image_BCHW[:, c] * LUMINANCE_REC709[c] for c in range(3))
    return red.add_(green).add_(blue)


def lamps(values: Values, at: Places) -> tuple[Tensor, Tensor]:
    """Light of lamps and their glow, and light that they throw on what is around them, B x 3 x H x W each."""
    numbers = values["lamps"].unflatten(1, (MOST_LAMPS, -1))
    shining: list[Tensor] = []
    thrown: list[Tensor] = []
    for lamp in numbers[:, :, :12, None, None].unbind(1):
        y, x, length, height, cosine, sine, size, peak, glow, reach, pool, throw = lamp.unbind(1)
        right, down = (at.x - x) * at.aspect, at.y - y
        along = ((right * cosine + down * sine).abs_() - length).clamp_(min=0)
        across = ((down * cosine - right * sine).abs_() - height).clamp_(min=0)
        square = along.square_().add_(across.square_())
        core = (square * size + 1).reciprocal_()
        shining.append((core * core * core).mul_(peak).add_(glow / (square * reach + 1)))
        thrown.append(pool / (square * throw + 1))
    colours = numbers[:, :, 12:].mT
    shine, pools = (
        (colours @ torch.stack(one, 1).flatten(2)).unflatten(2, one[0].shape[1:]) for one in (shining, thrown)
    )
    return shine, pools
