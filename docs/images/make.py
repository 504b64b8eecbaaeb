"""Make the pictures: a free photograph darkened as a camera would and the shipped model's result, for the
README, and samples of synthetic darkness and of nights made by formula, for docs/data.md.

The first photograph is `coffee` of scikit-image (Rachel Michetti, CC0). It is darkened in linear light by 4
stops, shot noise and read noise are added there, and it is stored as an 8-bit JPEG with EXIF, as a phone
would. The samples show it, `chelsea` (Stefan van der Walt, CC0), `rocket` (SpaceX, CC0) and `astronaut`
(NASA, public domain), all of scikit-image.
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


def darkened_samples(seed: int = 1, height: int = 148, width: int = 212) -> npt.NDArray[np.uint8]:
    """A row for each photograph: clean, then darkened by five draws."""
    import torch

    from relume.lab.data.synthesis import darken

    random = np.random.default_rng(seed)
    rows: list[npt.NDArray[np.uint8]] = []
    for photo in (data.coffee(), data.chelsea(), data.rocket(), data.astronaut()):
        # Half size, and of that the middle.
        small = np.asarray(photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2], np.float32)
        small = small.reshape(small.shape[0] // 2, 2, small.shape[1] // 2, 2, 3).mean((1, 3))
        top, left = max(0, (small.shape[0] - height) // 3), max(0, (small.shape[1] - width) // 2)
        clean_HWC = np.rint(small[top : top + height, left : left + width]).astype(np.uint8)
        clean_CHW = torch.from_numpy(clean_HWC).permute(2, 0, 1).float() / 255
        darks = darken(clean_CHW.expand(5, -1, -1, -1), random)
        images = [clean_HWC, *((darks * 255).round().byte().permute(0, 2, 3, 1).numpy())]
        rows.append(_row(images))
    return np.concatenate(rows)[:-6, :-6]


def night_samples(height: int = 148, width: int = 212) -> npt.NDArray[np.uint8]:
    """Three of each kind, six in a row."""
    from relume.lab.data.nights import NIGHTS

    images = [
        night(np.random.default_rng(seed), height, width) for night in NIGHTS.values() for seed in range(3)
    ]
    return np.concatenate([_row(images[start : start + 6]) for start in range(0, len(images), 6)])[:-6, :-6]


def _row(images: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    padded = [np.pad(x, ((0, 6), (0, 6), (0, 0)), constant_values=255) for x in images]
    return np.concatenate(padded, axis=1)


def main() -> None:
    """Write `night.jpg` (the input of `make enhance`) and the other pictures named above."""
    night = HERE / "night.jpg"
    write_photo(Photo(darken(data.coffee())), night, quality=92)
    before = relume.read_photo(night).rgb_HWC
    after = relume.enhance(night).rgb_HWC
    gap = np.full((before.shape[0], 12, 3), 255, np.uint8)
    write_photo(Photo(np.concatenate([before, gap, after], axis=1)), HERE / "before_after.jpg", quality=88)
    write_photo(Photo(darkened_samples()), HERE / "darkened.jpg", quality=85)
    write_photo(Photo(night_samples()), HERE / "nights.jpg", quality=85)


if __name__ == "__main__":
    main()
