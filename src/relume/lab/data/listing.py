"""The pairs of a folder, however it names them."""

from __future__ import annotations

import csv
from pathlib import Path

from relume.errors import DataError
from relume.evaluate.pairs import Pair, find_pairs

LIST = "pairs.csv"


def list_pairs(folder: Path) -> list[Pair]:
    """Pairs of a folder: those that its `pairs.csv` lists (called after the dark frame), or those of `low/`
    and `high/`.

    Raises:
        DataError: an image, a column or all of them are missing.
    """
    file = folder / LIST
    if not file.is_file():
        return find_pairs(folder / "low", folder / "high")
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"low", "high"} <= rows[0].keys():
        raise DataError("it lists no pairs", "It needs a heading `scene,low,high`, and lines.", path=file)
    frames = folder / "frames"
    pairs = [Pair(Path(row["low"]).stem, frames / row["low"], frames / row["high"]) for row in rows]
    for path in (path for pair in pairs for path in (pair.low, pair.high)):
        if not path.is_file():
            raise DataError("the list names an image that is not there", "Get the set again.", path=path)
    return pairs
