"""Making of training batches beside an earlier revision's, in one run and in turn, on one core.

    python benchmarks/loader.py DATA [--before 9369df5] [--rounds 5]

Each revision makes batches of 16 crops of 128 pixels, with thumbnails of 128, of its own recipes `lol` and
`photo`, from the same pairs. The recipe `photo` draws more since; `photo as then` leaves out what has come:
uneven light, back light, lamps, phones, blotches, noise of rows, and made nights and gradients. Crops per
second of processor time, and the median of the rounds' ratios, go to standard output and
`results/loader.csv`. What a run makes of it, `relume lab bench` tells.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import machine
from beside import in_turn
from revisions import HERE, Source, asked, sources

BEFORE = "9369df5"
"""The last revision whose batches were cut pair by pair."""

RECIPES = ("lol", "photo", "photo as then")
_SINCE = ("uneven", "back_lit", "lamps", "phone")
_MADE = ("nights", "gradients")
CROP, BATCH, THUMBNAIL, BATCHES, PAIRS = 128, 16, 128, 30, 24


def serve(data: Path) -> None:
    """What the process of a revision does: make batches of the recipe that each line of stdin names."""
    import torch

    from relume.lab.data.paired import PairedCrops, load_pairs, training_and_validation
    from relume.lab.recipe import Phase
    from relume.lab.recipes import get_recipe

    torch.set_num_threads(1)
    made: dict[str, Any] = {}
    phase = Phase(1, CROP, BATCH)
    for line in sys.stdin:
        name, index = json.loads(line)
        if name not in made:
            recipe = get_recipe(name.split()[0])
            if name != name.split()[0]:
                recipe = replace(recipe, data=_as_then(recipe.data))
            by_source: dict[str, list[Any]] = {}
            for pair in training_and_validation(data, recipe.data)[0]:
                by_source.setdefault(getattr(getattr(pair, "source", None), "name", ""), []).append(pair)
            chosen = [pair for pairs in by_source.values() for pair in machine.spread(pairs, PAIRS)]
            made[name] = PairedCrops(load_pairs(chosen), recipe.data, 0, THUMBNAIL)
        started = time.process_time()
        for number in range(index, index + BATCHES):
            made[name].batch(number, phase)
        print(BATCHES * BATCH / (time.process_time() - started), flush=True)


def _as_then(data: Any) -> Any:
    """The recipe's data without what an earlier revision had not, where it has it."""
    kept: list[Any] = []
    for source in data.sources:
        known = {field.name for field in fields(source.darkness)}
        off: dict[str, Any] = {name: 0.0 for name in _SINCE if name in known}
        off |= {name: (0.0, 0.0) for name in ("row_noise", "chroma_noise", "lost") if name in known}
        if source.kind not in _MADE:
            kept.append(replace(source, darkness=replace(source.darkness, **off)))
    return replace(data, sources=tuple(kept))


def measured(found: list[Source], data: Path, rounds: int) -> list[dict[str, Any]]:
    """A row for each recipe."""
    rows: list[dict[str, Any]] = []
    with asked(found, __file__, str(data), "--serve") as asks:
        for name in RECIPES:
            numbers = count(BATCHES, BATCHES)

            def rate(place: int, name: str = name, numbers: Iterator[int] = numbers) -> float:
                return asks[place](json.dumps([name, next(numbers)]))

            before, after = in_turn(found, rounds, rate)
            ratio = median(new / old for old, new in zip(before, after, strict=True))
            rows.append(
                {
                    "recipe": name,
                    "before": found[0].revision,
                    "before_crops_per_second": round(median(before), 1),
                    "crops_per_second": round(median(after), 1),
                    "ratio": round(ratio, 2),
                    "rounds": rounds,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.data)
        return
    machine.facts()
    with sources(arguments.before, HERE) as found:
        rows = measured(found, arguments.data, arguments.rounds)
    for row in rows:
        print(*(f"{name} {value}" for name, value in row.items()), sep="  ")
    print(machine.store("loader", rows))


if __name__ == "__main__":
    main()
