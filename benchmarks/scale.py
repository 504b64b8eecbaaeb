"""Photos per hour by several processes, beside one, and what a photo costs in processor time.

    python benchmarks/scale.py [--megapixels 2 12 48] [--seconds 20] [--rounds 2]

Each size is measured with one worker and with two (`--workers`) of one thread each, in turn, so that a drift
of the machine's speed falls on both. The start is left out: times count from the first results. The rows say
how busy the machine was before: where other programs share the processor, they slow all of it and favour two
processes over one; the processor seconds of a photo then say more than the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import machine

from relume.cli.enhance import begin_worker
from relume.evaluate.bench import scene
from relume.jobs.crew import run_in_processes
from relume.jobs.plan import Job, Output
from relume.options import EnhanceOptions
from relume.photo import Photo, write_photo


def photo(megapixels: float, folder: Path) -> Path:
    """A dark photo of 4:3 as a JPEG file."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5 / 100) * 100
    width = round(height * 4 / 3 / 100) * 100
    path = folder / f"{megapixels:g}.jpg"
    write_photo(Photo(scene(width, height)), path)
    return path


def measure(source: Path, workers: int, count: int, folder: Path) -> tuple[float, float]:
    """Photos per second from the first results on, and processor seconds of a photo, the start included."""
    jobs = [Job(source, folder / f"{workers}-{number}.jpg") for number in range(count + workers)]
    begin = partial(begin_worker, EnhanceOptions(threads=1), False)
    before = processor_seconds()
    ends: list[float] = []
    for outcome in run_in_processes(jobs, Output(), begin, workers, print):
        if outcome.error is not None:
            raise outcome.error
        ends.append(time.perf_counter())
    used = processor_seconds() - before
    return count / (ends[-1] - ends[workers - 1]), used / len(jobs)


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[2, 12, 48])
    parser.add_argument("--seconds", type=float, default=20, help="about how long a measurement takes")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for megapixels in options.megapixels:
            source = photo(megapixels, folder)
            rate, _ = measure(source, 1, 2, folder)
            count = max(2, round(rate * options.seconds))
            load = os.getloadavg()[0]
            rounds = [
                {workers: measure(source, workers, count * workers, folder) for workers in (1, 2)}
                for _ in range(options.rounds)
            ]
            for workers in (1, 2):
                rate, used = (
                    median(values) for values in zip(*(each[workers] for each in rounds), strict=True)
                )
                rows.append(
                    {
                        "megapixels": megapixels,
                        "workers": workers,
                        "threads": 1,
                        "photos": count * workers,
                        "rounds": options.rounds,
                        "photos_per_hour": round(3600 * rate),
                        "times_one_worker": round(
                            median(each[workers][0] / each[1][0] for each in rounds), 3
                        ),
                        "processor_seconds_per_photo": round(used, 3),
                        "load": round(load, 1),
                    }
                )
                print(rows[-1])
    print(machine.store("scale", rows))


if __name__ == "__main__":
    main()
