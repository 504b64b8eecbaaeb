"""`lol` once more, taught by finished runs of itself: self-distillation, and an ensemble in one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relume.lab.recipe import Recipe
from relume.lab.recipes.lol import lol

LOSSES = {"charbonnier": 0.25, "imitation-earlier": 0.5, "ssim": 0.5}
"""Half of the distance to the target is replaced by the distance to what earlier runs make of it.

The method takes `charbonnier` on images in [-1, 1], where distances are twice as long, and imitation on
those in [0, 1]: both have the same share. It has no `brightening` term.
"""


def lol_self() -> Recipe:
    """`lol` from the start, with the finished run `runs/lol` as its teacher.

    Furlanello et al., "Born-Again Neural Networks", ICML 2018.
    """
    return _taught("lol-self", ["runs/lol"])


def lol_ensemble() -> Recipe:
    """`lol` from the start, taught by the mean of three seeds: `runs/lol`, `runs/lol-1` and `runs/lol-2`.

    The student costs what one of them does; their mean, three times as much.
    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    return _taught("lol-ensemble", ["runs/lol", "runs/lol-1", "runs/lol-2"])


def _taught(name: str, runs: Sequence[str]) -> Recipe:
    teacher = {"ensemble": [{"run": run} for run in runs]} if len(runs) > 1 else {"run": runs[0]}
    return replace(
        lol(),
        name=name,
        method="multi-teacher",
        method_options={"teachers": {"earlier": teacher}},
        losses=LOSSES,
    )
