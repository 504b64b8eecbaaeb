"""Synthetic darkness: clean images through a dim place and a camera, a `Degradation` each, as batches.

A crop and the thumbnail of what surrounds it are degraded apart, with one draw: `Area` says where in the
photo each lies, so that lights and dark corners agree. The crop gets noise, 8 bits and JPEG. The thumbnail of
a noisy photo shows hardly any noise, but the *mean* of noisy values: it is brighter in shadows, where noise
is cut off at black. So a thumbnail's pixels become the expectation over the noise.

In linear light x of the clean picture, with light L of the place, back light b(x) and lamps P, the dark photo
is develop(x L b(x) + P + noise), and the target is sRGB(x + P), but for what 8 bits have lost.

All are tensor operations on the device of the images. Noise is drawn there, by a generator with the seed of
each draw: exact on the same kind of device, of the same distribution on another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.colour import LUMINANCE_REC709, to_linear, to_srgb
from relume.lab.darkness import Darkness, Degradation, draw
from relume.lab.data import light
from relume.lab.data.jpeg import compressed
from relume.lab.data.light import Area, Places, Surroundings, Values

__all__ = ["Area", "Degraded", "darken", "degrade", "degrade_thumbnails"]

_ENTRIES = 4097
_INPUT_ENTRIES = 16 * 255 + 1
_NODES = 3
# Of noise without luma, relative to what it was made from, red, green and blue.
_SQUARES = sum(weight**2 for weight in LUMINANCE_REC709)
_CHROMA_SHARE = tuple((1 - 2 * weight + _SQUARES) ** 0.5 for weight in LUMINANCE_REC709)
# Variance of a cubic B-spline with independent control points of variance 1, on average.
_SPLINE_VARIANCE = 151 / 315


class Degraded(NamedTuple):
    """Dark photos and what they should look like, B x 3 x H x W, float32 in [0, 1]."""

    dark: Tensor
    target: Tensor


def darken(clean: Tensor, random: np.random.Generator, darkness: Darkness | None = None) -> Tensor:
    """Darken whole photos, each by a draw of its own.

    Args:
        clean: B x 3 x H x W or 3 x H x W, sRGB in [0, 1].
        random: source of all randomness.
        darkness: ranges to draw from; the defaults if None.

    Returns:
        The same shape, float32, multiples of 1 / 255.
    """
    images = clean if clean.ndim == 4 else clean[None]
    hows = [draw(darkness or Darkness(), random) for _ in images]
    return degrade(images, hows).dark.view(clean.shape)


@torch.no_grad()
def degrade(
    clean_BCHW: Tensor,
    hows: Sequence[Degradation],
    areas: Sequence[Area] | None = None,
    around: tuple[Tensor, Sequence[Area]] | None = None,
) -> Degraded:
    """Parts of clean photos as the camera stores them: noisy, 8 bits, JPEG.

    Args:
        clean_BCHW: sRGB, uint8 or in [0, 1].
        hows: a draw each.
        areas: which part of its photo each is; the whole if None.
        around: a larger part of each photo at any size, such as the thumbnail of a crop, and which part that
            is: what back light takes for the surroundings. The images themselves if None.

    Returns:
        The dark photos, multiples of 1 / 255, and the targets: the clean ones, with the lamps that were
        added, and darker where the dark photo has lost everything.
    """
    scene = _Scene(clean_BCHW, hows, areas, around)
    signal, shine = scene.signal()
    target = _target(scene, signal, shine)
    signal += scene.black()
    if any(how.shot or how.read or how.row for how in hows):
        _add_noise(signal, scene)
    developed = _developed(signal, _tone_curves(scene.values))
    _process(developed, hows, scene.values)
    return Degraded(_store(developed.mul_(255).round_(), hows).div_(255), target)


@torch.no_grad()
def degrade_thumbnails(
    clean_BCHW: Tensor, hows: Sequence[Degradation], areas: Sequence[Area] | None = None
) -> Tensor:
    """The thumbnails that the degraded photos would have, from those of the clean ones.

    Each pixel becomes the expectation over the noise, by Gauss-Hermite quadrature; rounding, sharpening and
    JPEG average out.

    Args:
        clean_BCHW: sRGB, uint8 or in [0, 1], area averages.
        hows, areas: as for `degrade`.

    Returns:
        The same shape, float32 in [0, 1].
    """
    scene = _Scene(clean_BCHW, hows, areas, None, finer=2)
    signal, _ = scene.signal()
    signal += scene.black()
    tables = _tone_curves(scene.values)
    if not any(how.shot or how.read or how.row for how in hows):
        return _developed(signal, tables)
    deviation = _deviation(signal, scene.values)
    total = torch.zeros_like(signal)
    for node, weight in zip(*_quadrature(), strict=True):
        total.add_(_developed(torch.add(signal, deviation, alpha=node), tables), alpha=weight)
    return total


class _Scene:
    """A batch of clean images with the numbers of its draws.

    Attributes:
        clean: sRGB in [0, 1].
        values: the numbers.
        finer: by how much lamps are sampled more finely than pixels, each way.
    """

    def __init__(
        self,
        clean_BCHW: Tensor,
        hows: Sequence[Degradation],
        areas: Sequence[Area] | None,
        around: tuple[Tensor, Sequence[Area]] | None,
        finer: int = 1,
    ) -> None:
        rows, columns = clean_BCHW.shape[-2:]
        self.hows = hows
        self.clean = _floats(clean_BCHW)
        self.finer = finer
        whole = Area(aspect=columns / rows)
        wide_areas = around[1] if around else areas or [whole] * len(hows)
        own = zip(hows, areas or [whole] * len(hows), wide_areas, strict=True)
        self.values = _stacked(
            [
                {"area": area, "around": wide, **light.light_values(how), **_camera_values(how)}
                for how, area, wide in own
            ],
            clean_BCHW.device,
        )
        self.around = _floats(around[0]) if around else self.clean
        self.at = light.places(self.values["area"], rows, columns)

    def pick(self, wanted: Callable[[Degradation], object]) -> tuple[Tensor, Values, Places] | None:
        """Positions of the images whose draw is as wanted, their numbers and places; or None."""
        which = [position for position, how in enumerate(self.hows) if wanted(how)]
        if not which:
            return None
        index = torch.tensor(which, device=self.clean.device)
        values = {name: value[index] for name, value in self.values.items()}
        return index, values, Places(*(place[index] for place in self.at))

    def signal(self) -> tuple[Tensor, Tensor | None]:
        """Linear light of the dark photos without noise, and of the lamps in those that have any."""
        signal = _decoded(self.clean)
        falls = self._light()
        lit = self.pick(lambda how: how.lamps)
        shine = None
        if lit:
            shine, pools = self._lamps(*lit[1:])
            falls = falls.expand(signal.shape).clone()
            falls[lit[0]] += pools
        if back_lit := self.pick(lambda how: how.back_stops):
            index, values, at = back_lit
            around = Surroundings.of(self.around[index], values["around"]).seen_at(at)
            signal[index] *= light.spared(values, light.luma(self.clean[index]), around)[:, None]
        signal *= falls
        if lit and shine is not None:
            signal[lit[0]] += shine
        return signal, shine

    def black(self) -> Tensor:
        """Error of the black level, white-balanced: B x 3 x 1 x 1."""
        return (self.values["black"] * self.values["gains"])[..., None, None]

    def _light(self) -> Tensor:
        if any(light.is_uneven(how) for how in self.hows):
            return light.light(self.values, self.at)
        return self.values["lights"][:, 3:, None, None]

    def _lamps(self, values: Values, at: Places) -> tuple[Tensor, Tensor]:
        """What is beyond white is cut off before it is averaged."""
        if self.finer == 1:
            shine, pools = light.lamps(values, at)
            return shine.clamp_(max=1), pools
        rows, columns = self.clean.shape[-2:]
        shine, pools = light.lamps(values, light.places(values["area"], rows, columns, self.finer))
        shine, pools = (F.avg_pool2d(one, self.finer) for one in (shine.clamp_(max=1), pools))
        return shine, pools


def _camera_values(how: Degradation) -> dict[str, Sequence[float]]:
    return {
        "shot": [how.shot * gain for gain in how.gains],
        "read": [how.read * gain**2 for gain in how.gains],
        "row": [how.row * gain for gain in how.gains],
        "chroma": (how.chroma, how.chroma_size),
        "black": how.black,
        "near": (how.correlation,),
        "gains": how.gains,
        "saturation": (how.saturation,),
        "tone": (how.gamma, how.contrast),
        "phone": (how.flatten**2, 1 + how.sharpen),
        "lost": (how.lost**2,),
    }


def _stacked(rows: Sequence[dict[str, Sequence[float]]], device: torch.device) -> Values:
    """Numbers by name, B x n each, brought to the device in one copy."""
    numbers = np.array([[number for part in row.values() for number in part] for row in rows], np.float32)
    parts = torch.from_numpy(numbers).to(device).split([len(part) for part in rows[0].values()], 1)
    return dict(zip(rows[0], parts, strict=True))


def _floats(image_BCHW: Tensor) -> Tensor:
    return image_BCHW.float().div_(255) if image_BCHW.dtype == torch.uint8 else image_BCHW


def _target(scene: _Scene, signal: Tensor, shine: Tensor | None) -> Tensor:
    """sRGB of the clean light and the lamps; less where the dark photo's level is about `lost` or below.

    The factor is e^2 / (e^2 + lost^2) with the level e that the dark photo has without noise, in units of the
    linear part of sRGB, 12.92 * 255 a unit of light.
    """
    target = scene.clean
    lit = scene.pick(lambda how: how.lamps)
    if lit and shine is not None:
        target = target.clone()
        target[lit[0]] = _encoded((_decoded(target[lit[0]]) + shine).clamp_(max=1))
    if all(how.lost == 0 for how in scene.hows):
        return target if lit else target.clone()
    square = light.luma(signal).mul_(12.92 * 255).square_()
    return target * (square / (square + scene.values["lost"][..., None]).clamp_(min=1e-12))[:, None]


def _variance(signal: Tensor, values: Values) -> Tensor:
    """Of the noise of a pixel before the colour matrix, in white-balanced units."""
    shot, read = (values[name][..., None, None] for name in ("shot", "read"))
    return torch.addcmul(read, signal.clamp(min=0), shot)


def _deviation(signal: Tensor, values: Values) -> Tensor:
    """Of all noise, after the colour matrix."""
    blotches = values["chroma"][:, :1] * torch.tensor(_CHROMA_SHARE, device=signal.device)
    variance = _variance(signal, values).mul_(1 + blotches[..., None, None] ** 2)
    variance += values["row"][..., None, None] ** 2
    saturation = values["saturation"][..., None]
    mixing = saturation * torch.eye(3, device=signal.device)
    mixing = mixing + (1 - saturation) * torch.tensor(LUMINANCE_REC709, device=signal.device)
    return ((mixing**2) @ variance.flatten(2)).sqrt_().view(signal.shape)


def _add_noise(signal: Tensor, scene: _Scene) -> None:
    """Noise of pixels, blotches of colour and offsets of rows, through the colour matrix."""
    values = scene.values
    rows, columns = signal.shape[-2:]
    nodes = [int(side / 4) + 3 for side in (rows, columns)]
    has_blotches = any(how.chroma for how in scene.hows)
    draws = [
        _drawn(how, rows, columns, nodes if has_blotches else [0, 0], signal.device) for how in scene.hows
    ]
    white, coarse, offsets = (torch.stack(parts) for parts in zip(*draws, strict=True))
    if any(how.correlation for how in scene.hows):
        white = _correlated(white, values["near"][..., None, None])
    else:
        white = white[..., 1:-1, 1:-1]
    if has_blotches:
        white = white + _blotches(coarse, rows, columns, values)
    noise = _variance(signal, values).sqrt_().mul_(white)
    noise.addcmul_(offsets, values["row"][..., None, None])
    signal += torch.lerp(light.luma(noise)[:, None], noise, values["saturation"][..., None, None])


def _drawn(
    how: Degradation, rows: int, columns: int, nodes: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Of unit variance: 3 x H+2 x W+2 for pixels, 3 x nodes for blotches, 1 x H x 1 for rows."""
    random = torch.Generator(device).manual_seed(how.noise_seed)
    shapes = ((3, rows + 2, columns + 2), (3, *nodes), (1, rows, 1))
    pixels, coarse, offsets = (torch.randn(shape, generator=random, device=device) for shape in shapes)
    return pixels, coarse, offsets


