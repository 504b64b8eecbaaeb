"""The default model's engines and precisions beside one another, in one run.

    python benchmarks/precisions.py [--repeats 5] [--threads 1]

All enhance the same dark picture in turn, so that a drift of the machine's speed falls on all.
The best of each counts, as seconds of the processor, which other programs disturb least; the model alone, its
conversions included. `times_as_fast` compares with float32 in ONNX Runtime.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import machine
from speed import SIZES

from relume import Enhancer
from relume.evaluate.bench import scene, variants
from relume.options import DEFAULT_MODEL, MODEL_ALONE


def measure(width: int, height: int, threads: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each engine and precision."""
    pixels = scene(width, height)
    works = {
        (engine, precision): partial(
            Enhancer(engine=engine, precision=precision, device="cpu", threads=threads, downsample=1).enhance,
            pixels,
            **asdict(MODEL_ALONE),
        )
        for engine, precision in ((each.engine, each.precision) for each in variants([DEFAULT_MODEL]))
    }
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            started, used = time.perf_counter(), time.process_time()
            work()
            times = time.process_time() - used, time.perf_counter() - started
            if repeat:  # the first prepares kernels
                best[name] = min(best.get(name, times), times)
    first = next(iter(best.values()))[0]
    return [
        {
            "width": width,
            "height": height,
            "engine": engine,
            "precision": precision,
            "processor_seconds": round(used, 4),
            "seconds": round(wall, 4),
            "times_as_fast": round(first / used, 2),
            "repeats": repeats,
            "threads": threads,
        }
        for (engine, precision), (used, wall) in best.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rows = [row for size in SIZES for row in measure(*size, options.threads, options.repeats)]
    for row in rows:
        print(row)
    print(machine.store("precisions", rows))


if __name__ == "__main__":
    main()
