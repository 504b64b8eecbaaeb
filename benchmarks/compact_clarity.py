"""Compact Clarity beside what its thesis prints: table 4.1, Zero-DCE at other sizes, memory and latency.

    python benchmarks/compact_clarity.py table ROOT [--student RUN] [--structure FILE_OR_RUN]
    python benchmarks/compact_clarity.py sizes ROOT
    python benchmarks/compact_clarity.py resources [--device cuda] [--part memory]

ROOT is the data root, with `lol_v1`, `zero_dce` (published weights of the illumination teacher) and, for
photos of other cameras, `sice_part1`. Where weights are not at hand a row holds the network's cost and what
is printed, and no score. The printed figures are the thesis's (May 2025), after a protocol that it does not
tell.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from relume.datasets.pairs import list_pairs
from relume.datasets.splits import held_out
from relume.evaluate.metrics import psnr, psnr_gt_mean, ssim
from relume.lab.data.paired import load_pairs, to_tensor
from relume.lab.networks import build
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.run import load_run
from relume.lab.training.validation import validate
from relume.lab.weights import load_weights

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Printed:
    """A row of the thesis's table 4.1: millions of parameters, PSNR in dB and SSIM on eval15."""

    parameters: float
    psnr: float
    ssim: float


PRINTED = {
    "zero-dce": Printed(0.1, 20.21, 0.794),
    "mirnet-v2": Printed(26.6, 24.23, 0.863),
    "compact-clarity": Printed(9.99, 21.89, 0.858),
}
SETS = {"eval15": ("lol_v1/eval15", ""), "sice": ("sice_part1", "sice_scenes")}
"""Folder of pairs, and the split whose held-out scenes are scored."""

SIDES = (256, 128, 64)
SCORES = ("psnr", "ssim", "psnr_gt_mean")
BATCHES = {64: (1, 4), 128: (1,)}
"""Training images a pass, by crop; a GPU takes the thesis's 32, 16 and 4."""

GPU_BATCHES = {64: (8, 32), 128: (8, 16), 256: (1, 2, 4)}
LATENCY_SIZES = ((256, 256),)
GPU_LATENCY_SIZES = ((256, 256), (400, 600), (1080, 1920))


def table(root: Path, weights: Mapping[str, Path | None]) -> list[dict[str, Any]]:
    """Teachers and student: measured here, then printed there."""
    rows = []
    for name, printed in PRINTED.items():
        file = weights[name]
        network, trained = _network(name, file)
        row: dict[str, Any] = {
            "model": name,
            "weights": file.name if file else "none here",
            "parameters": count_parameters(network),
            "gmacs_256": round(count_macs(network, 256) / 1e9, 2),
        }
        for images, (folder, split) in SETS.items():
            measured = _scores(network, root / folder, split) if trained else {}
            row |= {f"{images}_{score}": measured.get(score, "") for score in SCORES}
        rows.append({**row, **{f"printed_{key}": value for key, value in vars(printed).items()}})
    return rows


def _network(name: str, weights: Path | None) -> tuple[nn.Module, bool]:
    if weights is not None and weights.is_dir():
        return load_run(weights)[1], True
    network = build(name, {"checkpointing": False} if name == "compact-clarity" else None).eval()
    if weights is not None:
        load_weights(weights, network)
    return network, weights is not None


def _scores(network: nn.Module, folder: Path, split: str) -> dict[str, float]:
    pairs = list_pairs(folder)
    loaded = load_pairs(held_out(pairs, split) if split else pairs)
    return {name: round(value, 4) for name, value in validate(network, loaded, CPU).items()}


def sizes(root: Path) -> list[dict[str, Any]]:
    """Zero-DCE's published weights on eval15: whole images, and pairs resized to squares."""
    network, _ = _network("zero-dce", root / "zero_dce/Epoch99.pth")
    pairs = load_pairs(list_pairs(root / SETS["eval15"][0]))
    rows = []
    for side in (0, *SIDES):
        found = []
        for pair in pairs:
            low, high = (to_tensor(image) for image in (pair.low_HWC, pair.high_HWC))
            if side:
                low, high = (F.adaptive_avg_pool2d(image, side) for image in (low, high))
            with torch.inference_mode():
                output, target = (_pixels(image) for image in (network(low), high))
            found.append((psnr(output, target), ssim(output, target), psnr_gt_mean(output, target)))
        means = dict(zip(SCORES, np.mean(found, axis=0).round(4).tolist(), strict=True))
        rows.append({"model": "zero-dce", "side": side or "full", **means})
    return rows


