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


def lol_all() -> Recipe:
    """The shipped weights: those of `lol`, trained on with all of our485, the validation scenes included.

    Fixed before it was run, since nothing is held out to choose by; its held-out score is that of `lol`.
    """
    return Recipe(
        name="lol-all",
        initial="runs/lol/weights.safetensors",
        phases=(Phase(800, 256, 8),),
        data=Data(subset="all", exposure_jitter=0.5),
        optimizer=Optimizer(lr=3e-4, warmup=50),
        average=0.99,
        validate_every=800,
    )
