"""The method `rendering`: what is repeated, what counts, and what stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from acting import SMALL, acting
from relume.errors import UsageError
from relume.lab.data.batch import Batch
from relume.lab.losses import LOSSES
from relume.lab.methods import build_method
from relume.lab.networks import build
from relume.lab.networks.layers import interleaved
from relume.lab.recipe import Phase, Recipe
from relume.lab.run import Run
from relume.lab.training.loop import train
from relume.lab.weights import save_weights


def batch(side: int = 24) -> Batch:
    high = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    window = torch.tensor([[0.1, 0.5, 0.2, 0.6]]).expand(4, 4)
    return Batch(0.2 * high, high, 0.2 * torch.ones(4, 3, 16, 16), window)


def test_the_loss_is_that_of_the_whole_network() -> None:
    method, given = build_method("rendering", acting(), {"charbonnier": 2.0}, {}).train(), batch()
    own = acting().train()
    own.global_pass.eval()
    by_hand = 2 * LOSSES["charbonnier"](own(*given.inputs(own)), given.high_BCHW)
    torch.testing.assert_close(method(given)["charbonnier"], by_hand)


def test_a_run_changes_the_local_pass_alone(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_weights(start, acting())
    recipe = replace(
        tiny_recipe,
        network="two-pass",
        network_options=SMALL,
        start=str(start),
        method="rendering",
        losses={"charbonnier": 1.0},
        phases=(Phase(20, 16, 4),),
        average=0.0,
    )
    train(recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True)
    trained, before = Run(tmp_path / "run").network().state_dict(), acting().state_dict()
    same = {name for name, value in trained.items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("global_pass.")} <= same
    assert not {name for name in before if name.startswith("local_pass.head.")} & same
    losses = [row["charbonnier"] for row in Run(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert losses[-1] < losses[0]


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(UsageError, match="only two-pass"):
        build_method("rendering", build("zero-dce", {}), {"charbonnier": 1.0}, {})


def test_interleaving_is_pixel_shuffle() -> None:
    x_BCHW = torch.rand(2, 12, 5, 7)
    assert torch.equal(interleaved(x_BCHW), torch.nn.functional.pixel_shuffle(x_BCHW, 2))
