"""The benchmark model `lol`: the default network on LOL-v1."""

from __future__ import annotations

from relume.lab.training.recipe import Data, Optimizer, Phase, Recipe


def lol() -> Recipe:
    """our485 without the validation scenes, so that the shipped weights have an honest held-out score.

    How bright a target of LOL-v1 is has little to do with its input: the same scene was photographed again
    and again. So the input's exposure is jittered, and a crop's thumbnail shows a random part of the image.
    """
    return Recipe(
        name="lol",
        phases=(Phase(5000, 128, 16), Phase(2500, 192, 12), Phase(1500, 256, 8)),
        data=Data(exposure_jitter=0.5),
        optimizer=Optimizer(lr=1e-3),
    )
