"""Tables of docs/tasks.md from checked-in results, and with --measure those results.

    python benchmarks/tasks.py                      # results -> tables; seconds
    python benchmarks/tasks.py --measure            # measure first: text, lines, faces, stress
    python benchmarks/tasks.py --measure ocr --models lol,photo
    python benchmarks/tasks.py --measure --again photo   # this model alone; what else was measured stays

Faces and stress need photographs in $RELUME_DATA/clean.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from relume.evaluate.report import markdown_table
from relume.evaluate.stress import Stressed, stress_picture
from relume.evaluate.tasks import make_task
from relume.evaluate.tasks.protocol import Measured
from relume.evaluate.tasks.report import task_picture, task_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/tasks.md"
INPUT = "input"
CLASSICAL = "input,gamma,clahe"
TASKS = ("ocr", "detection", "faces")
STRESS = "stress"
PHOTOGRAPHS = {"faces": ("clean", 16), STRESS: ("clean/open", 4)}
"""Folders of well-lit ones below the data root, and how many are taken."""
STRESS_MEANS = ("psnr", "ssim", "mean_luma", "clipped_highlights", "noise_sigma")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--measure", nargs="*", metavar="WHAT", help=f"of {', '.join((*TASKS, STRESS))}; all without names"
    )
    parser.add_argument("--models", default="lol,photo")
    parser.add_argument(
        "--again",
        metavar="MODELS",
        help="measure these alone, and keep the rows of all else, as long as the input's are the same",
    )
    arguments = parser.parse_args()
    if arguments.measure is not None:
        for name in arguments.measure or (*TASKS, STRESS):
            if arguments.again:
                measure_again(name, arguments.again)
            else:
                measure(name, arguments.models)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """The page with the tables of all results that are there."""
    for name in TASKS:
        if results(name).is_file():
            page = put(page, name, task_table(read(results(name)), markdown=True))
    if results(STRESS).is_file():
        page = put(page, STRESS, stress_tables(results(STRESS)))
    return page


def results(name: str) -> Path:
    return ROOT / f"benchmarks/results/task_{name}.csv"


def picture(name: str) -> Path:
    return ROOT / f"docs/images/task_{name}.png"


def measure(name: str, models: str) -> None:
    """One `relume evaluate --task` into the results and the picture of the page."""
    classical = INPUT if name == STRESS else CLASSICAL
    evaluate(name, models, classical, results(name), picture(name))


def measure_again(name: str, models: str) -> None:
    """The same of some models, whose rows alone are replaced."""
    with TemporaryDirectory() as folder:
        part = Path(folder) / "part.csv"
        evaluate(name, models, INPUT, part)
        merged = replaced(results(name).read_text("utf-8"), part.read_text("utf-8"), models.split(","))
    results(name).write_text(merged, encoding="utf-8")
    picture(name).write_bytes(drawn(name))


def evaluate(name: str, models: str, classical: str, *written: Path) -> None:
    folder, limit = PHOTOGRAPHS.get(name, ("", 0))
    photographs = [Path(os.environ["RELUME_DATA"]) / folder] if folder else []
    what = ["--stress"] if name == STRESS else ["--task", name]
    outputs = [word for file in written for word in ("-o", file)]
    compared = ["--models", models, "--classical", classical]
    command = ["evaluate", *photographs, *what, "--limit", limit, *compared, "--threads", 1, *outputs]
    subprocess.run([sys.executable, "-m", "relume", *map(str, command)], check=True)


def replaced(whole: str, part: str, methods: Sequence[str]) -> str:
    """A CSV file with the rows of some methods from another one, which measured the same otherwise.

    Raises:
        SystemExit: the input scored otherwise, so that what is kept is not comparable.
    """
    ours, theirs = ([*csv.DictReader(io.StringIO(text))] for text in (whole, part))
    kept, again = ([row for row in rows if row["method"] == INPUT] for rows in (ours, theirs))
    if kept != again:
        raise SystemExit(
            "the input itself scores otherwise than before: measure everything (without --again)"
        )
    known = [key for key in ("method", "light", "trial", "level") if key in ours[0]]
    new = {tuple(row[key] for key in known): row for row in theirs if row["method"] in methods}
    text = io.StringIO()
    writer = csv.DictWriter(text, ours[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(new.get(tuple(row[key] for key in known), row) for row in ours)
    return text.getvalue()


def drawn(name: str) -> bytes:
    """The picture of checked-in results."""
    if name != STRESS:
        return task_picture(make_task(name), read(results(name)), ".png")
    through: dict[str, list[Stressed]] = {}
    with results(STRESS).open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            through.setdefault(row["method"], []).append(stressed(row))
    return stress_picture(through, ".png")


def stressed(row: Mapping[str, str]) -> Stressed:
    psnr, ssim, luma, clipped, noise = (float(row[key]) if row[key] else None for key in STRESS_MEANS)
    counts = int(row["images"]), int(row["failed"])
    return Stressed(row["trial"], row["level"], *counts, psnr, ssim, luma, clipped, noise)


def read(file: Path) -> list[Measured]:
    """Rows of `task_csv`."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Measured(
                row["method"],
                1 / float(row["light"].removeprefix("1/")),
                int(row["images"]),
                *(float(row[key]) for key in ("score", "low", "high")),
                *(float(row[key]) if row[key] else None for key in ("gain", "gain_low", "gain_high")),
            )
            for row in csv.DictReader(lines)
        ]


def stress_tables(file: Path) -> str:
    """PSNR and SSIM of every method, one row a trial."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    table = [["trial", "level", *(f"{method}: PSNR, SSIM, noise" for method in methods)]]
    for trial, level in dict.fromkeys((row["trial"], row["level"]) for row in rows):
        place = {row["method"]: row for row in rows if (row["trial"], row["level"]) == (trial, level)}
        table.append([trial, level, *(stress_cell(place[method]) for method in methods)])
    return markdown_table(table)


def stress_cell(row: dict[str, str]) -> str:
    failed = f" ({row['failed']} failed)" if int(row["failed"]) else ""
    if not row["psnr"]:
        return f"-{failed}"
    return f"{float(row['psnr']):.1f}, {float(row['ssim']):.3f}, {float(row['noise_sigma']):.4f}{failed}"


def put(page: str, name: str, table: str) -> str:
    """The page with another table between `<!-- NAME -->` and `<!-- /NAME -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}", lambda _: f"{start}\n{table}{end}", page, flags=re.DOTALL
    )


if __name__ == "__main__":
    main()