def _pixels(image_BCHW: torch.Tensor) -> np.ndarray:
    return (image_BCHW[0].clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()


def memory(device: torch.device) -> Iterator[dict[str, Any]]:
    """Peak memory and time of the student's training step, with activation checkpointing and without."""
    for crop, batches in (GPU_BATCHES if device.type == "cuda" else BATCHES).items():
        for batch in batches:
            for checkpointing in (False, True):
                measured = _measured_apart(device, crop, batch, checkpointing)
                yield {"crop": crop, "batch": batch, "checkpointing": checkpointing, **measured}


def latencies(device: torch.device) -> Iterator[dict[str, Any]]:
    """Seconds of one image through student and teachers."""
    for name in PRINTED:
        for height, width in GPU_LATENCY_SIZES if device.type == "cuda" else LATENCY_SIZES:
            yield {
                "model": name,
                "size": f"{width}x{height}",
                "seconds": latency(name, height, width, device),
            }


def _store(what: str, device: torch.device, rows: Iterator[dict[str, Any]]) -> None:
    facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }
    found = []
    for row in rows:
        print(row, flush=True)
        found.append({**row, **facts})
    print(machine.store(f"compact_clarity_{what}_{device.type}", found))


def _measured_apart(device: torch.device, crop: int, batch: int, checkpointing: bool) -> dict[str, Any]:
    """A training step in a process of its own, so that nothing of the one before is left in its memory."""
    how = ["--device", device.type, "--step", str(crop), str(batch), str(int(checkpointing))]
    command = [sys.executable, __file__, "resources", *how]
    # Freed blocks go back to the system at once, so that the peak is what was in use.
    variables = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        return {"seconds": "", "peak_mib": "failed: " + done.stderr.strip().splitlines()[-1][:60]}
    seconds, peak = done.stdout.split()[-2:]
    return {"seconds": float(seconds), "peak_mib": float(peak)}


def step(device: torch.device, crop: int, batch: int, checkpointing: bool) -> tuple[float, float]:
    """Seconds of the second of two steps, and peak MiB of both; on a CPU above what the idle process has.

    Adversary, teacher and classifier of the whole method are not in it.
    """
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = build("compact-clarity", {"checkpointing": checkpointing}).to(device).train()
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.AdamW(network.parameters(), lr=6.25e-6)
    image = torch.rand(batch, 3, crop, crop, device=device)
    seconds = 0.0
    for _ in range(2):
        started = _clock(device)
        (network(image) - image).abs().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds = _clock(device) - started
    if device.type == "cuda":
        return seconds, torch.cuda.max_memory_allocated() / 2**20
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 2**10


def _clock(device: torch.device) -> float:
    """Wall clock of a GPU that is done; on a CPU the process's own time, whatever else runs there."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


@torch.inference_mode()
def latency(name: str, height: int, width: int, device: torch.device, repeats: int = 1) -> float:
    """Median seconds of one image, after a first pass that does not count."""
    network, image = _network(name, None)[0].to(device), torch.rand(1, 3, height, width, device=device)
    found = []
    for _ in range(repeats + 1):
        started = _clock(device)
        network(image)
        found.append(_clock(device) - started)
    return round(median(found[1:]), 5)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("table", "sizes", "resources"))
    parser.add_argument("root", type=Path, nargs="?")
    parser.add_argument("--student", type=Path, help="run of compact-clarity, or its weights")
    parser.add_argument("--structure", type=Path, help="weights or run of mirnet-v2")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--part", choices=("all", "memory", "latency"), default="all")
    parser.add_argument("--step", type=int, nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if given.step:
        crop, batch, checkpointing = given.step
        print(*step(device, crop, batch, bool(checkpointing)))
        return
    if given.what == "resources":
        if given.part in ("all", "memory"):
            _store("memory", device, memory(device))
        if given.part in ("all", "latency"):
            _store("latency", device, latencies(device))
        return
    if given.root is None:
        parser.error("name the data root")
    elif given.what == "sizes":
        rows, name = sizes(given.root), "compact_clarity_sizes"
    else:
        zero_dce = given.root / "zero_dce/Epoch99.pth"
        weights = {"zero-dce": zero_dce, "mirnet-v2": given.structure, "compact-clarity": given.student}
        rows, name = table(given.root, weights), "compact_clarity_table"
    for row in rows:
        print(row)
    print(machine.store(name, rows))


if __name__ == "__main__":
    main()
