"""Time and memory of revisions beside one another, in one run and in turn.

    python benchmarks/beside.py BEFORE [AFTER] [--own-models]    # AFTER: the working tree, if left out
    python benchmarks/beside.py --cuts                           # those of `revisions.CUTS`
    make beside BEFORE=... [AFTER=...]                           # the same by make

Each revision runs in a process of its own, with the model files of the first (`--own-models`: each with its
own). Both do the same work in turn, round by round, and take turns in being first, so that a drift of the
machine's speed falls on both; the ratio is the median of the rounds' ratios. From file to file a process is
started for each photo: its seconds, loading the model included, and the peak of its memory. Writes a table on
stdout and `results/beside.csv`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np
from revisions import CUTS, HERE, Source, asked, sources

SIZES = ((600, 400), (1920, 1080))
LARGE = ((4000, 3000), (8000, 6000))
CONTROLS: dict[str, dict[str, float]] = {
    "model alone": {"strength": 1.0, "highlight_guard": 0.0, "colour_guard": 0.0},
    "default controls": {},
}


PROBE = """
import sys, time
from pathlib import Path
from relume.cli.app import app
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
print(seconds, int(peak) / 1024)
"""


def scene(width: int, height: int) -> np.ndarray:
    """A dark, noisy scene with structure, H x W x 3, uint8."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 50, (-(-height // 100), -(-width // 100), 3), dtype=np.uint8)
    noise = random.integers(0, 8, (height, width, 3), dtype=np.uint8)
    return coarse.repeat(100, 0).repeat(100, 1)[:height, :width] + noise


def serve(threads: int) -> None:
    """What the process of a revision does: enhance what each line of stdin asks for, and tell the seconds."""
    from relume import Enhancer

    enhancer = Enhancer(threads=threads)
    for line in sys.stdin:
        width, height, controls = json.loads(line)
        pixels = scene(width, height)
        started = time.perf_counter()
        enhancer.enhance(pixels, **CONTROLS[controls])
        print(time.perf_counter() - started, flush=True)


def in_turn(found: list[Source], rounds: int, measure: Callable[[int], Any]) -> list[list[Any]]:
    """What is measured of each source, round by round; a round before the first one only warms up."""
    told: list[list[Any]] = [[] for _ in found]
    for number in range(rounds + 1):
        order = list(range(len(found)))
        for place in order if number % 2 else reversed(order):
            value = measure(place)
            if number:
                told[place].append(value)
    return told


def row_of(case: str, width: int, height: int, what: str, told: list[list[float]]) -> dict[str, Any]:
    before, after = told
    ratio = median(new / old for old, new in zip(before, after, strict=True))
    return {
        "case": case,
        "width": width,
        "height": height,
        "what": what,
        "before_value": round(median(before), 4),
        "after_value": round(median(after), 4),
        "ratio": round(ratio, 3),
        "rounds": len(before),
    }


def in_memory(found: list[Source], rounds: int, threads: int) -> Iterator[dict[str, Any]]:
    """A row for each size and kind of controls."""
    with asked(found, __file__, "--serve", "--threads", str(threads)) as asks:
        for width, height in SIZES:
            for case in CONTROLS:
                order = json.dumps([width, height, case])
                told = in_turn(found, rounds, lambda place, order=order: asks[place](order))
                yield row_of(case, width, height, "seconds", told)


def by_files(found: list[Source], rounds: int, threads: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Two rows for each large photo: seconds and peak of a process from JPEG to JPEG."""
    from relume.photo import Photo, write_photo

    for width, height in LARGE:
        source = folder / f"{width}x{height}.jpg"
        write_photo(Photo(scene(width, height)), source)

        def probe(place: int, source: Path = source) -> tuple[float, float]:
            target = str(folder / "out.jpg")
            orders = ["enhance", str(source), "-o", target, "--threads", str(threads), "-q"]
            with found[place].start("-c", PROBE, *orders) as process:
                told, _ = process.communicate()
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, orders)
            seconds, peak = map(float, told.split()[-2:])
            return seconds, peak

        told = in_turn(found, rounds, probe)
        for place, what in enumerate(("seconds", "peak MiB")):
            yield row_of("file to file", width, height, what, [[one[place] for one in each] for each in told])


def beside(before: str, after: str, options: argparse.Namespace, *, own_models: bool) -> list[dict[str, Any]]:
    """All rows of two revisions."""
    with (
        sources(before, after, own_models=own_models) as found,
        tempfile.TemporaryDirectory() as folder,
    ):
        rows = list(in_memory(found, options.rounds, options.threads))
        if not options.skip_files:
            rows += by_files(found, options.rounds_of_files, options.threads, Path(folder))
    return [{"before": before, "after": after, **row} for row in rows]


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    head = ("revisions", "photo", "case", "before", "after", "after / before")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = (
            f"{row['before']} .. {row['after']}",
            f"{row['width']}x{row['height']}",
            f"{row['case']}, {row['what']}",
            f"{row['before_value']:g}",
            f"{row['after_value']:g}",
            f"{row['ratio']:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", nargs="?", help="a revision")
    parser.add_argument("after", nargs="?", default=HERE, help="a revision; the working tree if left out")
    parser.add_argument("--own-models", action="store_true", help="each with the model files of its own")
    parser.add_argument("--cuts", action="store_true", help="measure what `revisions.CUTS` names")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rounds-of-files", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-files", action="store_true", help="photos in memory alone")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.threads)
        return
    if options.cuts:
        pairs = [(before, after, True) for _, before, after in CUTS]
    elif options.before:
        pairs = [(options.before, options.after, options.own_models)]
    else:
        parser.error("name a revision, or --cuts")
    rows = [row for before, after, own in pairs for row in beside(before, after, options, own_models=own)]
    print(table(rows))
    print(machine.store("beside", rows))


if __name__ == "__main__":
    main()
