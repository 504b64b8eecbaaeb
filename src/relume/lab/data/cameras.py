"""Cameras in the dark: fixed degradations for measurements, where training draws them at random.

A camera that gets a share of the light that a picture needs collects that share of the electrons. So noise
grows with darkness, and a picture at 1/256 of a phone's light has some twenty electrons in its whites.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from relume.arrays import EightBits
from relume.errors import UsageError
from relume.lab.darkness import Degradation
from relume.lab.data.synthesis import degrade


@dataclass(frozen=True)
class Camera:
    """What a camera does to light; the numbers are of the usual size for its kind, not of one product.

    Attributes:
        full_well: photoelectrons of a white pixel at the exposure that the picture needs.
        read_noise: standard deviation in electrons.
        red_gain, blue_gain: of white balance.
        saturation: that its colour matrix adds.
        correlation: weight of a pixel's neighbours in its noise.
    """

    full_well: float
    read_noise: float
    red_gain: float = 2.0
    blue_gain: float = 1.6
    saturation: float = 1.2
    correlation: float = 0.1

    def in_the_dark(self, exposure: float, seed: int = 0) -> Degradation:
        """The degradation at a share of the light, in (0, 1], with noise and 8 bits and nothing else."""
        return Degradation(
            exposure=exposure,
            shot=1 / self.full_well,
            read=(self.read_noise / self.full_well) ** 2,
            correlation=self.correlation,
            gains=(self.red_gain, 1.0, self.blue_gain),
            saturation=self.saturation,
            noise_seed=seed,
        )


CAMERAS: Mapping[str, Camera] = {
    "full-frame": Camera(50_000, 2.5, saturation=1.1),
    "aps-c": Camera(25_000, 3.0),
    "compact": Camera(12_000, 3.0),
    "phone": Camera(6_000, 2.0, correlation=0.2, saturation=1.4),
    "webcam": Camera(4_000, 6.0, correlation=0.25, saturation=1.4),
}
"""Five cameras by name, the least noisy one first."""


def get_camera(name: str) -> Camera:
    """A camera by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in CAMERAS:
        raise UsageError(f"no camera is called '{name}'", f"Choose from: {', '.join(CAMERAS)}.")
    return CAMERAS[name]


def darkened(name: str, clean_HWC: EightBits, how: Degradation) -> EightBits:
    """A clean picture as a degradation leaves it; the noise follows from the picture's name."""
    seed = zlib.crc32(f"{name} {how.exposure}".encode())
    clean_BCHW = torch.from_numpy(np.ascontiguousarray(clean_HWC.transpose(2, 0, 1))[None])
    dark_BCHW = degrade(clean_BCHW, [replace(how, noise_seed=seed)])[0]
    return (dark_BCHW[0] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
