"""What would be left to gain if every place were exactly as bright and as coloured as its target.

    python benchmarks/ceiling.py DATA [--model photo]

DATA is the data root or the folder of a pack's parts. The result of `relume enhance`, default settings, of
each held-out dark photo is corrected by its own target: around each pixel, each channel becomes the linear
function of itself that is nearest to the target in a square window (a guided filter, He, Sun and Tang,
"Guided Image Filtering", IEEE TPAMI 35, 2013). No method can know that correction. What it does not put right
is detail: noise, what the dark frame has lost, and what had moved when the target was taken. The table goes
to standard output and `results/ceiling.csv`. About two minutes of one core.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from structures import photographed
from torch import Tensor
from torch.nn import functional as F

from relume import Enhancer
from relume.evaluate.report import markdown_table
from relume.lab.data.paired import load_pairs, to_tensor
from relume.lab.losses import ssim

SETS = {"lol": "LOL-v1", "sice": "SICE, single exposures", "fused": "SICE, fused targets"}
REACHES = (200, 64, 16)
_FLAT = 1e-5


def windowed(image_B3HW: Tensor, reach: int) -> Tensor:
    """Means over squares of `2 reach + 1` pixels; outer pixels are mirrored."""
    side = 2 * reach + 1
    sums = F.pad(image_B3HW.double(), (reach,) * 4, mode="reflect")
    for axis in (-2, -1):
        sums = F.pad(sums.transpose(axis, -1).cumsum(-1), (1, 0))
        sums = (sums[..., side:] - sums[..., :-side]).transpose(axis, -1)
    return sums / side**2


def corrected(result_B3HW: Tensor, target_B3HW: Tensor, reach: int) -> Tensor:
    """The result, each channel by the linear function of itself that is best around each pixel."""
    mean, wanted = (windowed(each, reach) for each in (result_B3HW, target_B3HW))
    covariance = windowed(result_B3HW * target_B3HW, reach) - mean * wanted
    variance = windowed(result_B3HW.square(), reach) - mean.square()
    slope = covariance / (variance + _FLAT)
    offset = wanted - slope * mean
    return (windowed(slope, reach) * result_B3HW + windowed(offset, reach)).clamp(0, 1).float()


def scores(image_B3HW: Tensor, target_B3HW: Tensor) -> tuple[float, float]:
    """PSNR in dB and SSIM."""
    error = (image_B3HW - target_B3HW).square().mean().item()
    return -10 * float(np.log10(error)), ssim(image_B3HW, target_B3HW).item()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="photo")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine.facts()
    enhancer = Enhancer(model=arguments.model)
    roots = sorted(arguments.data.glob("part-*")) or [arguments.data]
    found: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    for pair in load_pairs(photographed(roots)[1]):
        result, target = to_tensor(enhancer.enhance(pair.low_HWC)), to_tensor(pair.high_HWC)
        images = [result, *(corrected(result, target, reach) for reach in REACHES)]
        found[pair.source.name if pair.source else ""].append([scores(image, target) for image in images])
    names = ["as it is", *(f"windows of {2 * reach + 1}" for reach in REACHES)]
    rows: list[dict[str, Any]] = []
    for which, title in SETS.items():
        means = np.mean(found[which], 0).round(4).tolist()
        rows += [
            {"set": title, "images": len(found[which]), "correction": name, "psnr": psnr, "ssim": similar}
            for name, (psnr, similar) in zip(names, means, strict=True)
        ]
    cells = {(row["set"], row["correction"]): f"{row['psnr']:.2f} / {row['ssim']:.3f}" for row in rows}
    body = [[title, *(cells[title, name] for name in names)] for title in SETS.values()]
    table = markdown_table([["held-out scenes", *names], *body])
    print(machine.store("ceiling", rows), table, sep="\n\n")


if __name__ == "__main__":
    main()
