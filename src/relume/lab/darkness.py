"""How dark photos differ from well-lit ones: ranges to draw from, and one draw. No pixels here.

The order is that of a camera: light, exposure, sensor noise, white balance and colour matrix, tone curve,
8 bits, JPEG. `relume.lab.data.synthesis` applies a draw to an image.

Noise model: a pixel that collects n photoelectrons has the variance n + r^2 for read noise r (Poisson-
Gaussian, Foi et al., TIP 2008), here with Gaussian draws. In units of the dark photo's linear values that is
var(x) = shot x + read, the form and, for r about 1, the log-linear relation of Brooks et al., "Unprocessing
Images for Learned Raw Denoising", CVPR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass as plain_dataclass

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

Range = tuple[float, float]
Colour = tuple[float, float, float]

LUMA: Colour = (0.2126, 0.7152, 0.0722)
"""Luminance of linear sRGB (IEC 61966-2-1)."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Darkness:
    """Ranges (low, high) and probabilities; a range whose ends agree switches its effect off or fixes it.

    Attributes:
        exposure: factor on linear light, log-uniform. SICE's dark frames lie at 1/3 to 1/23 of their
            targets, those of LOL-v1 at 1/11 to 1/190 (5th to 95th percentile).
        electrons: photoelectrons that a white pixel leaves in the *dark* photo, log-uniform; fewer for a
            smaller sensor or a darker place, whatever the exposure. LOL-v1 measures 200 to 500.
        read_noise: standard deviation in electrons, log-uniform.
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
        gamma: exponent on sRGB values, log-uniform; above 1 darkens.
        contrast: how much of an S-curve is blended in, uniform; it deepens shadows.
        jpeg: probability of JPEG compression.
        jpeg_quality: uniform, with and without subsampled chroma. The lower end rises with darkness and
            meets the upper one at 1/64: what coarse steps take from pixels so dark nobody can bring back.
    """

    exposure: Range = (1 / 64, 1 / 2)
    electrons: Range = (150.0, 6_000.0)
    read_noise: Range = (1.0, 5.0)
    black_error: float = 3.0
    correlation: Range = (0.0, 0.3)
    red_gain: Range = (1.6, 2.8)
    blue_gain: Range = (1.3, 2.2)
    colour_matrix: Range = (1.0, 1.5)
    white_balance: float = 0.15
    mixed: float = 0.3
    mixed_colour: float = 0.3
    mixed_stops: Range = (0.0, 2.0)
    coloured: float = 0.08
    coloured_strength: Range = (0.2, 0.6)
    vignetting: float = 0.3
    vignette: Range = (0.2, 0.7)
    gamma: Range = (0.85, 1.2)
    contrast: Range = (0.0, 0.3)
    jpeg: float = 0.5
    jpeg_quality: Range = (70.0, 98.0)


