"""Make the pictures: free photographs darkened as cameras do and the shipped model's results, for the README,
and samples of synthetic darkness and of nights made by formula, for docs/data.md.

    RELUME_DATA=DATA python docs/images/make.py

The README's photographs are `the-spices-of-life` and `oakland-zoo-otters` of budgie-backgrounds (CC0), which
the models have never seen (`clean.csv` holds them out). They are darkened by `relume.lab.data.synthesis`: one
by little and uneven light, the other against the light. The samples show `coffee` (Rachel Michetti, CC0),
`chelsea` (Stefan van der Walt, CC0), `rocket` (SpaceX, CC0) and `astronaut` (NASA, public domain), all of
scikit-image.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data

import relume
from relume.lab.darkness import Darkness, draw
from relume.lab.data.paired import read_8_bits
from relume.photo import Photo, write_photo

HERE = Path(__file__).parent
WIDTH = 900
_PLAIN = replace(Darkness(), back_lit=0.0, lamps=0.0, uneven=0.0, mixed=0.0, coloured=0.0)
DARK = {
    "the-spices-of-life": (replace(_PLAIN, uneven=1.0, exposure=(1 / 24, 1 / 12)), 0),
    "oakland-zoo-otters": (replace(_PLAIN, back_lit=1.0), 2),
}
"""How each photograph is darkened, and the seed of the draw."""


def dark_photo(name: str) -> npt.NDArray[np.uint8]:
    """A photograph of the README, darkened."""
    import torch

    from relume.lab.data.synthesis import degrade

    (file,) = Path(os.environ["RELUME_DATA"]).glob(f"clean/open/budgie_{name}.*")
    clean = Image.fromarray(read_8_bits(file))
    clean.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    clean_1CHW = torch.from_numpy(np.array(clean)).permute(2, 0, 1)[None]
    darkness, seed = DARK[name]
    dark = degrade(clean_1CHW, [draw(darkness, np.random.default_rng((7, seed)))]).dark[0]
    return (dark.permute(1, 2, 0) * 255).round().byte().numpy()


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


def before_and_after() -> npt.NDArray[np.uint8]:
    """A row for each photograph, all of one width."""
    rows: list[npt.NDArray[np.uint8]] = []
    for name in DARK:
        before = dark_photo(name)
        after = relume.Enhancer().enhance(before)
        rows.append(_row([before, after]))
    return np.concatenate(rows)[:-6, :-6]


def main() -> None:
    """Write `night.jpg` (the input of `make enhance`) and the other pictures named above."""
    write_photo(Photo(dark_photo(next(iter(DARK)))), HERE / "night.jpg", quality=92)
    write_photo(Photo(before_and_after()), HERE / "before_after.jpg", quality=88)
    write_photo(Photo(darkened_samples()), HERE / "darkened.jpg", quality=85)
    write_photo(Photo(night_samples()), HERE / "nights.jpg", quality=85)


if __name__ == "__main__":
    main()
