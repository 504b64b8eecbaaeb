"""Distillation without targets: a student that sees dark photographs, or noise, and a teacher's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import UsageError
from relume.lab import ranks
from relume.lab.data.batch import Batch
from relume.lab.data.patterns import noise_images
from relume.lab.losses import charbonnier
from relume.lab.methods.taught import Taught
from relume.lab.options import NotNegative
from relume.lab.teachers import load_teacher

TERMS = ("imitation", "exposures", "quarters")
INPUTS = ("photographs", "noise")
"""What the student sees: the batch's dark images, or synthetic noise in their place (data-free)."""


class Unsupervised(Taught):
    """A student imitates a teacher and agrees with itself; the batch's targets are never looked at.

    `imitation` is the distance to the teacher's output. The others are consistency: the student's output of
    the same image at other `exposures`, and of its four `quarters`, shall be what it is of the image
    itself. All are Charbonnier distances; what is followed gets no gradient.

    Args:
        network: the student.
        losses: weight of each of `TERMS`.
        teacher: description of the teacher, see `load_teacher`.
        exposures: j; the other exposure is a factor drawn log-uniformly from `[1 / (1 + j), 1 + j]`.
        inputs: one of `INPUTS`.

    Raises:
        UsageError: a name that is none of `TERMS` or `INPUTS`.
        ModelError: the teacher's weights are missing or do not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, float],
        teacher: Mapping[str, Any],
        exposures: NotNegative = 1.0,
        inputs: str = "photographs",
    ) -> None:
        super().__init__()
        if unknown := set(losses) - set(TERMS):
            raise UsageError(f"no loss is called {sorted(unknown)}", f"Choose from: {', '.join(TERMS)}.")
        if inputs not in INPUTS:
            raise UsageError(f"a student cannot see '{inputs}'", f"Choose one of: {', '.join(INPUTS)}.")
        self.network = network
        self.weights = {name: weight for name, weight in losses.items() if weight}
        self.exposures, self.inputs = exposures, inputs
        if "imitation" in self.weights:
            self.teachers["teacher"] = load_teacher(teacher)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return each weighted term; what is minimised is their sum."""
        if self.inputs == "noise":
            noise_BCHW = noise_images(*_sizes(batch.low_BCHW), batch.low_BCHW.device)
            batch = Batch(noise_BCHW, noise_BCHW)
        output_BCHW = self._student(batch)
        terms = {
            "imitation": lambda: charbonnier(output_BCHW, self.teachers["teacher"].output(batch).float()),
            "exposures": lambda: charbonnier(self._student(self._exposed(batch)), output_BCHW.detach()),
            "quarters": lambda: charbonnier(self._student(quartered(batch)), quarters(output_BCHW.detach())),
        }
        return {name: weight * terms[name]() for name, weight in self.weights.items()}

    def _student(self, batch: Batch) -> Tensor:
        return self.network(*batch.inputs(self.network)).float()

    def _exposed(self, batch: Batch) -> Batch:
        """The same images at other exposures."""
        drawn_B111 = ranks.drawn_for_all(batch.low_BCHW[:, :1, :1, :1])
        factor_B111 = (1 + self.exposures) ** (2 * drawn_B111 - 1)
        small = batch.thumbnail_BCST
        return replace(
            batch,
            low_BCHW=(batch.low_BCHW * factor_B111).clamp(max=1),
            thumbnail_BCST=None if small is None else (small * factor_B111).clamp(max=1),
        )


def quarters(images_BCHW: Tensor) -> Tensor:
    """The four quarters of each image: 4 B x C x H/2 x W/2, all upper left ones first."""
    cut_BCYHXW = images_BCHW.unflatten(3, (2, -1)).unflatten(2, (2, -1))
    return cut_BCYHXW.permute(2, 4, 0, 1, 3, 5).flatten(0, 2)


def quartered(batch: Batch) -> Batch:
    """The four quarters of a batch's dark images, each with the surroundings of its whole; no targets."""
    low_BCHW = quarters(batch.low_BCHW)
    small, window_B4 = batch.thumbnail_BCST, batch.window_B4
    if window_B4 is not None:
        window_B4 = torch.cat([_part(window_B4, row, column) for row in (0, 1) for column in (0, 1)])
    return Batch(low_BCHW, low_BCHW, None if small is None else small.repeat(4, 1, 1, 1), window_B4)


def _part(window_B4: Tensor, row: int, column: int) -> Tensor:
    """A quarter's window: half of the rows and of the columns."""
    top, bottom, left, right = window_B4.unbind(1)
    height, width = (bottom - top) / 2, (right - left) / 2
    upper, first = top + row * height, left + column * width
    return torch.stack([upper, upper + height, first, first + width], 1)


def _sizes(images_BCHW: Tensor) -> tuple[int, int, int]:
    count, _, height, width = images_BCHW.shape
    return count, height, width
