"""The ablation grids, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from relume.errors import UsageError
from relume.lab.ablation import Grid
from relume.lab.methods.multi_teacher import IMITATION
from relume.lab.recipe import Phase, Recipe
from relume.lab.recipes.compact_clarity import LOSSES, compact_clarity_cpu
from relume.lab.recipes.iaml import iaml, iaml_cpu
from relume.lab.recipes.lol import lol
from relume.lab.recipes.photo import photo
from relume.lab.recipes.taught import LOSSES as TAUGHT
from relume.lab.recipes.taught import lol_self


def _narrow_iaml() -> Recipe:
    """`iaml-cpu` at half its widths, with a fifth of its crops and a twelfth of its pixels."""
    return replace(
        iaml_cpu(),
        network_options={"widths": [32, 64, 128, 256, 256], "head": 16},
        phases=(Phase(800, 64, 16), Phase(500, 128, 8), Phase(200, 256, 4)),
        validate_every=500,
        checkpoint_every=100,
    )


def _iaml_on_held_out_scenes() -> Recipe:
    """`iaml` at its full size, for a GPU; without the validation scenes, by which cells are chosen."""
    recipe = iaml()
    return replace(recipe, data=replace(recipe.data, subset="train"), validate_every=5000)


def _small_compact_clarity() -> Recipe:
    """`compact-clarity-cpu` with 0.13 M parameters and 600 steps of 65,536 pixels each.

    It ends at crops of 128 pixels, and without progression has them throughout, where the thesis has 256:
    a resolution more would double its hours.

    The perceptual term looks through MobileNetV2: name the file of its weights by
    `--set method_options.perceptual.file=FILE`, or allow its download by `--allow-download`.
    """
    recipe = compact_clarity_cpu()
    return replace(
        recipe,
        network_options={"width": 16, "groups": [1, 2, 4], "blocks": 1, "checkpointing": False},
        method_options={**recipe.method_options, "perceptual": {"backbone": "mobilenet_v2", "file": ""}},
        phases=(Phase(300, 64, 16), Phase(300, 128, 4)),
        average=0.99,
        validate_every=300,
        checkpoint_every=100,
    )


_BEST: dict[str, Any] = {"ensemble": [{"run": "runs/lol"}, {"run": "runs/photo"}]}
"""The runs of both shipped models."""


def _distillation() -> Recipe:
    """The student of the grid `compact-clarity`, with the terms that need neither classifier nor adversary.

    The teacher is the mean of the finished runs `runs/lol` and `runs/photo`, the two shipped models; of
    features, the bottleneck of `runs/lol`. Its outputs make a step 7 % longer, so the student from scratch
    gets as many steps more.
    """
    recipe = _small_compact_clarity()
    teachers = {"best": _BEST, "lol": {"run": "runs/lol"}}
    features = {"teacher": "lol", "student_feature": 2, "teacher_feature": 0}
    return replace(
        recipe,
        method_options={"teachers": teachers, "features": features},
        losses={name: LOSSES[name] for name in ("charbonnier", "frequency", "ms-ssim", "gradient")},
    )


def _small_distillation() -> Recipe:
    """`lol` with 0.28 M parameters, 250 small steps, and the losses of the grid `distillation`.

    The teachers are the same; of features, the bottlenecks are compared. A step of this student costs little
    beside its teachers, which make it 1.65 times as long: so many steps more has the student from scratch.
    The one that sees no targets makes two more passes, and has a third less.
    """
    large = _distillation()
    features = {"teacher": "lol", "student_feature": 0, "teacher_feature": 0}
    return replace(
        lol(),
        network_options={"widths": [16, 16, 32, 64], "condition": 32, "global_width": 16},
        method=large.method,
        method_options={**large.method_options, "features": features},
        losses=large.losses,
        phases=(Phase(150, 64, 8), Phase(100, 96, 4)),
        average=0.98,
        validate_every=500,
        validation_images=8,
        checkpoint_every=100,
    )


def _taught() -> Recipe:
    """`lol-self` for 150 small steps from `runs/lol`, which is its teacher too; some minutes of a core."""
    recipe = lol_self()
    return replace(
        recipe,
        start="runs/lol",
        phases=(Phase(150, 128, 8),),
        optimizer=replace(recipe.optimizer, lr=2e-4, warmup=30),
        average=0.98,
        average_warmup=0,
        validate_every=500,
        validation_images=8,
        checkpoint_every=50,
    )


def _short_photo() -> Recipe:
    """`photo` for an eighth of its steps, enough to tell structures apart by what they do at once."""
    recipe = photo()
    phases = tuple(replace(phase, steps=phase.steps // 8) for phase in recipe.phases)
    return replace(recipe, phases=phases, network_options={"knots": 6}, average=0.99)


def _losses(*names: str) -> str:
    return "losses=" + json.dumps({name: LOSSES[name] for name in names})


def _without_teacher(losses: Mapping[str, float]) -> dict[str, float]:
    """The whole distance to the target again, where a teacher has half of it."""
    paired = {name: weight for name, weight in losses.items() if not name.startswith(IMITATION)}
    return {**paired, "charbonnier": 2 * paired["charbonnier"]}


def _without_targets(inputs: str = "photographs", **losses: float) -> list[str]:
    options = {"teacher": _BEST, "inputs": inputs}
    return [
        "method=unsupervised",
        "method_options=" + json.dumps(options),
        "losses=" + json.dumps(losses),
    ]


def _distillations(scratch: Sequence[int], unsupervised: Sequence[int]) -> dict[str, Sequence[str]]:
    """Every way of being taught.

    Args:
        scratch: steps of each phase of the student without teachers, which costs less.
        unsupervised: those of the one that makes two more passes, which cost more.
    """
    without_targets = _without_targets(imitation=1.0, exposures=0.25, quarters=0.25)
    return {
        "scratch": _steps(scratch),
        "imitation": ["losses.imitation-best=0.55"],
        "soft-targets": ["method_options.target=best"],
        "relational": ["losses.relational=0.1"],
        "attention": ["losses.attention=0.1"],
        "similarity": ["losses.similarity=0.1"],
        "unsupervised": [*without_targets, *_steps(unsupervised)],
        "noise": _without_targets("noise", imitation=1.0),
    }


def _steps(counts: Sequence[int]) -> list[str]:
    return [f"phases.{phase}.steps={count}" for phase, count in enumerate(counts)]


_BATCH = "method_options.clean_statistics=batch"
_DIMMED = ("method_options.dim_clean=true", "method_options.frozen_projections=true")
_DECODER = (
    "method_options.first_map=1",
    "method_options.projections=[64, 128, 256, 128]",
    "method_options.detach_encoder=true",
)
_TARGETS: Mapping[str, Sequence[str]] = {
    "batch-statistics": [_BATCH],
    "dimmed": _DIMMED,
    "batch-statistics-decoder": [_BATCH, *_DECODER],
    "dimmed-decoder": [*_DIMMED, *_DECODER],
    "dimmed-decoder-fading": [*_DIMMED, *_DECODER, "method_options.fade=true"],
}
"""IAML with a target in the range that the student knows; for the decoder alone; and only at first."""

_AT_ONCE = 'phases=[{"steps": 600, "crop": 128, "batch": 4}]'
_FIDELITY = ("charbonnier", "frequency", "perceptual", "ms-ssim", "gradient")

GRIDS: Mapping[str, Grid] = {
    "exposure": Grid(
        name="exposure",
        question="What does it bring that the global pass answers locally?",
        recipe=_short_photo,
        cells={
            "one-gain": ["network_options.knots=0"],
            "map": ["network_options.knots=1"],
            "bilateral": [],
            "bilateral-fine": ["network_options.knots=9"],
        },
    ),
    "leak": Grid(
        name="leak",
        question="What does it bring that no unit can fall silent for good?",
        recipe=_short_photo,
        cells={"none": [], "tenth": ["network_options.leak=0.1"], "fifth": ["network_options.leak=0.2"]},
    ),
    "losses": Grid(
        name="losses",
        question="Which losses does the general model learn most from?",
        recipe=_short_photo,
        cells={
            "as-photo": [],
            "charbonnier": ["losses.ssim=0"],
            "ms-ssim": ["losses.ssim=0", "losses.ms-ssim=0.5"],
            "more-ssim": ["losses.ssim=1"],
            "gradient": ["losses.gradient=0.02"],
            "gt-mean": ["losses.charbonnier=0", "losses.gt-mean=1"],
            "luma-chroma": ["losses.charbonnier=0", "losses.luma-chroma=1"],
        },
    ),
    "compact-clarity": Grid(
        name="compact-clarity",
        question="What do progression, the loss terms, and the blocks for contrast and gradients contribute?",
        recipe=_small_compact_clarity,
        cells={
            "baseline": [_losses("charbonnier"), _AT_ONCE],
            "progressive": [_losses("charbonnier")],
            "fidelity": [_losses(*_FIDELITY)],
            "contrastive": [_losses(*_FIDELITY, "contrastive")],
            "full": [],
            "no-stretch": ["network_options.stretch=false"],
            "no-gradient": ["network_options.gradient=false"],
            "no-stretch-no-gradient": ["network_options.stretch=false", "network_options.gradient=false"],
        },
    ),
    "distillation": Grid(
        name="distillation",
        question="Does a small student learn more from the best teacher here than from the targets alone?",
        recipe=_distillation,
        cells=_distillations(scratch=(320, 320), unsupervised=(105, 105)),
    ),
    "distillation-small": Grid(
        name="distillation-small",
        question="The same of a student of the default network's kind, in a minute a run.",
        recipe=_small_distillation,
        cells={
            **_distillations(scratch=(250, 165), unsupervised=(100, 65)),
            "integers": ["method_options.target=best", "method_options.integers=true"],
        },
    ),
    "taught": Grid(
        name="taught",
        question="Does the model `lol` gain from an earlier run, or the mean of two, as its teacher?",
        recipe=_taught,
        cells={
            "targets": ["losses=" + json.dumps(_without_teacher(TAUGHT))],
            "self": [],
            "ensemble": ["method_options.teachers.earlier=" + json.dumps(_BEST)],
        },
    ),
    "iaml": Grid(
        name="iaml",
        question="Does the mirror loss help; do its weight, the teacher's average, standardisation matter?",
        recipe=_narrow_iaml,
        cells={
            "no-mirror": ["losses.mirror=0"],
            "beta-0": ["method_options.beta=0"],
            "full": [],
            "decay-0": ["method_options.decay=0"],
            "decay-0.99": ["method_options.decay=0.99"],
            "per-channel": ["method_options.standardise_over=channel"],
            "across-images": ["method_options.standardise_over=batch"],
            **_TARGETS,
        },
    ),
    "iaml-full": Grid(
        name="iaml-full",
        question="Does the mirror loss help at full size, once the student can follow its target?",
        recipe=_iaml_on_held_out_scenes,
        cells={"no-mirror": ["losses.mirror=0"], "full": [], **_TARGETS},
    ),
}


def get_grid(name: str) -> Grid:
    """A grid by name.

    Raises:
        UsageError: no grid of that name.
    """
    if name not in GRIDS:
        raise UsageError(f"no ablation is called '{name}'", f"Choose one of: {', '.join(sorted(GRIDS))}.")
    return GRIDS[name]
