"""Make the README's pictures: a free photograph darkened as a camera would, and the shipped model's result.

The photograph is `coffee` of scikit-image (Rachel Michetti, CC0). It is darkened in linear light by 4 stops,
shot noise and read noise are added there, and it is stored as an 8-bit JPEG with EXIF, as a phone would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage import data

import relume
from relume.photo import Photo, write_photo

HERE = Path(__file__).parent
STOPS = 4.0
FULL_WELL = 3000.0
READ_NOISE = 3.0


def darken(rgb_HWC: npt.NDArray[np.uint8], seed: int = 0) -> npt.NDArray[np.uint8]:
    """Underexpose by `STOPS`: Poisson noise of the photons, Gaussian noise of the read-out, then 8 bits."""
    random = np.random.default_rng(seed)
    srgb = rgb_HWC / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    electrons = random.poisson(linear * FULL_WELL / 2**STOPS) + random.normal(0, READ_NOISE, linear.shape)
    dark = np.clip(electrons / FULL_WELL, 0, 1)
    encoded = np.where(dark <= 0.0031308, dark * 12.92, 1.055 * dark ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def main() -> None:
    """Write `night.jpg` (the input of `make enhance`) and `before_after.jpg`."""
    night = HERE / "night.jpg"
    write_photo(Photo(darken(data.coffee())), night, quality=92)
    before = relume.read_photo(night).rgb_HWC
    after = relume.enhance(night).rgb_HWC
    gap = np.full((before.shape[0], 12, 3), 255, np.uint8)
    write_photo(Photo(np.concatenate([before, gap, after], axis=1)), HERE / "before_after.jpg", quality=88)


if __name__ == "__main__":
    main()
