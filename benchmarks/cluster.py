"""Photos from bucket to bucket on Ray, while the driver and a worker are killed: is all there, once?

    python benchmarks/cluster.py [--photos 500] [--workers 2] [--seed 0]

The store is moto's server of the S3 protocol, in this process and on the loopback alone. The same photos are
enhanced by the local engine first, from a folder. Then `relume batch --engine ray` does so from the store; at
a drawn moment the driver is killed, and when the same command goes on, at another one of its workers.
At the end every result has to be there, equal to the local engine's to the byte, and the manifest has to name
each once, with its size and hash. Anything else is an error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import machine
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from relume.photo import Photo, write_photo
from shared import dark
from stores import s3_server

LONGEST = 1500.0
"""Seconds for a run of all photos; what takes longer hangs."""


def batch(source: object, target: object, *options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "relume", "batch", source, target, "-q", *options]
    return subprocess.Popen([str(word) for word in command])


def finish(process: subprocess.Popen[bytes]) -> None:
    if code := process.wait(LONGEST):
        raise SystemExit(f"relume batch ended with {code}")


def lines(manifest: Path) -> int:
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def wait_for(manifest: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many photos are done."""
    until = time.monotonic() + LONGEST
    while lines(manifest) < count:
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"the batch ended with {process.returncode} before {count} photos")
        time.sleep(0.05)


def workers_of(driver: int) -> list[int]:
    """Ray's workers that a driver has started, at any depth; they say what they are."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            names[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(status[1])

    def descends(process: int) -> bool:
        while process > 1 and process != driver:
            process = parents.get(process, 0)
        return process == driver

    return [each for each, name in names.items() if "MapWorker" in name and descends(each)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, s3_server():
        row = measure(Path(name), options.photos, options.workers, random.Random(options.seed))  # noqa: S311
    print(row)
    print(machine.store("cluster", [{**row, "seed": options.seed, "ray": metadata.version("ray")}]))


def measure(folder: Path, photos: int, workers: int, draw: random.Random) -> dict[str, Any]:
    """All of it, with what was counted.

    Raises:
        SystemExit: a result is missing or differs, or the manifest does not agree.
    """
    store = fill(folder, photos)
    speed: Sequence[object] = ("--workers", workers, "--threads", 1)
    began = time.perf_counter()
    finish(batch(folder / "in", folder / "local", *speed))
    local_seconds = time.perf_counter() - began
    manifest = folder / "manifest.jsonl"
    command = ("s3://bucket/in", "s3://bucket/out", "--engine", "ray", "--record", manifest, *speed)
    # Results come in groups, and together once a worker that was lost is made up for: what is killed at the
    # first drawn moment has to be the driver, so that something is left for the second.
    kill_driver = draw.randrange(photos // 10, photos * 2 // 5)
    kill_worker = draw.randrange(photos // 2, photos * 2 // 3)
    driver = batch(*command)
    wait_for(manifest, kill_driver, driver)
    driver.kill()
    driver.wait()
    done_before = lines(manifest)
    began = time.perf_counter()
    driver = batch(*command)
    wait_for(manifest, max(kill_worker, done_before + 1), driver)
    lost_at = lines(manifest)
    os.kill(draw.choice(workers_of(driver.pid)), signal.SIGKILL)
    finish(driver)
    seconds = time.perf_counter() - began
    check(folder, store, manifest, photos)
    return {
        "photos": photos,
        "workers": workers,
        "driver_killed_after": done_before,
        "worker_killed_after": lost_at,
        "results": photos,
        "equal_to_local": photos,
        "manifest_lines": lines(manifest),
        "local_seconds": round(local_seconds, 1),
        "second_run_seconds": round(seconds, 1),
    }


def fill(folder: Path, photos: int) -> Any:
    """Dark photos in a folder and in a bucket; returns the store."""
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    store.mkdir("bucket")
    (folder / "in").mkdir()
    for number in range(photos):
        file = folder / "in" / f"{number:04d}.jpg"
        write_photo(Photo(np.ascontiguousarray(dark(96, 128, seed=number))), file)
        store.pipe_file(f"bucket/in/{file.name}", file.read_bytes())
    return store


def check(folder: Path, store: Any, manifest: Path, photos: int) -> None:
    """Compare what is in the bucket with the local engine's results and with the manifest."""
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    expected = sorted((folder / "local").glob("*.jpg"))
    found = store.find("bucket/out")
    told = sorted(row["output"] for row in rows)
    wanted = [f"bucket/out/{path.name}" for path in expected]
    if not (len(wanted) == photos and found == wanted and told == [f"s3://{name}" for name in wanted]):
        raise SystemExit(f"{photos} photos, {len(found)} results, {len(told)} lines")
    known = {row["output"]: row for row in rows}
    for path in expected:
        content = store.cat_file(f"bucket/out/{path.name}")
        row = known[f"s3://bucket/out/{path.name}"]
        same = content == path.read_bytes() and row["status"] == "ok"
        if not same or (row["size"], row["sha256"]) != (len(content), hashlib.sha256(content).hexdigest()):
            raise SystemExit(f"{path.name} differs")


if __name__ == "__main__":
    main()
