"""The method `decisions`: who decides for which picture, and what learns from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from acting import SMALL, acting
from relume.errors import UsageError
from relume.lab.darkness import Degradation
from relume.lab.data.batch import Batch
from relume.lab.methods import build_method
from relume.lab.methods.decisions import TERMS, Decisions, photographed
from relume.lab.networks import build
from relume.lab.networks.two_pass import Decision, place
from relume.lab.recipe import Phase, Recipe
from relume.lab.run import Run
from relume.lab.training.loop import train
from relume.lab.weights import save_weights
from relume.steps.grid import tone

OF_TEACHERS = [term for term in TERMS if term != "target"]


@pytest.fixture
def earlier(tmp_path: Path, tiny_recipe: Recipe) -> Path:
    """A finished run of another network than `acting(0)`."""
    run = tmp_path / "earlier"
    Run(run).begin(replace(tiny_recipe, network="two-pass", network_options=SMALL), {})
    save_weights(Run(run).weights_file, acting(1))
    return run


@pytest.fixture
def batch() -> Batch:
    """A photographed pair, a darkened picture, and one left as it is."""
    generator = torch.Generator().manual_seed(0)
    high = torch.rand(3, 3, 16, 16, generator=generator)
    low = high * torch.tensor([0.2, 0.1, 1.0])[:, None, None, None]
    how = (None, Degradation(), None)
    return Batch(low, high, low.repeat(1, 1, 1, 2)[..., :24], degradations=how)


def test_only_pairs_of_two_pictures_are_photographed(batch: Batch) -> None:
    assert photographed(batch).tolist() == [True, False, False]
    assert photographed(replace(batch, degradations=())).tolist() == [True, True, False]


def test_distances_by_hand(earlier: Path, batch: Batch) -> None:
    teacher, own = acting(1).eval(), acting(0).eval()
    method = build_method(
        "decisions", acting(0), dict.fromkeys(OF_TEACHERS, 2.0), {"photographed": {"run": str(earlier)}}
    )
    losses = method.train()(batch)
    small = batch.inputs(own)[1]
    found: Decision = teacher.global_pass(small)  # what the student starts from
    other: Decision = own.global_pass(small)

    def shown(decision: Decision) -> Tensor:
        return tone(small, decision.gain_BC, decision.grid_BKGG, place(small, None)).bright

    rest = slice(1, None)
    by_hand = {
        # The first is decided as the teacher does, and so does the student: no distance.
        "tone": (shown(found) - shown(other))[rest].abs().sum() / shown(found).numel(),
        "gain": (found.gain_BC.log() - other.gain_BC.log())[rest].abs().sum() / 9,
        "grid": (found.grid_BKGG - other.grid_BKGG)[rest].abs().sum() / found.grid_BKGG.numel(),
        "condition": F.mse_loss(found.condition_BK, other.condition_BK),
    }
    for name, value in by_hand.items():
        assert value > 0
        torch.testing.assert_close(losses[name], 2 * value, rtol=1e-4, atol=1e-6)


def test_what_is_right_as_it_is_should_be_left_alone(earlier: Path, batch: Batch) -> None:
    """Where the picture comes from a source that is named, no gain and no grid are wanted."""
    named = replace(batch, names=("nights: 001", "nights of others: 1", "lol: nights"))
    options = {"photographed": {"run": str(earlier)}, "alone": ["nights"]}
    losses = build_method("decisions", acting(0), dict.fromkeys(OF_TEACHERS, 1.0), options).train()(named)
    own, found = acting(0).eval(), acting(1).eval().global_pass(batch.inputs(acting(0))[1])
    other: Decision = own.global_pass(batch.inputs(own)[1])
    gain = found.gain_BC[0].log().abs().sum() + (found.gain_BC.log() - other.gain_BC.log())[1:].abs().sum()
    grid = found.grid_BKGG[0].abs().sum() + (found.grid_BKGG - other.grid_BKGG)[1:].abs().sum()
    torch.testing.assert_close(losses["gain"], gain / found.gain_BC.numel(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses["grid"], grid / found.grid_BKGG.numel(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses["condition"], F.mse_loss(found.condition_BK, other.condition_BK))


def test_named_sources_learn_from_their_targets_alone(earlier: Path, batch: Batch) -> None:
    named = replace(batch, names=("spots: 001", "lol: 1", "spots of others: 1"))
    options = {"photographed": {"run": str(earlier)}, "targets": ["spots"]}
    method = build_method("decisions", acting(0), dict.fromkeys(TERMS, 1.0), options)
    losses = method.train()(named)
    found: Decision = acting(1).eval().global_pass(batch.inputs(acting(0))[1])
    other: Decision = acting(0).eval().global_pass(batch.inputs(acting(0))[1])
    low, high = (F.avg_pool2d(crop, 4) for crop in (batch.low_BCHW, batch.high_BCHW))
    bright = tone(low, found.gain_BC, found.grid_BKGG, place(low, batch.window_B4)).bright
    assert losses["target"] > 0
    torch.testing.assert_close(losses["target"], (bright - high)[0].abs().mean() / 3, rtol=1e-4, atol=1e-6)
    gain = (found.gain_BC.log() - other.gain_BC.log())[1:].abs().sum() / 9
    torch.testing.assert_close(losses["gain"], gain, rtol=1e-4, atol=1e-6)
    every = replace(named, names=("spots: 1",) * 3)
    assert not any(method(every)[term].any() for term in ("tone", "gain", "grid"))


def test_a_run_changes_the_global_pass_alone(
    tiny_root: Path, tiny_recipe: Recipe, earlier: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start.safetensors"
    save_weights(start, acting(0))
    recipe = replace(
        tiny_recipe,
        network="two-pass",
        network_options=SMALL,
        start=str(start),
        method="decisions",
        method_options={"photographed": {"run": str(earlier)}},
        losses={"tone": 1.0, "condition": 1.0},
        phases=(Phase(30, 16, 4),),
        average=0.0,
    )
    train(recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True)
    trained, before = Run(tmp_path / "run").network().state_dict(), acting(0).state_dict()
    same = {name for name, value in trained.items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("local_pass.")} <= same
    assert not {name for name in before if name.startswith("global_pass.condition.")} & same
    losses = [row["condition"] for row in Run(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert losses[-1] < 0.5 * losses[0]


def test_another_network_or_term_is_refused(earlier: Path) -> None:
    options = {"photographed": {"run": str(earlier)}}
    with pytest.raises(UsageError, match="only two-pass"):
        build_method("decisions", build("zero-dce", {}), {"tone": 1.0}, options)
    with pytest.raises(UsageError, match="no loss is called"):
        build_method("decisions", acting(0), {"charbonnier": 1.0}, options)
    for losses, targets in (({"tone": 1.0}, ["spots"]), ({"target": 1.0}, [])):
        with pytest.raises(UsageError, match="need each other"):
            build_method("decisions", acting(0), losses, {**options, "targets": targets})
    with pytest.raises(UsageError, match="thumbnails"):
        Decisions(acting(0), {"tone": 1.0}, photographed=options["photographed"])(
            Batch(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
        )
