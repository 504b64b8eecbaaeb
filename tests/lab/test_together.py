"""Processes that train together: they follow one process, and what becomes of a run when one of them ends."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from relume.errors import UsageError
from relume.lab import ranks
from relume.lab.recipe import Optimizer, Phase, Recipe
from relume.lab.run import Run
from relume.lab.training import loop
from relume.lab.training.loop import train
from relume.lab.training.together import RankFailed, launch

pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch has no processes"),
    pytest.mark.skipif(os.name != "posix", reason="processes end by signals"),
]


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [{**row, "seconds": 0, "kind": len(row["kind"])} for row in Run(run).metrics()]


def assert_alike(one: Path, other: Path, later: float = 1e-3) -> None:
    """The same losses and scores, up to rounding; weights differ more where a gradient is nothing else.

    What the first step has learnt nothing from is the same within 1e-4.
    """
    for number, (ours, theirs) in enumerate(zip(rows_of(one), rows_of(other), strict=True)):
        assert ours == pytest.approx(theirs, rel=later if number else 1e-4, abs=1e-6)


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes share the machine's threads among them where the user has not said how many."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def several(tiny_recipe: Recipe) -> Recipe:
    """Batches that two can share; with dropout, brightening and an average."""
    phases = (Phase(4, 16, 4), Phase(2, 32, 2, accumulation=2))
    losses = {"charbonnier": 1.0, "ssim": 0.5, "brightening": 0.2}
    return replace(tiny_recipe, phases=phases, losses=losses, log_every=1)


def ended_at(step: int, recipe: Recipe, *arguments: Any, **options: Any) -> None:
    """Train, but one of two processes is killed at a step."""
    before = loop.Trainer.train_step

    def ending(trainer: loop.Trainer, data: Any) -> None:
        if trainer.step == step and ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        before(trainer, data)

    loop.Trainer.train_step = ending  # type: ignore[method-assign]  # of this process alone
    train(recipe, *arguments, **options)


@pytest.mark.slow
def test_a_lost_process_ends_the_run_which_goes_on_to_the_result_of_one(
    several: Recipe, tiny_root: Path, tmp_path: Path
) -> None:
    options = {"device": "cpu", "quiet": True}
    train(several, tiny_root, tmp_path / "alone", **options)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RankFailed, match="process 1"):
        launch(2, partial(ended_at, 5, several, tiny_root, tmp_path / "both", **options))
    assert not (tmp_path / "both/weights.safetensors").exists()
    assert signal.getsignal(signal.SIGTERM) == handler
    launch(2, partial(train, several, tiny_root, tmp_path / "both", resume=True, **options))
    assert_alike(tmp_path / "alone", tmp_path / "both")
    weights = [load_file(Run(tmp_path / name).weights_file) for name in ("alone", "both")]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-2, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mirror", "contrastive"])
def test_statistics_and_comparisons_span_the_whole_batch(
    several: Recipe, tiny_root: Path, tmp_path: Path, method: str
) -> None:
    mirror = {
        "network": "iaml-autoencoder",
        "network_options": {},
        "method": "mirror",
        "method_options": {"projections": [8, 8]},
        "losses": {"mse": 1.0, "mirror": 0.8},
    }
    contrastive = {
        "network": "compact-clarity",
        "network_options": {"width": 16, "groups": [1, 1, 1], "blocks": 1},
        "method": "multi-teacher",
        "method_options": {
            "teachers": {
                "structure": {
                    "network": "mirnet-v2",
                    "options": {"n_feat": 16, "n_MRB": 1},
                    "weights": "random",
                }
            },
            "contrastive": {"teacher": "structure", "embedding": 8},
            "features": {"teacher": "structure"},
        },
        "losses": {"charbonnier": 1.0, "contrastive": 0.5, "relational": 0.5, "adversarial": 0.01},
        "adversary": Optimizer(lr=2e-4, warmup=0),
    }
    changes: dict[str, Any] = {"mirror": mirror, "contrastive": contrastive}[method]
    recipe = replace(several, **changes, phases=(Phase(4, 32, 4),), validate_every=4)
    options = {"device": "cpu", "quiet": True}
    train(recipe, tiny_root, tmp_path / "alone", **options)
    launch(2, partial(train, recipe, tiny_root, tmp_path / "both", **options))
    # In one process, too, other roundings move the mirrored maps by as much (`benchmarks/together.py`).
    assert_alike(tmp_path / "alone", tmp_path / "both", later=2e-2 if method == "mirror" else 1e-3)


def test_what_processes_cannot_share_is_refused(
    several: Recipe, monkeypatch: pytest.MonkeyPatch, tiny_root: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(ranks, "count", lambda: 2)
    monkeypatch.setattr(ranks, "rank", lambda: 0)
    odd = replace(several, phases=(Phase(4, 16, 3),))
    with pytest.raises(UsageError, match="batch of 3 cannot be divided among 2"):
        train(odd, tiny_root, tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match="cannot fit a run into a time"):
        train(several, tiny_root, tmp_path / "run", device="cpu", minutes=1)
    with pytest.raises(UsageError, match="BatchNorm1d"):
        ranks.share(nn.Sequential(nn.BatchNorm1d(2)))
    with pytest.raises(UsageError, match="standardised over a batch"):
        loop.build_method(
            "mirror", loop.build("iaml-autoencoder"), {"mirror": 1.0}, {"standardise_over": "batch"}
        )


def test_alone_nothing_changes() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert ranks.total(x) is x
    assert ranks.gathered(x) is x
    assert ranks.mean(x) is x
    assert list(ranks.share_of(5)) == [0, 1, 2, 3, 4]
    norm = nn.BatchNorm2d(3)
    ranks.share(norm)
    assert type(norm) is nn.BatchNorm2d
