"""Time to darken a batch: 16 crops of 128 x 128 and their thumbnails of 128 x 96, on one core.

    python benchmarks/darkening.py [--device cuda]

Prints milliseconds: the median of 40 batches of fresh draws of the default ranges, processor time on a CPU
(other programs may run beside it), wall time on a GPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from relume.lab.darkness import Darkness, draw
from relume.lab.data.synthesis import Area, degrade, degrade_thumbnails

BATCH, CROP, THUMBNAIL = 16, 128, (96, 128)
RUNS, WARM_UP = 40, 5


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """What one run takes: of the processor, or of the GPU from start to end."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    clean = torch.randint(256, (BATCH, 3, CROP, CROP), dtype=torch.uint8, device=device)
    small = torch.rand(BATCH, 3, *THUMBNAIL, device=device)
    inner, outer = [Area(0.2, 0.5, 0.3, 0.6, 1.5)] * BATCH, [Area(0.1, 0.9, 0.1, 0.9, 1.5)] * BATCH
    rows: list[tuple[float, float, float]] = []
    for _ in range(RUNS + WARM_UP):
        start = time.process_time()
        hows = [draw(Darkness(), random) for _ in range(BATCH)]
        drawn = time.process_time() - start
        crops = seconds(device, lambda hows=hows: degrade(clean, hows, inner, (small, outer)))
        rows.append((drawn, crops, seconds(device, lambda hows=hows: degrade_thumbnails(small, hows, outer))))
    for name, value in zip(("draws", "crops", "thumbnails"), np.median(rows[WARM_UP:], 0), strict=True):
        print(f"{name:12}{value * 1000:6.1f} ms")


if __name__ == "__main__":
    main()
