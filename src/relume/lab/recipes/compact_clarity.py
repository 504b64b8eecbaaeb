"""Compact Clarity: a student of two teachers, seven loss terms, a PatchGAN, a progressive schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relume.lab.recipe import Colours, Data, Optimizer, Phase, Recipe

LOSSES = {
    "charbonnier": 0.55,
    "frequency": 0.08,
    "perceptual": 0.08,
    "ms-ssim": 0.20,
    "gradient": 0.15,
    "adversarial": 0.001,
    "contrastive": 0.01,
}
"""Table of section 3.5.1; the frequency term's inner factor of 0.1 is its own."""

SMALL: dict[str, Any] = {"width": 32, "blocks": 1, "checkpointing": False}
"""Options of a network that two processor cores can train."""

METHOD: dict[str, Any] = {
    "teachers": {
        "structure": {"network": "mirnet-v2", "weights": ""},
        "illumination": {"network": "zero-dce", "weights": ""},
    },
    "contrastive": {"teacher": "structure", "student_feature": 2, "teacher_feature": 2},
    "perceptual": {"backbone": "vgg19"},
    "adversarial": {"loss": "bce"},
}


def compact_clarity() -> Recipe:
    """The thesis's numbers, for a GPU machine; the structure teacher's weights are the user's to name.

    Whole images are resized to squares, as in the thesis; horizontal flips, and a slight jitter of colours of
    which it gives no numbers. Its validation set is eval15; here the held-out scenes are left out of training
    and validated on, once an epoch, and an epoch is one pass over the 437 other pairs; all 485 by
    `--set data.subset=all --set data.epoch=485`. The illumination teacher (Zero-DCE) has
    no term of its own in the thesis; `--set losses.imitation-illumination=0.05` gives it one.
    """
    return Recipe(
        name="compact-clarity",
        network="compact-clarity",
        method="multi-teacher",
        method_options=METHOD,
        losses=LOSSES,
        phases=(
            Phase(0, 64, 32, 2, epochs=40),
            Phase(0, 128, 16, 2, epochs=40),
            Phase(0, 256, 4, 2, epochs=170),
        ),
        data=Data(
            framing="resize",
            quarter_turns=False,
            colours=Colours(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.02),
            passes=True,
            epoch=437,
        ),
        optimizer=Optimizer(
            lr=6.25e-6, min_lr=1e-7, weight_decay=1e-5, schedule="plateau", warmup=0, clip=0.0
        ),
        adversary=Optimizer(
            lr=1.56e-6,
            min_lr=0.0,
            weight_decay=0.0,
            betas=(0.5, 0.999),
            schedule="plateau",
            warmup=0,
            clip=0.0,
        ),
        average=0.0,
        validate_every=0,
        checkpoint_every=50,
    )


def compact_clarity_cpu() -> Recipe:
    """The same method within an hour and a half of one core.

    Deviations: the small student; crops instead of resized images, so that it learns at the scale it is used
    at, with quarter turns; jitter of the exposure instead of the colours; batches of 16, 8 and 4 without
    accumulation; higher learning rates, both players', with warm-up, a cosine, and the student's gradients
    clipped; a moving average of the weights. The teacher is the default network's run `runs/lol`, its
    features cached once; both can be changed by `--set`. The perceptual term needs weights of a classifier:
    name their file, or leave it out by `--set losses.perceptual=0`.
    """
    thesis = compact_clarity()
    return replace(
        thesis,
        name="compact-clarity-cpu",
        network_options=SMALL,
        method_options={
            **METHOD,
            "teachers": {**METHOD["teachers"], "structure": {"run": "runs/lol"}},
            "contrastive": {**METHOD["contrastive"], "teacher_feature": 0, "cache": "runs/teacher-features"},
        },
        phases=(Phase(900, 64, 16), Phase(350, 128, 8), Phase(80, 256, 4)),
        data=Data(exposure_jitter=0.2),
        optimizer=Optimizer(lr=1e-3, weight_decay=1e-5),
        adversary=Optimizer(lr=1.25e-4, weight_decay=0.0, betas=(0.5, 0.999), clip=0.0),
        average=0.999,
        validate_every=450,
        checkpoint_every=100,
    )


def mirnet_v2() -> Recipe:
    """The structure teacher's architecture, trained here: its published checkpoint is the user's to bring.

    Charbonnier loss, Adam at 2e-4 falling to 1e-6 by a cosine, and crops that grow, as published; in minutes
    of a GPU, where the publication takes 150,000 steps. The held-out scenes are left out.
    """
    return Recipe(
        name="mirnet-v2",
        network="mirnet-v2",
        losses={"charbonnier": 1.0},
        phases=(Phase(4000, 64, 32), Phase(3000, 128, 16), Phase(2000, 192, 8)),
        data=Data(vertical_flips=True, passes=True),
        optimizer=Optimizer(lr=2e-4, min_lr=1e-6, weight_decay=0.0, warmup=0, clip=1.0),
    )
