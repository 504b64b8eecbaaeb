"""Time of the shipped model beside Zero-DCE's network in ONNX.

    python benchmarks/speed.py [--repeats 7] [--threads 2]

Both networks run in turn, round by round, so that a drift of the machine's speed falls on both; medians and
their ratio count. Reading and writing files is left out of the times; relume's own conversions, thumbnail and
tiling are in them, Zero-DCE gets a ready tensor. The ratio is that of the model alone; what the default
controls add stands beside it. Whole processes, and their memory, are measured by `relume bench`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np

from relume import Enhancer
from relume.options import MODEL_ALONE

SIZES = ((600, 400), (1920, 1080))


def zero_dce(threads: int, folder: Path) -> Callable[[np.ndarray], Any]:
    """Zero-DCE's network in ONNX Runtime; untrained, since weights do not change the time."""
    import onnxruntime as ort
    import torch

    from relume.lab.networks import build

    path = folder / "zero_dce.onnx"
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        build("zero-dce").eval(),
        (torch.rand(1, 3, 64, 96),),
        dynamo=True,
        dynamic_shapes=(sizes,),
        verbose=False,
    )
    program.save(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})


def timed(work: Callable[..., Any], *arguments: Any) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def measure_times(repeats: int, threads: int, folder: Path) -> list[dict[str, Any]]:
    """One row a size: median seconds of the model alone, of Zero-DCE's network, and with default controls."""
    enhancer, peer = Enhancer(threads=threads), zero_dce(threads, folder)
    alone = partial(enhancer.enhance, **asdict(MODEL_ALONE))
    random = np.random.default_rng(0)
    rows = []
    for width, height in SIZES:
        pixels = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / 255
        rounds = [
            (timed(alone, pixels), timed(peer, tensor), timed(enhancer.enhance, pixels))
            for _ in range(repeats + 1)
        ]
        ours, theirs, controlled = (median(times) for times in zip(*rounds[1:], strict=True))
        rows.append(
            {
                "width": width,
                "height": height,
                "model": enhancer.card.name,
                "seconds": round(ours, 4),
                "zero_dce_seconds": round(theirs, 4),
                "ratio": round(ours / theirs, 3),
                "with_controls_seconds": round(controlled, 4),
                "repeats": repeats,
                "threads": threads,
            }
        )
        print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(machine.store("speed", measure_times(options.repeats, options.threads, Path(folder))))


if __name__ == "__main__":
    main()
