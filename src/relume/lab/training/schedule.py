"""Learning rate by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from relume.lab.recipe import Optimizer

LOSS = "loss"
"""What validation calls its loss."""


@dataclass
class LearningRate:
    """Learning rate of each step, and the little state that a plateau needs.

    Args:
        optimizer: the recipe's part.
        steps: optimiser steps of the whole run.
    """

    optimizer: Optimizer
    steps: int
    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def at(self, step: int) -> float:
        """Learning rate of 0-based `step`."""
        options = self.optimizer
        warm = min(1.0, (step + 1) / options.warmup) if options.warmup else 1.0
        if options.schedule == "cosine":
            span = max(1, self.steps - options.warmup)
            position = min(1.0, max(0, step - options.warmup) / span)
            return (
                options.min_lr + (options.lr * warm - options.min_lr) * (1 + math.cos(math.pi * position)) / 2
            )
        return max(options.min_lr, options.lr * self.factor) * warm

    def after_validation(self, scores: Mapping[str, float]) -> None:
        """Lower the rate when what is watched has not improved for long enough; plateau only.

        Better is, as in PyTorch's `ReduceLROnPlateau`, a loss below `best (1 - threshold)`, and a PSNR above
        `best (1 + threshold)`.

        Args:
            scores: of a validation.
        """
        options = self.optimizer
        if options.schedule != "plateau":
            return
        value = scores[options.plateau_watches]
        if self.best is None or self._better(value, self.best):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > options.plateau_patience:
            self.factor, self.waited = self.factor * options.plateau_factor, 0

    def _better(self, value: float, best: float) -> bool:
        if self.optimizer.plateau_watches == LOSS:
            return value < best * (1 - self.optimizer.plateau_threshold)
        return value > best * (1 + self.optimizer.plateau_threshold)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {key: value for key, value in asdict(self).items() if key in ("factor", "best", "waited")}

    def restore(self, state: dict[str, Any]) -> None:
        self.factor, self.best, self.waited = state["factor"], state["best"], state["waited"]
