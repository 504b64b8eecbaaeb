"""What the defaults do to photos that need nothing, and to one scene at ever lower exposure.

    python benchmarks/safety.py DATA [--models lol,photo] [--scenes 12]

Both look at held-out scenes of LOL-v1 and SICE under DATA, with the settings of `relume enhance`:

- *well lit*: every well-lit frame with a mean of at least 0.35. Its result is compared with itself: PSNR
  (100 dB where nothing was changed), whether it came out darker, and by what share of the pixels clipped
  highlights grew.
- *ladder*: a grey card is laid into well-lit frames, and each is darkened to 1/2 ... 1/64 of its light, with
  the noise of one and the same camera. Over the six results: the brightest mean over the darkest, how far the
  card's colour moves in a*b*, how far it is from grey, and the noise on it.

Results go to `results/well_lit.csv` and `results/ladder.csv`, the worst photos to standard output.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from math import dist
from pathlib import Path
from typing import Any

import machine
import numpy as np

from relume import Enhancer
from relume.datasets.pairs import list_pairs
from relume.datasets.splits import held_out
from relume.evaluate.metrics import mean_luma, psnr
from relume.evaluate.noreference import statistics
from relume.lab.darkness import Degradation
from relume.lab.data.paired import read_8_bits, to_tensor
from relume.lab.data.synthesis import degrade

SETS = (("lol_v1/our485", "our485_scenes"), ("sice_part1", "sice_scenes"))
WELL_LIT = 0.35
EXPOSURES = tuple(0.5**stops for stops in range(1, 7))
ELECTRONS = 16_000.0
"""That a white pixel leaves in full light; 250 at 1/64, as in the dark photos of LOL-v1."""
READ_NOISE = 3.0


def well_lit_frames(data: Path) -> dict[str, np.ndarray]:
    """Held-out well-lit frames by name, each once, whatever its names."""
    frames: dict[bytes, tuple[str, np.ndarray]] = {}
    for folder, split in SETS:
        for pair in held_out(list_pairs(data / folder), split):
            frame = read_8_bits(pair.high)
            frames.setdefault(frame.tobytes(), (f"{Path(folder).parts[0]}/{pair.high.stem}", frame))
    return {name: frame for name, frame in frames.values() if mean_luma(frame) >= WELL_LIT}


def well_lit(model: str, enhancer: Enhancer, frames: dict[str, np.ndarray]) -> dict[str, Any]:
    """One row: what happens to all frames."""
    scores, growths, darker, untouched = {}, [], 0, []
    for name, frame in frames.items():
        result = enhancer.enhance(frame)
        before, after = statistics(frame), statistics(result)
        scores[name] = psnr(result, frame)
        if np.array_equal(result, frame):
            untouched.append(name)
        growths.append(after["clipped_highlights"] - before["clipped_highlights"])
        darker += after["mean_luma"] < before["mean_luma"] - 0.002
    worst = sorted(scores, key=scores.__getitem__)[:5]
    print(f"{model}, least like themselves:", {name: round(scores[name], 1) for name in worst})
    changed = [value for name, value in scores.items() if name not in untouched]
    return {
        "model": model,
        "photos": len(frames),
        "untouched": len(untouched),
        "psnr": round(float(np.mean(list(scores.values()))), 2),
        "psnr_of_changed": round(float(np.mean(changed)), 2) if changed else "",
        "psnr_at_least_35": sum(value >= 35 for value in scores.values()),
        "darker": darker,
        "largest_growth_of_clipping": round(max(growths), 5),
    }


def ladder(model: str, enhancer: Enhancer, name: str, frame: np.ndarray) -> dict[str, Any]:
    """One row: a frame with a grey card at every exposure."""
    clean = frame.copy()
    side = min(clean.shape[:2]) // 6
    top, left = ((length - side) // 2 for length in clean.shape[:2])
    card = np.s_[top : top + side, left : left + side]
    clean[card] = 128
    results = [enhancer.enhance(darkened(clean, exposure)) for exposure in EXPOSURES]
    means = [mean_luma(result) for result in results]
    inner = np.s_[top + 4 : top + side - 4, left + 4 : left + side - 4]
    cards = [statistics(result[inner]) for result in results]
    colours = [(found["mean_a"], found["mean_b"]) for found in cards]
    return {
        "model": model,
        "scene": name,
        "brightest_over_darkest": round(max(means) / min(means), 3),
        "card_moves": round(max(dist(*two) for two in combinations(colours, 2)), 2),
        "card_from_grey": round(max(dist(one, (0, 0)) for one in colours), 2),
        "card_noise": round(max(found["contrast"] for found in cards), 4),
    }


def darkened(frame: np.ndarray, exposure: float) -> np.ndarray:
    """The frame with less light, by a camera without other faults than its noise; uint8."""
    camera = Degradation(
        exposure=exposure,
        shot=1 / ELECTRONS,
        read=(READ_NOISE / ELECTRONS) ** 2,
        gains=(2.0, 1.0, 1.6),
        noise_seed=1,
    )
    dark_BCHW = degrade(to_tensor(frame), [camera]).dark
    return (dark_BCHW[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def print_worst(rows: Sequence[dict[str, Any]], limits: dict[str, float]) -> None:
    for column, limit in limits.items():
        worst = max(rows, key=lambda row: row[column])
        within = sum(row[column] <= limit for row in rows)
        print(f"{worst['model']}: {column} <= {limit} in {within} of {len(rows)}; largest {worst}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="photo,lol")
    parser.add_argument("--scenes", type=int, help="scenes of the ladder; all by default")
    options = parser.parse_args()
    frames = well_lit_frames(options.data)
    safe: list[dict[str, Any]] = []
    ladders: list[dict[str, Any]] = []
    for model in options.models.split(","):
        enhancer = Enhancer(model)
        safe.append(well_lit(model, enhancer, frames))
        print(safe[-1])
        rows = [
            ladder(model, enhancer, name, frames[name])
            for name in machine.spread(list(frames), options.scenes or len(frames))
        ]
        print_worst(rows, {"brightest_over_darkest": 1.2, "card_moves": 4.0})
        ladders += rows
    print(machine.store("well_lit", safe), machine.store("ladder", ladders))


if __name__ == "__main__":
    main()
