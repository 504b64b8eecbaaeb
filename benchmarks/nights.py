"""Which nights made by formula are left as they are by default.

    python benchmarks/nights.py [--count 24] [--heights 300,600,1000]

Nights from seeds that training does not use, with the noise and JPEG of `relume.lab.darkness.NIGHT`.
A night counts as left alone where its median luma stays within 6 levels and three times what it was.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from relume import Enhancer
from relume.arrays import EightBits
from relume.colour import LUMA_REC601
from relume.lab.darkness import NIGHT, draw
from relume.lab.data.nights import NIGHTS
from relume.lab.data.synthesis import degrade

SEED = 60_045


def photographed(kind: str, height: int, number: int) -> EightBits:
    """One night as a camera saw it, half as wide again as it is high; always the same."""
    random = np.random.default_rng((SEED, height, number))
    scene = NIGHTS[kind](random, height, height * 3 // 2)
    low, _ = degrade(torch.from_numpy(scene.copy()).permute(2, 0, 1)[None], [draw(NIGHT, random)])
    return (low[0].permute(1, 2, 0) * 255).round().byte().numpy()


def left_alone(before: EightBits, after: EightBits) -> bool:
    was, is_now = (float(np.median(image @ np.array(LUMA_REC601))) for image in (before, after))
    return is_now <= 3 * max(was, 4) + 6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--heights", default="300,600,1000")
    parser.add_argument("--kinds", default=",".join(NIGHTS))
    arguments = parser.parse_args()
    enhancer = Enhancer()
    for height in map(int, arguments.heights.split(",")):
        for kind in arguments.kinds.split(","):
            nights = [photographed(kind, height, number) for number in range(arguments.count)]
            alone = sum(left_alone(night, enhancer.enhance(night)) for night in nights)
            print(f"{height * 3 // 2} x {height} {kind:10} {alone} of {len(nights)} left alone", flush=True)


if __name__ == "__main__":
    main()
