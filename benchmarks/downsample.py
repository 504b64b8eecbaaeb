"""What it costs to let the network see a photo reduced, where detail is coarse and where it is fine.

    python benchmarks/downsample.py DATA/lol_v1/our485 [--images 16]

Images of held-out scenes, as they are (detail and noise as fine as pixels) and enlarged twofold (both span
two pixels, as in large photos), go through the default model alone at each factor. The means of PSNR after
matching the mean and of SSIM go to `results/downsample.csv`, with their differences to factor 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import machine
import numpy as np
from PIL import Image

from relume import Enhancer
from relume.datasets.pairs import Pair, list_pairs
from relume.datasets.splits import held_out
from relume.evaluate.metrics import psnr_gt_mean, ssim
from relume.lab.data.paired import read_8_bits
from relume.options import MODEL_ALONE

FACTORS = (1, 2, 3, 4)
Pixels: TypeAlias = np.ndarray


def enlarged(pixels: Pixels) -> Pixels:
    """Twice the size, by bicubic interpolation."""
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))


SCALES: dict[str, Callable[[Pixels], Pixels]] = {"two pixels": enlarged, "one pixel": lambda pixels: pixels}
"""How many pixels detail and noise span, and what makes them do so."""


def measure(pairs: list[Pair]) -> list[dict[str, Any]]:
    """One row a scale of detail and factor."""
    rows: list[dict[str, Any]] = []
    for span, scale in SCALES.items():
        images = [(scale(read_8_bits(pair.low)), scale(read_8_bits(pair.high))) for pair in pairs]
        first: tuple[float, float] | None = None
        for factor in FACTORS:
            enhancer = Enhancer(downsample=factor)
            results = [(enhancer.enhance(low, **asdict(MODEL_ALONE)), high) for low, high in images]
            scores = [(psnr_gt_mean(result, high), ssim(result, high)) for result, high in results]
            means = tuple(np.mean(scores, axis=0).tolist())
            first = first or means
            rows.append(
                {
                    "model": enhancer.card.name,
                    "detail_spans": span,
                    "factor": factor,
                    "images": len(images),
                    "psnr_gt_mean": round(means[0], 2),
                    "ssim": round(means[1], 4),
                    "psnr_difference": round(means[0] - first[0], 2),
                    "ssim_difference": round(means[1] - first[1], 3),
                }
            )
            print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=16)
    options = parser.parse_args()
    pairs = held_out(list_pairs(options.folder), "our485_scenes")
    print(machine.store("downsample", measure(machine.spread(pairs, options.images))))


if __name__ == "__main__":
    main()
