"""Crops per second of recipes on this machine: of the loader, of the step, and of both together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import torch

from relume.errors import RelumeError
from relume.lab.data.batch import Batch
from relume.lab.data.packed import Roots
from relume.lab.data.paired import PairedCrops, load_training_and_validation
from relume.lab.recipe import Phase, Recipe
from relume.lab.tables import to_csv
from relume.lab.training.ahead import Ahead, pick_workers
from relume.lab.training.device import pick_device
from relume.lab.training.loop import Trainer
from relume.lab.training.timing import seconds

IMAGES = 32
"""Pairs of each source that are loaded: enough for batches as a run has them."""


@dataclass(frozen=True)
class Speed:
    """One phase of a recipe on a device.

    Attributes:
        recipe, crop, batch: what was measured.
        loader: crops per second that are made when nothing else is done.
        step: crops per second that are learnt from when one batch is there all the time.
        run: crops per second of a run, where the next batch is made while one is learnt from.
        waiting: share of the run's time that the step alone does not explain.
        device, threads: what computed, and with how many threads where it is a CPU.
        note: why nothing was measured.
    """

    recipe: str
    crop: int = 0
    batch: int = 0
    loader: float = 0.0
    step: float = 0.0
    run: float = 0.0
    waiting: float = 0.0
    device: str = ""
    threads: int = 0
    note: str = ""


def measure(
    recipe: Recipe, roots: Roots, device: str, least: float, workers: int | None = None
) -> Iterator[Speed]:
    """The speed of each phase; one line that says why where the recipe cannot be tried here.

    Args:
        recipe: what to measure.
        roots: data root, or a pack; few of its images are read.
        device: as for training.
        least: seconds that each figure is measured, at least.
        workers: processes that make batches, as for training.
    """
    try:
        chosen = pick_device(device)
        small = replace(recipe, data=replace(recipe.data, limit=min(IMAGES, recipe.data.limit or IMAGES)))
        trainer = Trainer(small, chosen)
        pairs = load_training_and_validation(roots, small.data)[0]
        processes, home = pick_workers(chosen, workers)
        data = PairedCrops(pairs, small.data, small.seed, trainer.method.overview_size, device=home)
        trainer.method.prepare(data)
        for phase in recipe.phases:
            yield _of_phase(trainer, data, phase, least, processes)
    except RelumeError as error:
        yield Speed(recipe.name, note=str(error))


def _of_phase(trainer: Trainer, data: PairedCrops, phase: Phase, least: float, workers: int) -> Speed:
    device = trainer.device
    endless = replace(phase, steps=10**9, epochs=0)
    trainer.recipe = replace(trainer.recipe, phases=(endless,), epochs=0)
    numbers = count()
    ahead = Ahead(data, device, workers)
    loading = seconds(lambda: ahead.batch(next(numbers), endless), device, least)
    fixed = _Fixed(ahead.batch(0, endless))
    step = seconds(lambda: trainer.train_step(fixed), device, least) / phase.accumulation
    run = seconds(lambda: trainer.train_step(ahead), device, least) / phase.accumulation
    ahead.close()
    is_cpu = device.type == "cpu"
    return Speed(
        trainer.recipe.name,
        phase.crop,
        phase.batch,
        loader=round(phase.batch / loading, 1),
        step=round(phase.batch / step, 1),
        run=round(phase.batch / run, 1),
        waiting=round(max(0.0, 1 - step / run), 3),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads() if is_cpu else 0,
    )


class _Fixed:
    """The same batch, whichever is asked for."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, index: int, phase: Phase) -> Batch:
        return self._batch


def table(speeds: Sequence[Speed]) -> str:
    """A line for each phase, for people."""
    lines = [f"{'recipe':22s}{'crops':>12s}{'loader':>10s}{'step':>10s}{'run':>10s}{'waiting':>9s}"]
    for one in speeds:
        if one.note:
            lines.append(f"{one.recipe:22s}{one.note}")
            continue
        size = f"{one.batch} x {one.crop}"
        lines.append(
            f"{one.recipe:22s}{size:>12s}{one.loader:10.1f}{one.step:10.1f}{one.run:10.1f}{one.waiting:9.0%}"
        )
    return "\n".join(lines) + "\n"


def as_csv(speeds: Sequence[Speed]) -> str:
    """The same as CSV."""
    return to_csv(Speed, speeds)
