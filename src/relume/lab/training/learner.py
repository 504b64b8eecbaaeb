"""Who learns in a run: parameters, their optimiser and its learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from relume.lab.recipe import Optimizer, Recipe
from relume.lab.training.schedule import LearningRate

FILM = "film"
"""Name of layers whose output scales and shifts features: decay would draw these to the identity."""


class Learner:
    """Parameters that minimise one loss by AdamW; a run has one, or two where an adversary learns too.

    Args:
        parameters: what is trained, by name.
        options: AdamW and its schedule.
        recipe: how long the run is, and its phases' factors on the learning rate.
        device: where it computes.
        precision: of the forward passes; float16 needs its gradients scaled.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        options: Optimizer,
        recipe: Recipe,
        device: torch.device,
        precision: str,
    ) -> None:
        self.parameters = list(parameters.values())
        self.options = options
        self.recipe = recipe
        self.optimizer = torch.optim.AdamW(
            _groups(parameters, options.weight_decay),
            lr=options.lr,
            betas=options.betas,
            fused=device.type == "cuda",
        )
        self.rate = LearningRate(options, recipe.steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    def rate_at(self, step: int) -> float:
        """Learning rate of 0-based `step`."""
        return self.rate.at(step) * self.recipe.rate_factor(step)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of earlier batches of the step."""
        self.scaler.scale(loss).backward()

    def update(self, step: int, *, keep: bool = False) -> None:
        """Take the optimiser's 0-based `step`, and forget the gradients.

        Args:
            step: 0-based.
            keep: set the gradients to zero in place, as recorded steps need them.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate_at(step)
        if self.options.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=not keep)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "rate": self.rate.state(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.rate.restore(state["rate"])
        self.scaler.load_state_dict(state["scaler"])


def _groups(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Kernels and matrices, which decay, and all else, which does not: biases, norms, FiLM."""
    decaying = {name for name, value in parameters.items() if value.ndim > 1 and FILM not in name.split(".")}
    groups = [
        {
            "params": [value for name, value in parameters.items() if name in decaying],
            "weight_decay": weight_decay,
        },
        {
            "params": [value for name, value in parameters.items() if name not in decaying],
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]
