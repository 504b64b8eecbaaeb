"""What benchmarks share: the facts about the machine, how rows are stored, and a draw of images."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")

RESULTS = Path(__file__).parent / "results"


@cache
def facts() -> dict[str, Any]:
    """Processor, versions, commit and day; the commit as it is before a first result changes a file."""
    from relume.evaluate.bench import machine  # not above: processes of earlier revisions have none

    return {**machine(), "commit": _commit()}


def store(name: str, rows: Sequence[dict[str, Any]], *, beside: str = "") -> Path:
    """Write rows, each with the machine's facts, to `results/NAME.csv`; earlier results are replaced.

    Args:
        name: of the table.
        rows: with the same keys.
        beside: a key; earlier rows with another value of it stay, above the new ones.
    """
    machine = facts()
    path = RESULTS / f"{name}.csv"
    new = {str(row[beside]) for row in rows} if beside else set[str]()
    kept = [row for row in _stored(path) if row[beside] not in new] if beside else []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *machine])
        writer.writeheader()
        writer.writerows([*kept, *({**row, **machine} for row in rows)])
    return path


def _stored(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """So many of the items, evenly over all."""
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, min(count, len(items)))]


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=RESULTS).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
