"""The benchmark model `lol`: the default network on LOL-v1."""

from __future__ import annotations

from relume.lab.training.recipe import Data, Optimizer, Phase, Recipe


def lol() -> Recipe:
    """All of our485 at a fixed budget; every choice was made with `lol_validation`."""
    return Recipe(
        name="lol",
        phases=(Phase(4000, 128, 16), Phase(2000, 192, 12), Phase(1200, 256, 8)),
        data=Data(subset="all", exposure_jitter=0.5),
        optimizer=Optimizer(lr=1e-3),
    )


def lol_validation() -> Recipe:
    """The same without the validation scenes, to choose by and to report a scene-disjoint score."""
    recipe = lol()
    return Recipe(
        name="lol-validation",
        phases=recipe.phases,
        data=Data(exposure_jitter=0.5),
        optimizer=recipe.optimizer,
    )
