"""Sixty dark photographs for judging by eye, with fixed seeds.

    python benchmarks/dark_photos.py DATA -o FOLDER

Darkens the clean photographs that `clean.csv` holds out, each twice and differently, and adds nights made by
formula from seeds that training does not use. Writes `dark/` and `target/`, PNG files of the same names (so
`relume compare FOLDER/dark FOLDER/target` takes them), and `list.csv` with what was drawn. The photographs
keep their terms: see the README of the data; do not pass the folder on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from relume.lab.darkness import NIGHT, Darkness, Degradation, draw
from relume.lab.data.nights import NIGHTS
from relume.lab.data.paired import read_8_bits
from relume.lab.data.synthesis import degrade

SEED = 60_018
COUNT = 60
LONGEST = 1200
NIGHT_SIZE = (600, 900)

_PLAIN = replace(Darkness(), back_lit=0.0, lamps=0.0, uneven=0.0, mixed=0.0, coloured=0.0)
KINDS = {
    "back-lit": replace(_PLAIN, back_lit=1.0),
    "lamps": replace(_PLAIN, lamps=1.0, exposure=(1 / 48, 1 / 6)),
    "uneven": replace(_PLAIN, uneven=1.0),
    "phone": replace(_PLAIN, exposure=(1 / 32, 1 / 6), phone=1.0, jpeg=1.0, jpeg_again=0.5),
    "very-dark": replace(_PLAIN, exposure=(1 / 120, 1 / 32), electrons=(200.0, 500.0)),
    "two-lights": replace(_PLAIN, mixed=1.0, coloured=0.5),
}

Picture = tuple[str, npt.NDArray[np.uint8], Degradation]


def photographs(folder: Path) -> Iterator[Picture]:
    """The held-out photographs, each as two kinds of darkness."""
    rows = list(csv.DictReader((folder / "clean.csv").read_text(encoding="utf-8").splitlines()))
    files = sorted(row["file"] for row in rows if row["split"] == "held_out")
    kinds = list(KINDS)
    for number, file in enumerate(files):
        path = folder / file
        clean = _shrunk(read_8_bits(path if path.is_file() else path.with_suffix(".png")))
        for turn in range(2):
            kind = kinds[(2 * number + turn) % len(kinds)]
            how = draw(KINDS[kind], np.random.default_rng((SEED, number, turn)))
            yield f"{kind}_{path.stem}", clean, how


def nights(count: int) -> Iterator[Picture]:
    """Each kind of night in turn."""
    makers = list(NIGHTS.items())
    for number in range(count):
        name, maker = makers[number % len(makers)]
        random = np.random.default_rng((SEED, 999, number))
        yield f"night_{name}", maker(random, *NIGHT_SIZE), draw(NIGHT, random)


def _shrunk(image_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(image_HWC)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return np.array(picture)


def write(pictures: list[Picture], folder: Path) -> None:
    for side in ("dark", "target"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("name", "drawn"))
        for number, (name, clean, how) in enumerate(pictures, 1):
            full_name = f"{number:02d}_{name}"
            both = degrade(torch.from_numpy(clean.copy()).permute(2, 0, 1)[None], [how])
            for side, image in zip(("dark", "target"), both, strict=True):
                pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
                Image.fromarray(pixels).save(folder / side / f"{full_name}.png")
            lines.writerow((full_name, how.summary()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    pictures = list(photographs(arguments.data / "clean"))
    pictures += nights(max(8, COUNT - len(pictures)))
    write(pictures, arguments.output)
    print(f"{len(pictures)} dark photographs in {arguments.output}")


if __name__ == "__main__":
    main()
