"""Zero-DCE, trained without targets."""

from __future__ import annotations

from relume.lab.recipe import Data, Optimizer, Phase, Recipe


def zero_dce() -> Recipe:
    """Zero-DCE on the dark halves of our485, within an hour of two cores; no well-lit image is looked at.

    Network, losses and their weights, batch of 8, constant learning rate, weight decay and gradient clipping
    are the published ones.

    Deviations: trained on LOL-v1 with jittered exposure, where the paper takes the multi-exposure images of
    SICE's first part, over-exposed ones among them; crops, where it resizes whole images to 256 pixels;
    smaller crops first; 2,500 steps, where it takes 50,000; a moving average of the weights; AdamW, where it
    takes Adam with L2 decay; PyTorch's initialisation, where it draws from N(0, 0.02).
    """
    return Recipe(
        name="zero-dce",
        network="zero-dce",
        method="zero-reference",
        losses={"spatial": 1.0, "exposure": 10.0, "colour": 5.0, "smoothness": 200.0},
        phases=(Phase(2000, 128, 8), Phase(500, 256, 8)),
        data=Data(exposure_jitter=1.0),
        optimizer=Optimizer(lr=1e-4, weight_decay=1e-4, schedule="constant", warmup=0, clip=0.1),
        average=0.99,
    )
