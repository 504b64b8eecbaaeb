"""Where the time goes, file to file: one row a stage of a process that enhances one photo.

    python benchmarks/stages.py [--repeats 5] [--threads 2]

Each process begins anew, so start-up counts: of Python, of what relume imports, of the sessions. Seconds
are medians; processor seconds add up all threads, and say more than the others where a machine is busy.
`codec` is the whole of another process that imports NumPy and pyvips, decodes the photo and encodes the
result, which `ratio` compares with; `process` is `relume enhance` itself, as its user waits for it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import machine

from relume.evaluate.bench import codec, process, scene
from relume.photo import Photo, write_photo

SIZES = ((1920, 1080), (4000, 3000), (8000, 6000))

_STAGES = r"""
import json, os, sys, time
born, source, target, threads = float(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `relume` does
rows, last = [], [born, 0.0]
def mark(stage):
    now, used = time.time(), time.process_time()
    rows.append((stage, now - last[0], used - last[1]))
    last[:] = now, used
mark("start of Python")
from pathlib import Path
import numpy
import relume.cli.app, relume.cli.enhance
mark("command line")
from relume.enhancer import Enhancer
from relume.jobs.batch import Result
from relume.jobs.plan import Output
from relume.photo import read_photo
from relume.photo.vips import set_limits
mark("imports")
enhancer = Enhancer(threads=threads)
set_limits(threads)
mark("sessions")
photo = read_photo(Path(source))
mark("decode")
inside = {}
def timed(name, owner, attribute):
    work = getattr(owner, attribute)
    def run(*arguments, **named):
        before = time.time(), time.process_time()
        try:
            return work(*arguments, **named)
        finally:
            wall, used = inside.get(name, (0.0, 0.0))
            inside[name] = wall + time.time() - before[0], used + time.process_time() - before[1]
    setattr(owner, attribute, run)
def split(stage):
    # What was timed inside becomes rows of its own, and the rest is what surrounds it.
    mark(stage)
    name, wall, used = rows.pop()
    for inner, (seconds, processor) in inside.items():
        rows.append((inner, seconds, processor))
        wall, used = wall - seconds, used - processor
    rows.append((name, wall, used))
    inside.clear()
import relume.look.decide as decide, relume.look.render as render
model = enhancer._model
timed("thumbnail", decide, "_overview")
timed("global network", model.global_pass, "run")
timed("local network on the thumbnail", model.local_pass, "run")
look = enhancer.decide(photo)
split("controls settled")
model.local_pass.run = type(model.local_pass).run.__get__(model.local_pass)
timed("local network", model.local_pass, "run")
timed("pixels in, guided filter, controls, pixels out", render, "_in_strips")
result = enhancer.render(photo, look)
split("tiles around these")
Result(photo, result, Path(source), Output()).write(Path(target), "")
mark("encode")
print(json.dumps(rows))
"""


def measure(width: int, height: int, threads: int, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """The rows of one size."""
    import numpy as np

    from relume.photo import read_photo

    source, target, pixels = folder / "photo.jpg", folder / "result.jpg", folder / "result.npy"
    write_photo(Photo(scene(width, height)), source)
    command = [sys.executable, "-m", "relume", "enhance", str(source), "-o", str(target), "-q"]
    wholes, codecs, seconds = [], [], {}
    for repeat in range(repeats + 1):
        whole = process([*command, "--threads", str(threads)])[:2]
        np.save(pixels, read_photo(target).rgb_HWC)
        other = str(folder / "codec.jpg")
        alone = codec(source, pixels, Path(other))
        arguments = [repr(time.time()), str(source), other, str(threads)]
        staged = json.loads(process([sys.executable, "-c", _STAGES, *arguments])[2])
        if repeat:  # the first warms up what the system keeps of files
            wholes.append(whole)
            codecs.append(alone)
            for stage, *times in staged:
                seconds.setdefault(stage, []).append(times)
    named = {**seconds, "process": wholes, "codec": codecs}
    medians = {
        stage: [median(values) for values in zip(*times, strict=True)] for stage, times in named.items()
    }
    return [
        {
            "width": width,
            "height": height,
            "stage": stage,
            "seconds": round(wall, 4),
            "processor_seconds": round(used, 4),
            "ratio": round(wall / medians["codec"][0], 2),
            "processor_ratio": round(used / medians["codec"][1], 2),
            "threads": threads,
        }
        for stage, (wall, used) in medians.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            rows += measure(*size, options.threads, options.repeats, Path(folder))
    for row in rows:
        print(f"{row['width']:5d} {row['stage']:48s}{row['seconds']:8.3f}{row['processor_seconds']:8.3f}")
    print(machine.store("stages", rows))


if __name__ == "__main__":
    main()
