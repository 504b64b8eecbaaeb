"""Dark clips made of bright ones: one draw for each, noise new in each picture, and light that changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from relume.lab.darkness import Degradation
from relume.lab.data.synthesis import degrade

Light: TypeAlias = Callable[[float], float]
"""Brightness of the light by time in seconds, as a factor on linear light."""

_FLICKER_STOPS = 0.35
_FLICKER_HERTZ = (3.3, 7.1)
_LAMP_SECONDS = 1.0
_LAMP_STOPS = 2.0


def steady(seconds: float) -> float:
    """Light that does not change."""
    return 1.0


def flickering(seconds: float) -> float:
    """A failing bulb, or mains light that beats with the shutter: two waves, up to 0.7 stops each way."""
    slow, fast = (math.sin(2 * math.pi * hertz * seconds) for hertz in _FLICKER_HERTZ)
    return 2 ** (_FLICKER_STOPS * (slow + fast))


def lamp(seconds: float) -> float:
    """A lamp that comes on after a second, two stops brighter."""
    return 2**_LAMP_STOPS if seconds >= _LAMP_SECONDS else 1.0


LIGHTS: Mapping[str, Light] = {"steady": steady, "flicker": flickering, "lamp": lamp}
"""Lights by name."""


def darken_pictures(
    pictures: Iterable[tuple[float, npt.NDArray[Any]]], how: Degradation, light: Light = steady
) -> Iterator[npt.NDArray[np.uint8]]:
    """Darken a clip picture by picture.

    Args:
        pictures: time in seconds and sRGB pixels of each, uint8, H x W x 3.
        how: the draw for the whole clip; its noise seed is that of the first picture.
        light: by which the exposure changes.

    Yields:
        uint8, H x W x 3.
    """
    for number, (seconds, rgb_HWC) in enumerate(pictures):
        clean_CHW = torch.from_numpy(rgb_HWC.copy()).permute(2, 0, 1)
        here = replace(how, exposure=how.exposure * light(seconds), noise_seed=how.noise_seed + number)
        dark_CHW = degrade(clean_CHW[None], [here]).dark[0]
        yield (dark_CHW.permute(1, 2, 0) * 255).round().byte().numpy()
