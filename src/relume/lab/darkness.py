"""How dark photos differ from well-lit ones: ranges to draw from, and one draw. No pixels here.

The order is that of a camera: light, exposure, sensor noise, white balance and colour matrix, tone curve, a
phone's own denoising and sharpening, 8 bits, JPEG. `relume.lab.data.synthesis` applies draws to images.

Noise model: a pixel that collects n photoelectrons has the variance n + r^2 for read noise r (Poisson-
Gaussian, Foi et al., TIP 2008), here with Gaussian draws. In units of the dark photo's linear values that is
var(x) = shot x + read, the form and, for r about 1, the log-linear relation of Brooks et al., "Unprocessing
Images for Learned Raw Denoising", CVPR 2019. Rows share an offset of their own, as read-out leaves it (Wei et
al., "A Physics-Based Noise Formation Model for Extreme Low-Light Raw Denoising", CVPR 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from relume.colour import LUMINANCE_REC709

Ends = tuple[float, float]


def _rising(ends: Ends) -> Ends:
    if not -math.inf < ends[0] <= ends[1] < math.inf:
        raise ValueError(f"a range goes from a lower to a higher number, not from {ends[0]} to {ends[1]}")
    return ends


def _positive(ends: Ends) -> Ends:
    if ends[0] <= 0:
        raise ValueError(f"what is drawn log-uniformly starts above 0, not at {ends[0]}")
    return ends


Range = Annotated[Ends, AfterValidator(_rising)]
Factors = Annotated[Ends, AfterValidator(_rising), AfterValidator(_positive)]
"""A range that is drawn from log-uniformly."""

Probability = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Colour = tuple[float, float, float]
Grid = tuple[tuple[float, ...], ...]

FIELD_NODES = 6
"""Control points of a light field on each side."""

MOST_LAMPS = 3


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Darkness:
    """Ranges (low, high) and probabilities; a range whose ends agree switches its effect off or fixes it.

    Attributes:
        exposure: factor on linear light, log-uniform. SICE's dark frames lie at 1/3 to 1/23 of their
            targets, those of LOL-v1 at 1/11 to 1/190 (5th to 95th percentile).
        electrons: photoelectrons that a white pixel leaves in the *dark* photo, in shadow where it is back-
            lit, log-uniform; fewer for a smaller sensor or a darker place, whatever the exposure. LOL-v1
            measures 200 to 500.
        read_noise: standard deviation in electrons, log-uniform.
        row_noise: the same of an offset that a row shares, as a share of the read noise, uniform.
        chroma_noise: blotches of colour, as a share of a pixel's own noise, uniform: what demosaicing and
            denoising leave at low frequencies.
        chroma_size: size of the blotches in pixels, uniform.
        black_error: error of the black level in electrons, either sign, uniform and apart for each channel:
            what tints shadows.
        correlation: weight of a pixel's neighbours in its noise, uniform: what demosaicing leaves. 0 is white
            noise, and that of LOL-v1 nearly is.
        red_gain, blue_gain: the camera's white-balance gains, uniform. They multiply noise, so that red and
            blue are noisier than green (Brooks et al.: 1.9 to 2.4 and 1.5 to 1.9, daylight). In LOL-v1 red
            has three times the variance of green, blue less than twice.
        colour_matrix: saturation that the camera's colour matrix adds, uniform: it spreads each channel's
            noise over the others, with the opposite sign.
        white_balance: largest error of white balance, as the natural logarithm of a factor on red and its
            inverse on blue, uniform; green against magenta errs by a third of it.
        mixed: probability of a second light on one side of the picture.
        mixed_colour: as `white_balance`, between the two lights.
        mixed_stops: how much darker the side without that light is, uniform.
        coloured: probability that a light (the second one, if there is one) has a hue of its own.
        coloured_strength: natural logarithm of the largest factor on a channel, uniform.
        vignetting: probability of dark corners.
        vignette: part of the light lost in a corner, uniform.
        uneven: probability that the brightness of the light varies smoothly over the picture.
        uneven_stops: from its brightest to its darkest place, uniform.
        back_lit: probability that light parts of the picture keep their light and dark parts lose it.
        back_lit_exposure: factor on the light parts, log-uniform; in place of `exposure`.
        back_lit_stops: how much more the darkest parts lose, uniform.
        lamps: probability that lamps are in the picture, 1 to 3. They and their glow are added to dark photo
            and target alike.
        lamp_peak: light in the middle of a lamp, log-uniform; 1 is white. Lit windows have less.
        lamp_size: radius in half picture heights, log-uniform.
        lamp_glow: light of the glow as a share of the peak, log-uniform.
        lamp_pool: light that a lamp throws on what is around it, as a share of full light, log-uniform.
        gamma: exponent on sRGB values, log-uniform; above 1 darkens.
        contrast: how much of an S-curve is blended in, uniform; it deepens shadows.
        phone: probability of a phone's own denoising and sharpening.
        phone_flatten: differences to the surroundings below which they are flattened, as a share of white in
            sRGB values, log-uniform.
        phone_sharpen: how much larger what is left of them gets, uniform.
        jpeg: probability of JPEG compression.
        jpeg_quality: uniform, with and without subsampled chroma. The lower end rises with darkness and is
            three quarters of the way to the upper one at 1/64: what coarse steps take from pixels so dark
            nobody can bring back.
        jpeg_again: probability that a JPEG file is decoded and compressed once more.
        lost: level of the dark photo, of 255, at which the target keeps half of its sRGB value, uniform;
            below, it goes to black, above, it soon is complete. What 8 bits have lost cannot be asked for.
    """

    exposure: Factors = (1 / 64, 1 / 2)
    electrons: Factors = (150.0, 6_000.0)
    read_noise: Factors = (1.0, 5.0)
    row_noise: Range = (0.0, 0.4)
    chroma_noise: Range = (0.0, 0.35)
    chroma_size: Range = (4.0, 16.0)
    black_error: Size = 3.0
    correlation: Range = (0.0, 0.3)
    red_gain: Range = (1.6, 2.8)
    blue_gain: Range = (1.3, 2.2)
    colour_matrix: Range = (1.0, 1.5)
    white_balance: Size = 0.15
    mixed: Probability = 0.3
    mixed_colour: Size = 0.3
    mixed_stops: Range = (0.0, 2.0)
    coloured: Probability = 0.1
    coloured_strength: Range = (0.2, 0.8)
    vignetting: Probability = 0.3
    vignette: Range = (0.2, 0.7)
    uneven: Probability = 0.35
    uneven_stops: Range = (1.0, 4.0)
    back_lit: Probability = 0.15
    back_lit_exposure: Factors = (0.35, 0.9)
    back_lit_stops: Range = (2.0, 5.5)
    lamps: Probability = 0.2
    lamp_peak: Factors = (1.0, 30.0)
    lamp_size: Factors = (0.015, 0.1)
    lamp_glow: Factors = (0.002, 0.06)
    lamp_pool: Factors = (0.01, 0.4)
    gamma: Factors = (0.85, 1.2)
    contrast: Range = (0.0, 0.3)
    phone: Probability = 0.3
    phone_flatten: Factors = (0.004, 0.03)
    phone_sharpen: Range = (0.0, 1.2)
    jpeg: Probability = 0.5
    jpeg_quality: Range = (60.0, 98.0)
    jpeg_again: Probability = 0.3
    lost: Range = (0.0, 0.5)


DAYLIGHT = Darkness(
    exposure=(0.6, 1.0),
    electrons=(3_000.0, 50_000.0),
    row_noise=(0.0, 0.0),
    chroma_noise=(0.0, 0.2),
    black_error=0.0,
    white_balance=0.04,
    mixed=0.0,
    coloured=0.0,
    vignetting=0.1,
    vignette=(0.1, 0.3),
    uneven=0.0,
    back_lit=0.0,
    lamps=0.0,
    gamma=(0.95, 1.05),
    contrast=(0.0, 0.1),
    jpeg_quality=(85.0, 98.0),
    lost=(0.0, 0.0),
)
"""Photos that are nearly right: a little too dark, of a good camera or phone in enough light."""

NIGHT = replace(
    DAYLIGHT,
    exposure=(0.8, 1.0),
    electrons=(2_000.0, 80_000.0),
    row_noise=(0.0, 0.2),
    chroma_noise=(0.0, 0.3),
    black_error=2.0,
    white_balance=0.02,
    gamma=(0.97, 1.05),
    contrast=(0.0, 0.05),
    jpeg_quality=(60.0, 98.0),
)
"""Night scenes that are right as they are: noise and JPEG on them, at most a third of a stop missing."""

SPOT = Darkness(
    exposure=(0.12, 0.5),
    electrons=(400.0, 20_000.0),
    mixed=0.1,
    coloured=0.0,
    uneven=1.0,
    uneven_stops=(3.0, 6.5),
    back_lit=0.0,
    lamps=0.1,
    gamma=(0.95, 1.05),
    contrast=(0.0, 0.1),
)
"""A part of the picture is in full light already, or nearly, and all around it is dark: a face under a lamp,
a stage, one half in the shadow of a wall."""

WINDOW = replace(
    SPOT,
    uneven=0.3,
    uneven_stops=(1.0, 3.0),
    back_lit=1.0,
    back_lit_exposure=(0.5, 1.0),
    back_lit_stops=(2.5, 6.0),
)
"""What is bright in the picture is in full light already, all else is dark: screens, what windows show."""

SMOOTH = Darkness(
    electrons=(300.0, 1_000_000.0),
    mixed=0.0,
    vignetting=0.1,
    uneven=0.0,
    back_lit=0.0,
    lamps=0.1,
    lost=(1.5, 4.0),
)
"""Gradients and walls: often so little noise that 8 bits leave bands. Their own slopes are to stay, so light
seldom adds another; and where the dark frame is next to black, so is the target."""


@plain_dataclass(frozen=True)
class Lamp:
    """A light in the picture: bulb, tube or lit window. Lengths are in half picture heights.

    With d the distance from a rectangle of half sides `length` and `height`, turned by `angle`, its light is
    peak / (1 + (d / size)^2)^3 for the lamp and peak * glow / (1 + (d / reach)^2) for the glow around it,
    which falls with the square of the distance, as scattered light does; it also lights what is around it,
    by pool / (1 + (d / throw)^2).

    Attributes:
        y, x: place of the middle, where the photo goes from -1 to 1.
        colour: linear RGB of luminance 1.
    """

    y: float = 0.0
    x: float = 0.0
    length: float = 0.0
    height: float = 0.0
    angle: float = 0.0
    size: float = 0.05
    peak: float = 1.0
    glow: float = 0.0
    reach: float = 0.1
    pool: float = 0.0
    throw: float = 0.5
    colour: Colour = (1.0, 1.0, 1.0)


@plain_dataclass(frozen=True)
class Degradation:
    """One draw; the defaults change nothing.

    Attributes:
        exposure: factor on linear light.
        lights: colour of the light on the one and on the other side, linear RGB of luminance about 1.
        side: brightness of the first side, relative to the other.
        angle, offset, width: where the sides meet: direction in radians, distance from the centre and width
            of the transition, in half picture sides.
        vignette: part of the light lost in a corner.
        field: stops of light at `FIELD_NODES` x `FIELD_NODES` control points of a cubic B-spline over the
            picture; () for none.
        back_stops: what the darkest parts lose more than the lightest.
        back_knee: between these sRGB values of the clean picture the loss goes from all to none.
        back_region: how much of that value is the surroundings' and not the pixel's own.
        lamps: at most `MOST_LAMPS`.
        shot, read: var(x) = shot x + read, in raw linear units, before the gains.
        row: standard deviation of a row's offset, in the same units.
        chroma, chroma_size: blotches of colour: deviation relative to that of a pixel, and pixels.
        black: added to the linear channels before the gains.
        correlation: weight of the neighbours.
        gains: white balance, RGB.
        saturation: of the colour matrix.
        gamma, contrast: tone curve.
        flatten: differences d to the mean of the surroundings become d^3 / (d^2 + flatten^2), in sRGB values.
        sharpen: and are then multiplied by 1 + sharpen.
        jpeg_quality: 1 to 100; 0 for none.
        jpeg_subsampling: 0 for 4:4:4, 2 for 4:2:0, as Pillow counts.
        jpeg_grid: rows and columns, 0 to 15, by which the blocks are shifted.
        jpeg_again, jpeg_again_grid: quality and shift of a second compression; 0 for none.
        lost: level of 255 of the dark photo without noise at which the target keeps half of its value.
        noise_seed: of the noise.
    """

    exposure: float = 1.0
    lights: tuple[Colour, Colour] = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    side: float = 1.0
    angle: float = 0.0
    offset: float = 0.0
    width: float = 1.0
    vignette: float = 0.0
    field: Grid = ()
    back_stops: float = 0.0
    back_knee: Range = (0.2, 0.7)
    back_region: float = 0.0
    lamps: tuple[Lamp, ...] = ()
    shot: float = 0.0
    read: float = 0.0
    row: float = 0.0
    chroma: float = 0.0
    chroma_size: float = 8.0
    black: Colour = (0.0, 0.0, 0.0)
    correlation: float = 0.0
    gains: Colour = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    gamma: float = 1.0
    contrast: float = 0.0
    flatten: float = 0.0
    sharpen: float = 0.0
    jpeg_quality: int = 0
    jpeg_subsampling: int = 0
    jpeg_grid: tuple[int, int] = (0, 0)
    jpeg_again: int = 0
    jpeg_again_grid: tuple[int, int] = (0, 0)
    lost: float = 0.0
    noise_seed: int = 0

    def summary(self) -> str:
        """The draw in a line, for people."""
        darkest = self.exposure * 2**-self.back_stops
        parts = {
            f"1/{1 / self.exposure:.1f}": True,
            f"{darkest / (self.shot or 1):.0f} e-": self.shot > 0,
            f"back light {self.back_stops:.1f}": self.back_stops > 0,
            "two lights": self.lights[0] != self.lights[1],
            "uneven": bool(self.field),
            f"lamps: {len(self.lamps)}": bool(self.lamps),
            "corners": self.vignette > 0,
            f"gamma {self.gamma:.2f}": True,
            "phone": self.flatten > 0 or self.sharpen > 0,
            f"JPEG {self.jpeg_quality}": self.jpeg_quality > 0,
            f"JPEG {self.jpeg_again} again": self.jpeg_again > 0,
        }
        return ", ".join(part for part, is_there in parts.items() if is_there)


class _Dice:
    """Uniform numbers out of one array: drawn one by one they would take longer than all the rest."""

    def __init__(self, random: np.random.Generator) -> None:
        self.next = iter(random.random(_NUMBERS).tolist()).__next__

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.next()

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def below(self, count: int) -> int:
        return int(count * self.next())

    def happens(self, chance: float) -> bool:
        return self.next() < chance


_NUMBERS = 128


def draw(darkness: Darkness, random: np.random.Generator) -> Degradation:
    """Draw one degradation. How much is drawn from `random` does not depend on the ranges."""
    dice = _Dice(random)
    chances = (darkness.mixed, darkness.coloured, darkness.uneven, darkness.back_lit, darkness.lamps)
    is_mixed, is_coloured, is_uneven, is_back_lit, has_lamps = map(dice.happens, chances)
    has_vignette, is_phone = map(dice.happens, (darkness.vignetting, darkness.phone))
    exposure = dice.log_uniform(*darkness.exposure)
    lights_exposure = dice.log_uniform(*darkness.back_lit_exposure)
    back_stops = dice.uniform(*darkness.back_lit_stops) * is_back_lit
    if is_back_lit:
        exposure = lights_exposure
    darkest = exposure * 2.0**-back_stops
    electron = darkest / dice.log_uniform(*darkness.electrons)
    read_noise = dice.log_uniform(*darkness.read_noise) * electron
    error = darkness.black_error * electron
    lights, side = _lights(darkness, is_mixed, is_coloured, dice)
    low = dice.uniform(0.15, 0.45)
    flatten = dice.log_uniform(*darkness.phone_flatten)
    sharpen = dice.uniform(*darkness.phone_sharpen)
    vignette = dice.uniform(*darkness.vignette)
    lamps = tuple(_lamp(darkness, exposure, dice) for _ in range(MOST_LAMPS))[: 1 + dice.below(MOST_LAMPS)]
    field = _field(darkness, exposure, random, dice)
    return Degradation(
        exposure=exposure,
        lights=lights,
        side=side,
        angle=dice.uniform(-math.pi, math.pi),
        offset=dice.uniform(-0.5, 0.5),
        width=dice.uniform(0.05, 0.5),
        vignette=vignette * has_vignette,
        field=field if is_uneven else (),
        back_stops=back_stops,
        back_knee=(low, low + dice.uniform(0.2, 0.5)),
        back_region=dice.uniform(0, 0.9),
        lamps=lamps if has_lamps else (),
        shot=electron,
        read=read_noise**2,
        row=dice.uniform(*darkness.row_noise) * read_noise,
        chroma=dice.uniform(*darkness.chroma_noise),
        chroma_size=dice.uniform(*darkness.chroma_size),
        black=(dice.uniform(-error, error), dice.uniform(-error, error), dice.uniform(-error, error)),
        correlation=dice.uniform(*darkness.correlation),
        gains=(dice.uniform(*darkness.red_gain), 1.0, dice.uniform(*darkness.blue_gain)),
        saturation=dice.uniform(*darkness.colour_matrix),
        gamma=dice.log_uniform(*darkness.gamma),
        contrast=dice.uniform(*darkness.contrast),
        flatten=flatten * is_phone,
        sharpen=sharpen * is_phone,
        lost=dice.uniform(*darkness.lost),
        **_files(darkness, darkest, dice),
        noise_seed=int(random.integers(2**63)),
    )


def _lights(
    darkness: Darkness, is_mixed: bool, is_coloured: bool, dice: _Dice
) -> tuple[tuple[Colour, Colour], float]:
    """Logarithms of RGB add up to the colour of each light; also the brightness of the first side."""
    first = _off_white(darkness.white_balance, dice)
    other = _off_white(darkness.mixed_colour, dice)
    stops = dice.uniform(*darkness.mixed_stops)
    cast = _hue(dice.uniform(*darkness.coloured_strength) * is_coloured, dice)
    if is_mixed:
        return (_of_log(first), _of_log(first, other, cast)), 2.0**-stops
    return (_of_log(first, cast), _of_log(first, cast)), 1.0


def _field(darkness: Darkness, exposure: float, random: np.random.Generator, dice: _Dice) -> Grid:
    """Stops at the control points: a coarse pattern and half as much of a finer one.

    Nowhere is there more than full light: a B-spline stays below its largest control point.
    """
    coarse = random.normal(0, 1, (FIELD_NODES // 2, FIELD_NODES // 2)).repeat(2, 0).repeat(2, 1)
    nodes = coarse + 0.5 * random.normal(0, 1, (FIELD_NODES, FIELD_NODES))
    nodes = (nodes - nodes.mean()) / np.ptp(nodes) * dice.uniform(*darkness.uneven_stops)
    nodes -= max(0.0, nodes.max() + math.log2(exposure))
    return tuple(tuple(row) for row in nodes.tolist())


def _lamp(darkness: Darkness, exposure: float, dice: _Dice) -> Lamp:
    """More often in the upper part of the picture."""
    size = dice.log_uniform(*darkness.lamp_size)
    bulb, tube, window = (0.0, 0.0), (4 * size, 0.0), (1.2 * size, 1.8 * size)
    length, height = (bulb, bulb, bulb, tube, window)[dice.below(5)]
    peak = dice.log_uniform(*darkness.lamp_peak)
    hue = _hue(dice.uniform(0.6, 1.6) * dice.happens(0.25), dice)
    return Lamp(
        y=-1.05 + 2.1 * dice.next() ** 1.4,
        x=dice.uniform(-1.05, 1.05),
        length=length,
        height=height,
        angle=dice.uniform(-0.2, 0.2) + dice.below(2) * math.pi / 2,
        size=size * (0.3 if height else 1.0),
        peak=0.5 * peak**0.4 if height else peak,
        glow=dice.log_uniform(*darkness.lamp_glow),
        reach=size * dice.uniform(1.5, 5.0),
        pool=dice.log_uniform(*darkness.lamp_pool) * max(0.0, 1 - exposure),
        throw=dice.uniform(0.1, 0.5),
        colour=_of_log(_off_white(0.6, dice), hue),
    )


def _files(darkness: Darkness, darkest: float, dice: _Dice) -> dict[str, Any]:
    """How the photo is compressed, once, twice or not."""
    has_jpeg, has_second, is_cut = map(dice.happens, (darkness.jpeg, darkness.jpeg_again, 0.5))
    worst, best = darkness.jpeg_quality
    worst += 0.75 * (best - worst) * min(1.0, max(0.0, -math.log2(darkest) / 6))
    first, second = (round(dice.uniform(worst, best)) for _ in range(2))
    grid, other = ((dice.below(16), dice.below(16)) for _ in range(2))
    return {
        "jpeg_quality": first if has_jpeg else 0,
        "jpeg_subsampling": 2 * dice.below(2),
        "jpeg_grid": grid,
        "jpeg_again": second if has_jpeg and has_second else 0,
        "jpeg_again_grid": other if is_cut else grid,
    }


def _off_white(largest: float, dice: _Dice) -> Colour:
    """Logarithm of RGB of a light between amber and blue, and a little between green and magenta."""
    amber, green = dice.uniform(-largest, largest), dice.uniform(-largest, largest) / 3
    return amber - green / 2, green, -amber - green / 2


def _hue(strength: float, dice: _Dice) -> Colour:
    """Logarithm of RGB of any hue."""
    angle, third = dice.uniform(0, 2 * math.pi), 2 * math.pi / 3
    return strength * math.cos(angle), strength * math.cos(angle - third), strength * math.cos(angle + third)


def _of_log(*parts: Colour) -> Colour:
    """The colour with the sum of these logarithms, of luminance 1."""
    red, green, blue = (math.exp(sum(channel)) for channel in zip(*parts, strict=True))
    luma = LUMINANCE_REC709[0] * red + LUMINANCE_REC709[1] * green + LUMINANCE_REC709[2] * blue
    return red / luma, green / luma, blue / luma