def _correlated(noise: Tensor, near: Tensor) -> Tensor:
    """Neighbours weigh `near`; the variance stays."""
    noise = torch.addcmul(noise[..., 1:-1, :], noise[..., :-2, :] + noise[..., 2:, :], near)
    noise = torch.addcmul(noise[..., 1:-1], noise[..., :-2] + noise[..., 2:], near)
    return noise.div_(1 + 2 * near**2)


def _blotches(nodes_BCKK: Tensor, rows: int, columns: int, values: Values) -> Tensor:
    """Smooth noise without luma."""
    nodes = nodes_BCKK - light.luma(nodes_BCKK)[:, None]
    strength, size = values["chroma"].split(1, 1)
    down, across = (
        light.spline((torch.arange(count, device=size.device) + 0.5) / size + 0.5, nodes.shape[2 + axis])[
            :, None
        ]
        for axis, count in enumerate((rows, columns))
    )
    return down @ (nodes * (strength / _SPLINE_VARIANCE)[..., None, None] @ across.mT)


def _decoded(srgb: Tensor) -> Tensor:
    """Linear light by a table that is exact for 8-bit values."""
    table = _input_table(srgb.device)
    return table.index_select(0, (srgb * (_INPUT_ENTRIES - 1)).add_(0.5).int().flatten()).view(srgb.shape)


