"""Time of the shipped model beside Zero-DCE's network in ONNX, and memory of large photos.

    python benchmarks/speed.py [--repeats 7] [--threads 2] [--skip-memory]

Both networks run in turn, round by round, so that a drift of the machine's speed falls on both; medians and
their ratio count. Reading and writing files is left out of the times; relume's own conversions, thumbnail and
tiling are in them, Zero-DCE gets a ready tensor. The ratio is that of the model alone; what the default
controls add stands beside it. Memory is the peak of a whole process from file to file; its
time, loading the model included, stands beside that of decoding the photo and encoding the result alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
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
from relume.photo import Photo, write_photo

SIZES = ((600, 400), (1920, 1080))
LARGE = ((4000, 3000), (8000, 6000))


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


_PROBE = """
import sys, time
from pathlib import Path
from statistics import median
from relume.cli.app import app
from relume.photo import read_photo, write_photo
started = time.perf_counter()
try:
    code = app(sys.argv[1:], standalone_mode=False)
except SystemExit as ended:
    code = ended.code
if code:
    sys.exit(f"relume ended with {code}")
seconds = time.perf_counter() - started
# VmHWM belongs to this program alone; getrusage would count what the parent held when it forked.
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
source, target = (Path(sys.argv[index]) for index in (2, 4))
result, codec = read_photo(target), []
for _ in range(5):
    started = time.perf_counter()
    read_photo(source)
    write_photo(result, target)
    codec.append(time.perf_counter() - started)
print(seconds, int(peak) / 1024, median(codec))
"""


def measure_memory(threads: int, folder: Path) -> list[dict[str, Any]]:
    """One row a large photo: a process that enhances it from JPEG to JPEG, beside the codec alone."""
    rows = []
    for width, height in LARGE:
        source = folder / f"{width}x{height}.jpg"
        write_photo(Photo(scene(width, height)), source)
        command = [
            "enhance",
            str(source),
            "-o",
            str(folder / f"{width}x{height}.out.jpg"),
            "--threads",
            str(threads),
            "-q",
        ]
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *command], capture_output=True, text=True, check=True
        )
        seconds, peak, codec = map(float, done.stdout.split()[-3:])
        rows.append(
            {
                "width": width,
                "height": height,
                "megapixels": round(width * height / 1e6, 1),
                "seconds": round(seconds, 2),
                "codec_seconds": round(codec, 3),
                "ratio": round(seconds / codec, 2),
                "peak_mib": round(peak),
                "threads": threads,
            }
        )
        print(rows[-1])
    return rows


def scene(width: int, height: int) -> np.ndarray:
    """A dark, noisy scene with structure, H x W x 3, uint8."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 50, (-(-height // 100), -(-width // 100), 3), dtype=np.uint8)
    noise = random.integers(0, 8, (height, width, 3), dtype=np.uint8)
    return coarse.repeat(100, 0).repeat(100, 1)[:height, :width] + noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-memory", action="store_true", help="times only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(machine.store("speed", measure_times(options.repeats, options.threads, Path(folder))))
        if not options.skip_memory:
            print(machine.store("memory", measure_memory(options.threads, Path(folder))))


if __name__ == "__main__":
    main()
