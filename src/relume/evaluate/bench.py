"""What each shipped model costs here, by engine and precision, beside decoding and encoding the photo alone.

Whole processes are measured, file to file, as their user waits for them: start of Python, imports, sessions,
decoding, the enhancement with its default settings, encoding. All run in turn, round by round, so that a
drift of the machine's speed falls on all.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from relume.errors import Fault
from relume.evaluate.figure import encoded, new_figure
from relume.models import Card, list_models, load_card, load_graph
from relume.models.card import graphs_for, has_precision
from relume.models.engines.openvino import has_bfloat16
from relume.options import BFLOAT16, ENGINES
from relume.photo import Photo, read_photo, write_photo
from relume.version import __version__

SIZES = ((600, 400), (1920, 1080), (4000, 3000))
"""Width and height of the photos."""

PRECISIONS = ("float32", "int8", BFLOAT16)

_QUALITY = 95
"""Of the JPEG files, relume's default."""


@dataclass(frozen=True)
class Peer:
    """Another method, by what was published of it.

    Attributes:
        name: of the method.
        gmacs: operations for an image of 256 x 256, in units of 1e9.
        psnr: plain, of the 15 pairs of LOL-v1's `eval15`, in dB.
    """

    name: str
    gmacs: float
    psnr: float


PEERS = (
    Peer("CATFormer", 4.35, 24.87),
    Peer("HVI-CIDNet", 7.6, 23.5),
    Peer("Retinexformer", 15.6, 25.15),
    Peer("Spike-RetinexFormer", 16.0, 25.50),
    Peer("SNR-Net", 26.0, 24.61),
    Peer("MIRNet-v2", 140.0, 24.74),
)
"""As their authors published them, most with the checkpoint that did best on these pairs; HVI-CIDNet's lower
figure of two. None of them names times on a processor."""

PEERS_SOURCE = "as published by their authors"


@dataclass(frozen=True)
class Variant:
    """What is measured: a model in an engine, at a precision."""

    model: str
    engine: str
    precision: str


@dataclass(frozen=True)
class Cost:
    """What a variant takes for a photo of one size, from file to file.

    Attributes:
        model, engine, precision: the variant.
        width, height: of the photo.
        seconds: of the whole process, the median of all rounds.
        processor_seconds: those of all its threads, which other programs disturb less.
        ratio, processor_ratio: over those of a process that imports NumPy and pyvips, decodes the photo and
            encodes the result.
        peak_mib: most memory that the process held; 0 where the system does not tell.
        graphs_mib: size of the model's graphs.
        psnr: what the model's card says of `eval15`, alone, in single precision; 0 where it says nothing.
        threads, rounds: as given.
    """

    model: str
    engine: str
    precision: str
    width: int
    height: int
    seconds: float
    processor_seconds: float
    ratio: float
    processor_ratio: float
    peak_mib: int
    graphs_mib: float
    psnr: float
    threads: int
    rounds: int


@dataclass
class _Times:
    """Of one kind of process, round by round."""

    seconds: list[float] = field(default_factory=list[float])
    processor: list[float] = field(default_factory=list[float])
    peak_kib: int = 0


_CODEC = """
import sys, numpy, pyvips
source, result, target, quality = sys.argv[1:]
pyvips.Image.new_from_file(source).numpy()
pixels = numpy.load(result, mmap_mode="r")
pyvips.Image.new_from_array(pixels).write_to_file(target, Q=int(quality))
"""

_RELUME = """
from relume.cli import main
try:
    main()
finally:
    # VmHWM belongs to this program alone; getrusage would count what the parent held when it forked.
    try:
        with open("/proc/self/status") as status:
            print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
    except OSError:
        print(0)
"""


def variants(models: Sequence[str]) -> list[Variant]:
    """Every engine that is installed, and every precision that the cards have, or it and the processor.

    Raises:
        ModelError: no such model.
    """
    installed = [engine for engine in ENGINES if find_spec(engine)]
    return [
        Variant(model, engine, precision)
        for model in models or list_models()
        for engine in installed
        for precision in PRECISIONS
        if precision == "float32" or _is_there(load_card(model), engine, precision)
    ]


def _is_there(card: Card, engine: str, precision: str) -> bool:
    if precision != BFLOAT16:
        return has_precision(card, precision)
    return engine == "openvino" and has_bfloat16()


def measure(
    chosen: Sequence[Variant], width: int, height: int, *, threads: int, rounds: int
) -> Iterator[Cost]:
    """The costs for a photo of one size.

    Args:
        chosen: from `variants`.
        width, height: of the photo, a dark and noisy one that is made up.
        threads: of each process.
        rounds: how often each runs, after a first time that does not count.

    Raises:
        Fault: a process failed.
    """
    with tempfile.TemporaryDirectory(prefix="relume-") as name:
        folder = Path(name)
        source, target, pixels = folder / "photo.jpg", folder / "result.jpg", folder / "result.npy"
        write_photo(Photo(scene(width, height)), source, quality=_QUALITY)
        of_codec, times = _Times(), {each: _Times() for each in chosen}
        for counted in range(rounds + 1):
            for each in chosen:
                seconds, processor, said = enhanced(source, target, each, threads)
                if counted:
                    times[each].seconds.append(seconds)
                    times[each].processor.append(processor)
                times[each].peak_kib = max(times[each].peak_kib, int(said.split()[-1]))
            if not counted:
                np.save(pixels, read_photo(target).rgb_HWC)
            seconds, processor = codec(source, pixels, folder / "codec.jpg")
            if counted:
                of_codec.seconds.append(seconds)
                of_codec.processor.append(processor)
    for each, taken in times.items():
        yield _cost(each, width, height, taken, of_codec, threads)


