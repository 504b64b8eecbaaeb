"""Trials of robustness: one thing at a time gets worse, from mild to hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from relume.arrays import EightBits
from relume.colour import LUMINANCE_REC709
from relume.evaluate.stress import Make, Trial
from relume.lab.darkness import Colour, Degradation
from relume.lab.data.cameras import CAMERAS, darkened

USUAL = 1 / 16
"""Share of the light in every trial that is not about darkness."""

_CAMERA = "phone"
_LIGHTS: Mapping[str, Colour] = {
    "tungsten": (1.7, 0.9, 0.35),
    "blue": (0.55, 1.0, 1.9),
    "green": (0.6, 1.2, 0.6),
    "red": (2.4, 0.6, 0.35),
}
"""Colours of light that white balance has not taken away, before they are scaled to one luminance."""

_MEGAPIXELS = 1_000_000


def trials() -> list[Trial]:
    """Every trial, axis by axis, from mild to severe.

    Each takes a picture's name and the clean picture, and returns the dark one and its target.
    """
    usual = _at(USUAL)
    lights = {f"1/{2**stop}": _at(2.0**-stop) for stop in range(1, 9)}
    files = {f"{q}": replace(usual, jpeg_quality=q, jpeg_subsampling=2) for q in (95, 85, 70, 50, 30)}
    colours = {name: replace(usual, lights=(_scaled(one),) * 2) for name, one in _LIGHTS.items()}
    channels = enumerate(("red", "green", "blue"))
    steps: dict[str, dict[str, Make]] = {
        "light": {level: partial(_degraded, how=how) for level, how in lights.items()},
        "camera": {name: partial(_degraded, how=_at(USUAL, name)) for name in CAMERAS},
        "bits": {f"{bits}": partial(_coarse, how=usual, bits=bits) for bits in (7, 6, 5, 4)},
        "jpeg": {level: partial(_degraded, how=how) for level, how in files.items()},
        "blur": {f"{sigma:g} px": partial(_blurred, how=usual, sigma=sigma) for sigma in (0.7, 1.5, 3.0)},
        "colour": {level: partial(_degraded, how=how) for level, how in colours.items()},
        "size": {
            **{f"{side}x{side}": partial(_square, how=usual, side=side) for side in (16, 64, 256)},
            **{f"{size} MP": partial(_large, how=usual, megapixels=size) for size in (1, 12)},
        },
        "dead channel": {name: partial(_dead, how=usual, channel=channel) for channel, name in channels},
    }
    return [
        Trial(axis, level, make, alone=level.endswith(" MP"))
        for axis, levels in steps.items()
        for level, make in levels.items()
    ]


def _at(exposure: float, camera: str = _CAMERA) -> Degradation:
    return CAMERAS[camera].in_the_dark(exposure)


def _degraded(name: str, clean_HWC: EightBits, how: Degradation) -> tuple[EightBits, EightBits]:
    return darkened(name, clean_HWC, how), clean_HWC


def _coarse(name: str, clean_HWC: EightBits, how: Degradation, bits: int) -> tuple[EightBits, EightBits]:
    """With fewer levels over the whole range."""
    steps = 2**bits - 1
    levels = np.rint(np.rint(np.arange(256) / 255 * steps) / steps * 255).astype(np.uint8)
    return levels[darkened(name, clean_HWC, how)], clean_HWC


def _blurred(name: str, clean_HWC: EightBits, how: Degradation, sigma: float) -> tuple[EightBits, EightBits]:
    """Out of focus before the sensor; the target is sharp."""
    soft = np.asarray(Image.fromarray(clean_HWC).filter(ImageFilter.GaussianBlur(sigma)))
    return darkened(name, soft, how), clean_HWC


def _square(name: str, clean_HWC: EightBits, how: Degradation, side: int) -> tuple[EightBits, EightBits]:
    return _degraded(name, _resized(clean_HWC, side, side), how)


def _large(
    name: str, clean_HWC: EightBits, how: Degradation, megapixels: float
) -> tuple[EightBits, EightBits]:
    height, width = clean_HWC.shape[:2]
    factor = (megapixels * _MEGAPIXELS / (height * width)) ** 0.5
    return _degraded(name, _resized(clean_HWC, round(width * factor), round(height * factor)), how)


def _resized(clean_HWC: EightBits, width: int, height: int) -> EightBits:
    return np.asarray(Image.fromarray(clean_HWC).resize((width, height), Image.Resampling.LANCZOS))


def _dead(name: str, clean_HWC: EightBits, how: Degradation, channel: int) -> tuple[EightBits, EightBits]:
    dark_HWC = darkened(name, clean_HWC, how)
    dark_HWC[..., channel] = 0
    return dark_HWC, clean_HWC


def _scaled(colour: Colour) -> Colour:
    """The same hue with luminance 1."""
    luminance = sum(part * weight for part, weight in zip(colour, LUMINANCE_REC709, strict=True))
    red, green, blue = (part / luminance for part in colour)
    return red, green, blue