DAYLIGHT = Darkness(
    exposure=(0.6, 1.0),
    electrons=(3_000.0, 50_000.0),
    black_error=0.0,
    white_balance=0.04,
    mixed=0.0,
    coloured=0.0,
    vignetting=0.1,
    vignette=(0.1, 0.3),
    gamma=(0.95, 1.05),
    contrast=(0.0, 0.1),
    jpeg_quality=(85.0, 98.0),
)
"""Photos that are nearly right: a little too dark, of a good camera or phone in enough light."""


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
        shot, read: var(x) = shot x + read, in raw linear units, before the gains.
        black: added to the linear channels before the gains.
        correlation: weight of the neighbours.
        gains: white balance, RGB.
        saturation: of the colour matrix.
        gamma, contrast: tone curve.
        jpeg_quality: 1 to 100; 0 for none.
        jpeg_subsampling: 0 for 4:4:4, 2 for 4:2:0, as Pillow counts.
        jpeg_grid: rows and columns by which the 8 x 8 blocks are shifted.
        noise_seed: of the noise.
    """

    exposure: float = 1.0
    lights: tuple[Colour, Colour] = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    side: float = 1.0
    angle: float = 0.0
    offset: float = 0.0
    width: float = 1.0
    vignette: float = 0.0
    shot: float = 0.0
    read: float = 0.0
    black: Colour = (0.0, 0.0, 0.0)
    correlation: float = 0.0
    gains: Colour = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    gamma: float = 1.0
    contrast: float = 0.0
    jpeg_quality: int = 0
    jpeg_subsampling: int = 0
    jpeg_grid: tuple[int, int] = (0, 0)
    noise_seed: int = 0

    def summary(self) -> str:
        """The draw in a line, for people."""
        parts = {
            f"1/{1 / self.exposure:.1f}": True,
            f"{self.exposure / (self.shot or 1):.0f} e-": self.shot > 0,
            "two lights": self.lights[0] != self.lights[1],
            "corners": self.vignette > 0,
            f"gamma {self.gamma:.2f}": True,
            f"JPEG {self.jpeg_quality}": self.jpeg_quality > 0,
        }
        return ", ".join(part for part, is_there in parts.items() if is_there)


def draw(darkness: Darkness, random: np.random.Generator) -> Degradation:
    """Draw one degradation. How much is drawn from `random` does not depend on the ranges."""
    exposure = _log_uniform(darkness.exposure, random)
    electron = exposure / _log_uniform(darkness.electrons, random)
    read_noise = _log_uniform(darkness.read_noise, random)
    black = random.uniform(-1, 1, 3) * darkness.black_error * electron
    chances = (darkness.mixed, darkness.coloured, darkness.vignetting, darkness.jpeg)
    is_mixed, is_coloured, has_vignette, has_jpeg = random.random(4) < chances
    lights, side = _lights(darkness, bool(is_mixed), bool(is_coloured), random)
    vignette = random.uniform(*darkness.vignette)
    worst, best = darkness.jpeg_quality
    worst += (best - worst) * min(1.0, -math.log2(exposure) / 6)
    quality = round(random.uniform(worst, best))
    return Degradation(
        exposure=exposure,
        lights=lights,
        side=side,
        angle=random.uniform(-math.pi, math.pi),
        offset=random.uniform(-0.5, 0.5),
        width=random.uniform(0.05, 0.5),
        vignette=vignette if has_vignette else 0.0,
        shot=electron,
        read=(read_noise * electron) ** 2,
        black=_triple(black),
        correlation=random.uniform(*darkness.correlation),
        gains=(random.uniform(*darkness.red_gain), 1.0, random.uniform(*darkness.blue_gain)),
        saturation=random.uniform(*darkness.colour_matrix),
        gamma=_log_uniform(darkness.gamma, random),
        contrast=random.uniform(*darkness.contrast),
        jpeg_quality=quality if has_jpeg else 0,
        jpeg_subsampling=2 * int(random.integers(2)),
        jpeg_grid=(int(random.integers(8)), int(random.integers(8))),
        noise_seed=int(random.integers(2**63)),
    )


def _lights(
    darkness: Darkness, is_mixed: bool, is_coloured: bool, random: np.random.Generator
) -> tuple[tuple[Colour, Colour], float]:
    """Logarithms of RGB add up to the colour of each light; also the brightness of the first side."""
    first = _off_white(darkness.white_balance, random)
    other = _off_white(darkness.mixed_colour, random)
    stops = random.uniform(*darkness.mixed_stops)
    hue = random.uniform(0, 2 * math.pi) + np.array([0, -2, 2]) * math.pi / 3
    cast = random.uniform(*darkness.coloured_strength) * np.cos(hue) * is_coloured
    if is_mixed:
        return (_of_log(first), _of_log(first + other + cast)), 2.0**-stops
    return (_of_log(first + cast), _of_log(first + cast)), 1.0


def _off_white(largest: float, random: np.random.Generator) -> np.ndarray:
    """Logarithm of RGB of a light between amber and blue, and a little between green and magenta."""
    amber, green = random.uniform(-largest, largest), random.uniform(-largest, largest) / 3
    return np.array([amber - green / 2, green, -amber - green / 2])


def _of_log(colour: np.ndarray) -> Colour:
    rgb = np.exp(colour)
    return _triple(rgb / (rgb @ np.array(LUMA)))


def _log_uniform(ends: Range, random: np.random.Generator) -> float:
    return math.exp(random.uniform(math.log(ends[0]), math.log(ends[1])))


def _triple(values: np.ndarray) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue
