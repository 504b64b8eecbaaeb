"""The benchmark model `lol`: the default network on LOL-v1."""

from __future__ import annotations

from dataclasses import replace

from relume.lab.recipe import Data, Optimizer, Phase, Recipe


def lol() -> Recipe:
    """our485 without the validation scenes, so that the shipped weights have an honest held-out score.

    How bright a target of LOL-v1 is has little to do with its input: the same scene was photographed again
    and again. So the input's exposure is jittered, and a crop's thumbnail shows a random part of the image.
    """
    return Recipe(
        name="lol",
        network_options={"leak": 0.1},
        losses={"charbonnier": 1.0, "ssim": 0.5, "brightening": 0.2},
        phases=(Phase(5000, 128, 16), Phase(2500, 192, 12), Phase(1500, 256, 8)),
        data=Data(exposure_jitter=0.5),
        optimizer=Optimizer(lr=1e-3),
    )


def lol_mirror() -> Recipe:
    """`lol` taught by its mirrored decoder too, in as many hours: a step takes 1.6 times as long.

    The mirror loss has the share of the image losses that it has in IAML; three scales are aligned, from
    1/16 to 1/4.
    """
    recipe = lol()
    return replace(
        recipe,
        name="lol-mirror",
        method="mirror",
        method_options={"projections": [32, 32, 32], "beta": 0.6, "decay": 0.999},
        losses={**recipe.losses, "mirror": 0.4},
        phases=tuple(replace(phase, steps=round(phase.steps / 1.6)) for phase in recipe.phases),
    )