def _cost(each: Variant, width: int, height: int, taken: _Times, of_codec: _Times, threads: int) -> Cost:
    seconds, processor = median(taken.seconds), median(taken.processor)
    card = load_card(each.model)
    return Cost(
        **asdict(each),
        width=width,
        height=height,
        seconds=round(seconds, 3),
        processor_seconds=round(processor, 3),
        ratio=round(seconds / median(of_codec.seconds), 2),
        processor_ratio=round(processor / median(of_codec.processor), 2),
        peak_mib=round(taken.peak_kib / 1024),
        graphs_mib=round(_bytes(card, each) / 2**20, 2),
        psnr=float(card.metrics.get("eval15", {}).get("psnr", 0.0)),
        threads=threads,
        rounds=len(taken.seconds),
    )


def _bytes(card: Card, each: Variant) -> int:
    files = graphs_for(card, "float32" if each.precision == BFLOAT16 else each.precision).values()
    return sum(len(load_graph(each.model, card, file)) for file in files)


def enhanced(source: Path, target: Path, each: Variant, threads: int) -> tuple[float, float, str]:
    """Seconds and processor seconds of `relume enhance`, and the most memory that it held, in KiB."""
    options = {"--model": each.model, "--engine": each.engine, "--precision": each.precision}
    words = [word for option in options.items() for word in option]
    command = ["enhance", str(source), "-o", str(target), "-q", "--device", "cpu", *words]
    return process([sys.executable, "-c", _RELUME, *command, "--threads", str(threads)])


def codec(source: Path, result: Path, target: Path) -> tuple[float, float]:
    """Seconds and processor seconds of the process that others are compared with.

    Args:
        source: the photo, which is decoded.
        result: pixels as NumPy saves them, which are encoded.
        target: where they go.
    """
    command = [sys.executable, "-c", _CODEC, str(source), str(result), str(target), str(_QUALITY)]
    return process(command)[:2]


def process(command: Sequence[str]) -> tuple[float, float, str]:
    """Seconds of a whole process, its processor seconds, and what it printed.

    Raises:
        Fault: it failed.
    """
    # As installed: modules are compiled once, and not in each process as this variable would have it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own
        command, capture_output=True, text=True, check=False, env=environment
    )
    seconds, after = time.perf_counter() - started, os.times()
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise Fault(f"a process that was measured failed: {said}", "Run: relume doctor")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used, done.stdout


def scene(width: int, height: int) -> npt.NDArray[np.uint8]:
    """A dark, noisy scene with structure, H x W x 3."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 50, (-(-height // 100), -(-width // 100), 3), dtype=np.uint8)
    noise = random.integers(0, 8, (height, width, 3), dtype=np.uint8)
    return coarse.repeat(100, 0).repeat(100, 1)[:height, :width] + noise


def machine() -> dict[str, str | int]:
    """Processor, versions and day."""
    engines = {name: metadata.version(name) for name in ENGINES if find_spec(name)}
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        **engines,
        "relume": __version__,
        "date": date.today().isoformat(),
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    for line in told.read_text().splitlines() if told.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def records(costs: Sequence[Cost]) -> list[dict[str, str | float]]:
    """A flat, JSON-ready record of each cost, with the machine."""
    return [{**asdict(cost), **machine()} for cost in costs]


HEADINGS = {
    "seconds": "seconds",
    "processor_seconds": "processor s",
    "ratio": "ratio",
    "processor_ratio": "processor ratio",
    "peak_mib": "peak MiB",
    "graphs_mib": "graphs MiB",
}
"""Of a table's columns of figures, by the fields of `Cost`."""


def rows(costs: Sequence[Cost]) -> list[list[str]]:
    """Cells of a table, headings first."""
    cells = [
        [_name(cost), f"{cost.width}x{cost.height}"] + [str(getattr(cost, name)) for name in HEADINGS]
        for cost in costs
    ]
    return [["model, engine, precision", "photo", *HEADINGS.values()], *cells]


def _name(cost: Cost) -> str:
    return f"{cost.model}, {cost.engine}, {cost.precision}"


def as_csv(costs: Sequence[Cost]) -> str:
    """A line a cost, with the machine."""
    told = records(costs)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(told[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(told)
    return text.getvalue()


def picture(costs: Sequence[Cost], suffix: str) -> bytes:
    """Quality against time, by the smallest photo that was measured; and against operations, with `PEERS`.

    Args:
        suffix: ending of the file's name.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    figure = new_figure(11, 4.5)
    by_time, by_work = figure.subplots(1, 2, sharey=True)
    width, height = min(((cost.width, cost.height) for cost in costs), key=lambda sides: sides[0] * sides[1])
    for cost in costs:
        if (cost.width, cost.height) == (width, height):
            by_time.scatter(cost.processor_seconds, cost.psnr, label=_name(cost))
    by_time.set_xlabel(f"processor seconds from file to file, {width} x {height}")
    by_time.set_ylabel("PSNR of LOL-v1's eval15, plain, dB")
    by_time.legend(fontsize=8)
    ours = {cost.model: (load_card(cost.model).gmacs_256, cost.psnr) for cost in costs}
    points = {**ours, **{peer.name: (peer.gmacs, peer.psnr) for peer in PEERS}}
    for name, (gmacs, psnr) in points.items():
        by_work.scatter(gmacs, psnr, color="C0" if name in ours else "0.6")
        by_work.annotate(name, (gmacs, psnr), xytext=(4, 4), textcoords="offset points", fontsize=8)
    by_work.set_xscale("log")
    by_work.set_xlabel(f"multiply-adds at 256 x 256, in 1e9 (grey: {PEERS_SOURCE})", fontsize=8)
    return encoded(figure, suffix)