def _encoded(linear: Tensor) -> Tensor:
    """sRGB of linear light in [0, 1]; overwrites it."""
    position = linear.sqrt_().mul_(_ENTRIES - 1).add_(0.5).int()
    return _srgb_table(linear.device).index_select(0, position.flatten()).view(linear.shape)


def _tone_curves(values: Values) -> Tensor:
    """Of each draw, B x entries over square roots of linear light.

    A table is five times faster than powers, and at most 0.05 of 255 levels off.
    """
    gamma, contrast = values["tone"].split(1, 1)
    encoded = _srgb_table(gamma.device) ** gamma
    return torch.lerp(encoded, encoded**2 * (3 - 2 * encoded), contrast)


def _developed(linear: Tensor, tables: Tensor) -> Tensor:
    """Cut off at black and white, then the tone curve: sRGB in [0, 1]; overwrites its input."""
    starts = torch.arange(len(tables), device=linear.device)[:, None, None, None] * _ENTRIES + 0.5
    position = linear.clamp_(0, 1).sqrt_().mul_(_ENTRIES - 1).add_(starts).int()
    return tables.flatten().index_select(0, position.flatten()).view(linear.shape)


def _process(developed: Tensor, hows: Sequence[Degradation], values: Values) -> None:
    """A phone's denoising and sharpening, in place.

    A pixel's difference d to the mean of 5 x 5 becomes d^3 / (d^2 + flatten^2), so that noise and faint
    texture go and edges stay (coring), and is then enlarged.
    """
    which = [position for position, how in enumerate(hows) if how.flatten or how.sharpen]
    if not which:
        return
    index = torch.tensor(which, device=developed.device)
    flatten, sharpen = values["phone"][index][..., None, None].split(1, 1)
    images = developed[index]
    rows, columns = images.shape[-2:]
    mean = F.pad(images, (2, 2, 2, 2), mode="replicate")
    for axis, size in ((-2, rows), (-1, columns)):  # pooling takes twice as long
        near = [mean.narrow(axis, shift, size) for shift in range(5)]
        mean = torch.add(near[0], near[1]).add_(near[2]).add_(near[3]).add_(near[4]).mul_(0.2)
    detail = images.sub_(mean)
    square = detail.square()
    detail.mul_(square.div_((square + flatten).clamp_(min=1e-12))).mul_(sharpen)
    developed[index] = mean.add_(detail).clamp_(0, 1)


def _store(levels: Tensor, hows: Sequence[Degradation]) -> Tensor:
    """Through JPEG files, where they are; in place."""
    passes = (
        [(how.jpeg_quality, how.jpeg_grid, how.jpeg_subsampling) for how in hows],
        [(how.jpeg_again, how.jpeg_again_grid, how.jpeg_subsampling) for how in hows],
    )
    for files in passes:
        for subsampling in (0, 2):
            which = [i for i, (quality, _, chroma) in enumerate(files) if quality and chroma == subsampling]
            if which:
                qualities, grids, _ = zip(*(files[i] for i in which), strict=True)
                index = torch.tensor(which, device=levels.device)
                levels[index] = compressed(levels[index], qualities, grids, subsampled=subsampling > 0)
    return levels


@cache
def _input_table(device: torch.device) -> Tensor:
    return to_linear(torch.linspace(0, 1, _INPUT_ENTRIES)).to(device)


@cache
def _srgb_table(device: torch.device) -> Tensor:
    """Over square roots of linear light."""
    return to_srgb(torch.linspace(0, 1, _ENTRIES) ** 2).to(device)


@cache
def _quadrature() -> tuple[list[float], list[float]]:
    """Nodes and weights of the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes.tolist(), (weights / weights.sum()).tolist()
