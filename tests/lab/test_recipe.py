"""Recipes: typed, changed by path, stored as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from relume.errors import UsageError
from relume.lab.recipe import Optimizer, from_json, override, to_json
from relume.lab.recipes import RECIPES, get_recipe
from relume.lab.training.schedule import LearningRate


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_survives_json(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert from_json(to_json(recipe)) == recipe


def test_override_reaches_every_depth() -> None:
    recipe = override(
        get_recipe("lol"), ["optimizer.lr=5e-4", "phases.0.crop=64", "losses.ssim=0.8", "data.subset=all"]
    )
    assert recipe.optimizer.lr == 5e-4
    assert recipe.phases[0].crop == 64
    assert recipe.losses["ssim"] == 0.8
    assert recipe.data.subset == "all"
    assert get_recipe("lol").optimizer.lr == 1e-3


@pytest.mark.parametrize(
    "assignment",
    [
        "optimizer.lr",
        "optimizer.speed=1",
        "phases.9.crop=1",
        "phases.x.crop=1",
        "steps=fast",
        "data.subset=some",
        "lr.x=1",
        "phases.0.batch=0",
        "phases.0.accumulation=0",
        "phases.0.crop=-64",
        "log_every=0",
        "checkpoint_every=0",
        "data.context=1.5",
        "average=-1",
        "phases=[]",
        "losses={}",
        'losses={"ssim": 0}',
    ],
)
def test_mistakes_are_named(assignment: str) -> None:
    with pytest.raises(UsageError):
        override(get_recipe("lol"), [assignment])


def test_a_recipe_without_phases_or_losses_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'phases'.*at least 1"):
        override(get_recipe("zero-dce"), ["phases=[]"])
    with pytest.raises(UsageError, match="'losses': no loss has a weight"):
        from_json('{"name": "x", "phases": [{"steps": 1, "crop": 8, "batch": 1}], "losses": {}}')


def test_phases_follow_one_another() -> None:
    recipe = override(
        get_recipe("lol"),
        [f"phases={json.dumps([{'steps': 3, 'crop': 8, 'batch': 1}, {'steps': 2, 'crop': 16, 'batch': 1}])}"],
    )
    assert [recipe.phase_at(step).crop for step in range(6)] == [8, 8, 8, 16, 16, 16]
    assert recipe.steps == 5


def test_cosine_warms_up_and_ends_at_the_minimum() -> None:
    rate = LearningRate(Optimizer(lr=1.0, min_lr=0.01, warmup=10), 110)
    assert rate.at(0) == pytest.approx(0.1)
    assert rate.at(9) == pytest.approx(1.0)
    assert rate.at(60) == pytest.approx((1 + 0.01) / 2)
    assert rate.at(110) == pytest.approx(0.01)


def test_plateau_warms_up_and_stops_at_the_minimum() -> None:
    options = Optimizer(lr=1.0, min_lr=0.3, warmup=4, schedule="plateau", plateau_patience=0)
    rate = LearningRate(options, 100)
    assert [rate.at(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    for loss in (17, 18, 19, 20):  # three halvings would be an eighth
        rate.after_validation({"loss": loss})
    assert rate.at(50) == 0.3
    assert rate.at(0) == 0.3 / 4


def test_epochs_end_at_their_last_step_counted_from_each_phase() -> None:
    phases = [{"steps": 5, "crop": 8, "batch": 2}, {"steps": 4, "crop": 8, "batch": 2, "accumulation": 2}]
    recipe = override(get_recipe("lol"), [f"phases={json.dumps(phases)}", "data.epoch=5"])
    assert [step for step in range(9) if recipe.ends_epoch(step)] == [2, 6, 8]


@pytest.mark.parametrize(("watches", "mode"), [("loss", "min"), ("psnr", "max")])
def test_plateau_halves_as_pytorchs_does(watches: str, mode: str) -> None:
    """Improvements below the relative threshold do not count, and the waiting starts anew after a cut."""
    options = Optimizer(
        lr=1.0,
        min_lr=0.0,
        warmup=0,
        schedule="plateau",
        plateau_patience=2,
        plateau_watches=watches,
        plateau_threshold=0.01,
    )
    theirs_of = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs_of, mode, factor=0.5, patience=2, threshold=0.01, threshold_mode="rel"
    )
    ours = LearningRate(options, 100)
    random = np.random.default_rng(0)
    value, seen = 20.0, set()
    for validation in range(60):
        value *= random.uniform(0.985, 1.005) if mode == "min" else random.uniform(0.995, 1.015)
        if validation == 30:  # as a resumed run does
            again = LearningRate(options, 100)
            again.restore(ours.state())
            ours = again
        theirs.step(value)
        ours.after_validation({watches: value, "ssim": random.random()})
        assert ours.at(50) == pytest.approx(theirs_of.param_groups[0]["lr"])
        seen.add(ours.factor)
    assert len(seen) > 2
