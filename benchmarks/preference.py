"""The sheet of a preference study: dark held-out photos, and what models and classical methods make of them.

    python benchmarks/preference.py "$RELUME_DATA" -o sheet [--count 12]
    relume study sheet -o study

The photos are those of SICE's held-out scenes, at most 1000 pixels wide; models have the settings of
`relume enhance`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from machine import spread

from relume import Enhancer, Photo, read_photo
from relume.datasets.selection import select
from relume.evaluate.classical import CLASSICAL
from relume.photo import vips, write_photo

LONGEST = 1000
MODELS = ("photo", "lol")
METHODS = ("gamma", "clahe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", "-o", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    given = parser.parse_args()
    vips.set_limits()
    pairs = select(given.data / "sice_part1", None, "sice_scenes").pairs or []
    enhancers = {name: Enhancer(name) for name in MODELS}
    for pair in spread(pairs, given.count):
        dark = small(read_photo(pair.low))
        results = {"input": dark, **{name: each.enhance(dark) for name, each in enhancers.items()}}
        for name in METHODS:
            bright = CLASSICAL[name](dark.rgb_HWC / 255)
            results[name] = dark.with_pixels(np.rint(255 * bright).astype(np.uint8))
        for name, photo in results.items():
            (given.out / name).mkdir(parents=True, exist_ok=True)
            write_photo(photo, given.out / name / f"{pair.name}.png")


def small(photo: Photo) -> Photo:
    view: Any = vips.wrap(photo.rgb_HWC).thumbnail_image(LONGEST, height=LONGEST, size="down")
    return Photo(np.asarray(view.numpy()))


if __name__ == "__main__":
    main()
