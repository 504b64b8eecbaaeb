"""IAML: the auto-encoder taught by its own moving-average decoder on clean images."""

from __future__ import annotations

from relume.lab.recipe import Data, Optimizer, Phase, Recipe

LOSSES = {"mse": 1.0, "ssim": 1.0, "mirror": 0.8}
MIRROR = {"projections": [32, 64, 128, 256], "beta": 0.6, "decay": 0.999}
STEPS_PER_EPOCH = 61
"""485 images in batches of 8."""


def iaml() -> Recipe:
    """As published: 500 epochs, 256-pixel crops in batches of 8, flips, Adam at 2e-4, cosine to 1e-7.

    For a GPU. All of our485 is trained on, so validation, which looks at scenes of it, only shows progress.
    """
    return Recipe(
        name="iaml",
        network="iaml-autoencoder",
        method="mirror",
        method_options=MIRROR,
        losses=LOSSES,
        phases=(Phase(500 * STEPS_PER_EPOCH, 256, 8),),
        data=Data(subset="all", quarter_turns=False, vertical_flips=True, passes=True),
        optimizer=Optimizer(lr=2e-4, min_lr=1e-7, weight_decay=0.0, warmup=0, clip=0.0),
        average=0.0,
    )


def iaml_cpu() -> Recipe:
    """The same method within the hours of two cores; `--set compile=true` saves a third of them.

    Deviations: a resolution schedule (64, 128, 256) instead of 256 throughout, batches of 16, 16 and 6, an
    eighth of the pixels, a higher learning rate with warm-up and gradient clipping, a moving average of the
    weights, quarter turns of the crops, and the validation scenes left out.
    """
    return Recipe(
        name="iaml-cpu",
        network="iaml-autoencoder",
        method="mirror",
        method_options=MIRROR,
        losses=LOSSES,
        phases=(Phase(1500, 64, 16), Phase(3000, 128, 16), Phase(3000, 256, 6)),
        optimizer=Optimizer(lr=4e-4, min_lr=1e-7, weight_decay=0.0, warmup=200, clip=1.0),
    )
