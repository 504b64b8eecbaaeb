"""How long a run's parts take on this machine, and a recipe that ends in a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from relume.errors import UsageError
from relume.lab.data.paired import LoadedPair
from relume.lab.recipe import Optimizer, Phase, Recipe
from relume.lab.training.ahead import Ahead
from relume.lab.training.validation import validate

if TYPE_CHECKING:
    from relume.lab.training.loop import Trainer

PROBE_SECONDS = 3.0
"""How long steps of each phase are tried, at least; two are tried however long they take."""

VALIDATION_SHARE = 0.1
"""The part of the time that validations may take."""

RESERVE = 0.02
"""The part of the time that is left for what cannot be foreseen."""


@dataclass(frozen=True)
class Timings:
    """Seconds.

    Attributes:
        step: of an optimiser step of each phase.
        validation: of a validation with all that belongs to it.
    """

    step: Mapping[Phase, float]
    validation: float

    @classmethod
    def of(cls, trainer: Trainer, data: Ahead, held_out: Sequence[LoadedPair]) -> Timings:
        """Measure a trainer that is thrown away afterwards; it has learnt from the probe."""
        step: dict[Phase, float] = {}
        for phase in dict.fromkeys(trainer.recipe.phases):
            trainer.recipe = replace(
                trainer.recipe, phases=(replace(phase, steps=10**9, epochs=0),), epochs=0
            )
            step[phase] = seconds(lambda: trainer.train_step(data), trainer.device)
        begun = time.monotonic()
        some = held_out[:: max(1, len(held_out) // 8)]
        validate(trainer.average.network, some, trainer.device, trainer.validation_loss)
        return cls(step, (time.monotonic() - begun) * len(held_out) / len(some))


def seconds(act: Callable[[], object], device: torch.device, least: float = PROBE_SECONDS) -> float:
    """Seconds that something takes, after a first time, which starts processes, and a warm-up."""
    _repeated(act, device, 0.0)
    warm = _repeated(act, device, least / 3)
    return warm if warm > least else _repeated(act, device, least)


def _repeated(act: Callable[[], object], device: torch.device, least: float) -> float:
    """Mean seconds of as many times as take so long, at least one."""
    count, begun, taken = 0, time.monotonic(), 0.0
    while not count or taken < least:
        act()
        count += 1
        wait(device)
        taken = time.monotonic() - begun
    return taken / count


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def fitted(timings: Timings, recipe: Recipe, left: float) -> Recipe:
    """The recipe with phases as long as fit into a time, in the same proportions.

    Validations keep their number, as far as they take a tenth of the time at most.

    Args:
        timings: on this machine.
        recipe: what to scale.
        left: seconds.

    Raises:
        UsageError: not a single step of each phase fits.
    """
    lengths = recipe.lengths()
    whole = sum(steps * timings.step[phase] for phase, steps in lengths)
    every = recipe.validate_every or recipe.epoch_steps(recipe.phases[-1])
    count = max(1, min(recipe.steps // every, int(VALIDATION_SHARE * left / timings.validation)))
    budget = left * (1 - RESERVE) - count * timings.validation
    scale = budget / whole
    if any(steps * scale < 0.5 for _, steps in lengths if steps):
        raise UsageError("the time does not suffice for a step of each phase", "Give more --minutes.")
    return scaled(recipe, scale, count)


def scaled(recipe: Recipe, scale: float, validations: int = 1) -> Recipe:
    """The recipe with phases so many times as long, at least a step each, and with so many validations.

    Where the run becomes shorter, so do warm-ups and the span of the moving average.
    """
    phases = tuple(
        replace(phase, steps=max(1, round(steps * scale)), epochs=0)
        for phase, steps in recipe.lengths()
        if steps
    )
    steps = sum(phase.steps for phase in phases)
    shrink = min(1.0, scale)
    return replace(
        recipe,
        phases=phases,
        epochs=0,
        optimizer=_shortened(recipe.optimizer, shrink),
        adversary=_shortened(recipe.adversary, shrink),
        average=max(0.0, 1 - (1 - recipe.average) / shrink) if recipe.average else 0.0,
        average_warmup=round(recipe.average_warmup * shrink),
        log_every=max(1, min(recipe.log_every, steps // 20)),
        validate_every=-(-steps // validations),
        checkpoint_every=-(-steps // 4),
    )


def _shortened(optimizer: Optimizer, shrink: float) -> Optimizer:
    return replace(optimizer, warmup=round(optimizer.warmup * shrink))
