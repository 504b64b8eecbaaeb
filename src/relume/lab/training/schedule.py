"""Learning rate by step."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from relume.lab.recipe import Optimizer


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
    best: float = -math.inf
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

    def after_validation(self, score: float) -> None:
        """Lower the rate when `score` (higher is better) has not improved for long enough; plateau only."""
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.optimizer.schedule == "plateau" and self.waited > self.optimizer.plateau_patience:
            self.factor, self.waited = self.factor * self.optimizer.plateau_factor, 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {key: value for key, value in asdict(self).items() if key in ("factor", "best", "waited")}

    def restore(self, state: dict[str, Any]) -> None:
        self.factor, self.best, self.waited = state["factor"], state["best"], state["waited"]
