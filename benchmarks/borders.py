"""What a local pass takes for lying beyond a photo's border, and what that does to the outermost pixels.

    python benchmarks/borders.py RUN DATA

RUN is a finished run of a two-pass network, DATA the data root. In levels of 255: by how much the outer 8
pixels of flat frames and of frames of noise differ from their middle, and how far parts of dark photographs
that are enhanced alone, by what is decided for the whole, are from the same places of the whole. The table
goes to standard output and `results/borders.csv`. About a minute and a half of two cores.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any, NamedTuple

import machine
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.evaluate.report import markdown_table
from relume.lab.data.paired import to_tensor
from relume.lab.networks.two_pass import Decision, TwoPass, step
from relume.lab.run import load_run
from relume.photo import read_photo

SIZE = 200, 300
FLAT = 4, 6, 8, 10, 12, 15, 17, 19, 22, 26, 32, 40, 50, 60, 75
NOISY = 4, 5, 6, 8, 12, 20, 30, 45, 60, 75
PARTS = (112, 160, 160, 224), (100, 180, 180, 240)
"""Top, left, height and width."""


class Beyond(NamedTuple):
    """A margin of the image, and then what convolutions take."""

    name: str
    margin: int
    image: str
    convolutions: str = "zeros"


CASES = (
    Beyond("16 pixels repeated, then zeros", 16, "replicate"),
    Beyond("16 pixels mirrored, then zeros", 16, "reflect"),
    Beyond("32 pixels mirrored, then zeros", 32, "reflect"),
    Beyond("48 pixels mirrored, then zeros", 48, "reflect"),
    Beyond("nothing, all convolutions repeat", 0, "reflect", "replicate"),
    Beyond("4 pixels mirrored, all convolutions repeat", 4, "reflect", "replicate"),
)


def padding(network: TwoPass, mode: str) -> TwoPass:
    """The network whose local pass pads in another way."""
    changed = copy.deepcopy(network)
    for layer in changed.local_pass.modules():
        if isinstance(layer, nn.Conv2d) and any(layer.padding):
            options: dict[str, Any] = {"padding": layer.padding, "padding_mode": mode}
            again = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, **options)  # pyright: ignore[reportArgumentType]
            layer.padding_mode = again.padding_mode
            layer._reversed_padding_repeated_twice = again._reversed_padding_repeated_twice  # pyright: ignore[reportPrivateUsage]
    return changed


def enhanced(
    network: TwoPass, image_13HW: Tensor, decision: Decision, place: tuple[int, int, int, int], beyond: Beyond
) -> Tensor:
    """An image all of whose sides are taken for a photo's border; `place` as for a model's local graph."""
    height, width = image_13HW.shape[-2:]
    top, left, *whole = place
    margin, multiple = beyond.margin, network.local_pass.size_multiple
    below, right = (margin + -(length + 2 * margin) % multiple for length in (height, width))
    wide = F.pad(image_13HW, (margin, right, margin, below), mode=beyond.image)
    where = torch.tensor([[top - margin, left - margin, *whole]], dtype=torch.float32)
    result = network.local_pass(wide, decision, where, step(wide))
    return 255 * result[..., margin : margin + height, margin : margin + width]


def rim(image_HW: Tensor) -> float:
    """By how much the mean of the outer 8 rows or columns differs from the middle's, at most."""
    sides = image_HW[:8], image_HW[-8:], image_HW[:, :8], image_HW[:, -8:]
    return max(abs(float(side.mean() - image_HW[16:-16, 16:-16].mean())) for side in sides)


def frames(level: int, noise: float, count: int) -> list[Tensor]:
    """Grey frames of one level."""
    made = [level + np.random.default_rng(seed).normal(0, noise, SIZE) for seed in range(count)]
    return [
        to_tensor(np.repeat(np.clip(np.rint(each), 0, 255)[..., None], 3, 2).astype(np.uint8))
        for each in made
    ]


def rims(network: TwoPass, levels: tuple[int, ...], noise: float, count: int, beyond: Beyond) -> float:
    """The largest rim of a level, of the mean of so many frames."""
    changed = padding(network, beyond.convolutions)
    found: list[float] = []
    for level in levels:
        images = frames(level, noise, count)
        results = [
            enhanced(changed, each, network.decide(each, None), (0, 0, *SIZE), beyond) for each in images
        ]
        found.append(rim(torch.stack(results).mean((0, 1, 2))))
    return max(found)


def distances(network: TwoPass, photos: list[Tensor], beyond: Beyond) -> list[float]:
    """Root mean squares of the difference in the outermost 2 pixels of parts, and 8 to 16 pixels inside."""
    changed = padding(network, beyond.convolutions)
    squares: list[list[float]] = []
    for photo in photos:
        height, width = photo.shape[-2:]
        decision = network.decide(photo, None)
        whole = enhanced(network, photo, decision, (0, 0, height, width), CASES[2])
        for top, left, rows, columns in PARTS:
            here = (..., slice(top, top + rows), slice(left, left + columns))
            part = enhanced(changed, photo[here], decision, (top, left, height, width), beyond)
            square_HW = (part - whole[here]).square().mean((0, 1))
            far = [torch.minimum(torch.arange(each), torch.arange(each).flip(0)) for each in (rows, columns)]
            inside_HW = torch.minimum(far[0][:, None], far[1])
            bounds = (0, 2), (8, 16)
            squares.append(
                [float(square_HW[(inside_HW >= least) & (inside_HW < most)].mean()) for least, most in bounds]
            )
    return np.sqrt(np.mean(squares, axis=0)).tolist()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    asked = parser.parse_args()
    _, network = load_run(asked.run)
    if not isinstance(network, TwoPass):
        parser.error(f"{asked.run} is no run of a two-pass network")
    network.eval()
    files = sorted((asked.data / "lol_v1/our485/low").iterdir())[::60]
    photos = [to_tensor(read_photo(file).rgb_HWC.astype(np.uint8)) for file in files]
    rows: list[dict[str, Any]] = []
    for beyond in CASES:
        outermost, inside = distances(network, photos, beyond)
        rows.append(
            {
                "beyond": beyond.name,
                "flat": round(rims(network, FLAT, 0, 1, beyond), 2),
                "noise": round(rims(network, NOISY, 2, 6, beyond), 2),
                "outermost_2": round(outermost, 2),
                "from_8_to_16": round(inside, 2),
            }
        )
    machine.store("borders", rows)
    print(markdown_table([[*rows[0]], *([str(value) for value in row.values()] for row in rows)]), end="")


if __name__ == "__main__":
    main()
