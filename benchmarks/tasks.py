"""Tables of docs/tasks.md from checked-in results, and with --measure those results.

    python benchmarks/tasks.py                      # results -> tables; seconds
    python benchmarks/tasks.py --measure            # measure first: text, lines of text, faces
    python benchmarks/tasks.py --measure ocr --models lol,photo

Faces need photographs in $RELUME_DATA/clean.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

from relume.evaluate.tasks.protocol import Measured
from relume.evaluate.tasks.report import task_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/tasks.md"
CLASSICAL = "input,gamma,clahe"
TASKS = ("ocr", "detection", "faces")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--measure", nargs="*", metavar="WHAT", help=f"of {', '.join(TASKS)}; all without names"
    )
    parser.add_argument("--models", default="lol,photo")
    arguments = parser.parse_args()
    if arguments.measure is not None:
        for name in arguments.measure or TASKS:
            measure(name, arguments.models)
    page = PAGE.read_text(encoding="utf-8")
    for name in TASKS:
        if results(name).is_file():
            page = put(page, name, task_table(read(results(name)), markdown=True))
    PAGE.write_text(page, encoding="utf-8")


def results(name: str) -> Path:
    return ROOT / f"benchmarks/results/task_{name}.csv"


def measure(name: str, models: str) -> None:
    """One `relume evaluate --task` into the results and the picture of the page."""
    folder = [Path(os.environ["RELUME_DATA"]) / "clean"] if name == "faces" else []
    picture = ROOT / f"docs/images/task_{name}.png"
    compared = ["--models", models, "--classical", CLASSICAL]
    written = ["--table", results(name), "--picture", picture]
    command = ["evaluate", *folder, "--task", name, *compared, *written]
    subprocess.run([sys.executable, "-m", "relume", *map(str, command)], check=True)


def read(file: Path) -> list[Measured]:
    """Rows of `task_csv`."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Measured(
                row["method"],
                1 / float(row["light"].removeprefix("1/")),
                int(row["images"]),
                *(float(row[key]) for key in ("score", "low", "high")),
            )
            for row in csv.DictReader(lines)
        ]


def put(page: str, name: str, table: str) -> str:
    """The page with another table between `<!-- NAME -->` and `<!-- /NAME -->`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}", lambda _: f"{start}\n{table}{end}", page, flags=re.DOTALL
    )


if __name__ == "__main__":
    main()
