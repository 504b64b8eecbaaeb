"""The training loop beyond exact resume: time, interrupts, what must stay finite, what decays."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from relume.errors import TrainingDiverged, UsageError
from relume.evaluate import metrics
from relume.lab.bench import as_csv, measure, table
from relume.lab.networks import build
from relume.lab.recipe import Optimizer, Phase, Recipe
from relume.lab.recipes import find_recipe
from relume.lab.run import Run
from relume.lab.training import loop, scores
from relume.lab.training.checkpoint import load_checkpoint
from relume.lab.training.learner import Learner
from relume.lab.training.loop import train
from relume.lab.training.timing import Timings, fitted


@pytest.mark.parametrize("size", [(24, 31), (64, 48)])
def test_scores_on_the_device_are_those_of_the_protocol(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 256, (3, *size, 3), np.uint8)
    output = np.stack([target[0], target[1] // 3, np.zeros_like(target[2])])
    ours, theirs = (torch.from_numpy(side).permute(0, 3, 1, 2).float() / 255 for side in (output, target))
    for name in ("psnr", "psnr_gt_mean", "ssim"):
        expected = [getattr(metrics, name)(*both) for both in zip(output, target, strict=True)]
        assert getattr(scores, name)(ours, theirs).tolist() == pytest.approx(expected, abs=2e-4), name


def test_kernels_decay_and_biases_norms_and_film_do_not() -> None:
    network = build("two-pass", {"widths": [16, 16, 32], "depths": [1, 1, 1], "modulated_from": 1})
    named = dict(network.named_parameters())
    recipe = Recipe(name="x", phases=(Phase(1, 16, 1),))
    learner = Learner(named, Optimizer(weight_decay=0.1), recipe, torch.device("cpu"), "float32")
    decays = {
        id(value): group["weight_decay"]
        for group in learner.optimizer.param_groups
        for value in group["params"]
    }
    assert len(decays) == len(named)
    for name, value in named.items():
        still = value.ndim < 2 or ".film." in name
        assert decays[id(value)] == (0.0 if still else 0.1), name
    assert any(".film.weight" in name for name in named)


def test_a_checkpoint_is_kept_when_a_weight_is_no_longer_finite(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = loop.Trainer.train_step

    def spoilt(trainer: loop.Trainer, data: loop.Batches) -> None:
        step(trainer, data)
        if trainer.step == 5:
            next(iter(trainer.average.network.parameters())).data.fill_(float("nan"))

    monkeypatch.setattr(loop.Trainer, "train_step", spoilt)
    with pytest.raises(TrainingDiverged, match=r"average\..* is not finite at step 6"):
        train(replace(tiny_recipe, validate_every=100), tiny_root, tmp_path, device="cpu", quiet=True)
    assert load_checkpoint(tmp_path)["step"] == 3
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_checkpoint_of_its_last_step(
    number: int, tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("a job in the background of a script is not interrupted")
    train(tiny_recipe, tiny_root, tmp_path / "whole", device="cpu", quiet=True)
    step = loop.Trainer.train_step

    def interrupted(trainer: loop.Trainer, data: loop.Batches) -> None:
        if trainer.step == 4:
            os.kill(os.getpid(), number)  # in the middle of the fifth step
        step(trainer, data)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True)
    assert signal.getsignal(number) == before
    assert load_checkpoint(tmp_path / "run")["step"] == 5
    train(tiny_recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True, resume=True)
    whole, again = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_phases_are_scaled_to_a_time() -> None:
    recipe = Recipe(name="x", phases=(Phase(6000, 128, 16), Phase(3000, 192, 12)), validate_every=1000)
    timings = Timings({recipe.phases[0]: 0.1, recipe.phases[1]: 0.2}, validation=1.0)
    short = fitted(timings, recipe, 120.0)
    assert [phase.steps for phase in short.phases] == [543, 272]
    taken = sum(
        timings.step[whole] * part.steps for whole, part in zip(recipe.phases, short.phases, strict=True)
    )
    validations = -(-short.steps // short.validate_every)
    assert taken + validations * timings.validation == pytest.approx(120 * 0.98, rel=0.01)
    assert validations == 9
    assert short.optimizer.warmup == 18
    assert 1 / (1 - short.average) == pytest.approx(1000 * 815 / 9000, rel=0.01)
    longer = fitted(timings, recipe, 12_000.0)
    assert longer.steps > 80_000
    assert (longer.optimizer, longer.average, longer.average_warmup) == (
        recipe.optimizer,
        recipe.average,
        recipe.average_warmup,
    )
    with pytest.raises(UsageError, match="does not suffice"):
        fitted(timings, recipe, 1.0)


def test_a_run_of_given_minutes_is_repeated_by_its_recipe(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it takes depends on what else the machine does, so the measured speeds are given."""
    speeds = Timings(dict.fromkeys(tiny_recipe.phases, 3.0), validation=1.0)
    monkeypatch.setattr(Timings, "of", lambda *_: speeds)
    train(tiny_recipe, tiny_root, tmp_path / "timed", device="cpu", quiet=True, minutes=1.0)
    resolved = find_recipe(str(tmp_path / "timed" / "recipe.json"))
    assert 8 < resolved.steps < 20
    rows = [row for row in Run(tmp_path / "timed").metrics() if row["kind"] == "train"]
    assert rows[-1]["step"] == resolved.steps
    assert rows[-1]["crop"] == 32
    assert rows[-1]["lr"] < resolved.optimizer.lr / 20
    train(resolved, tiny_root, tmp_path / "again", device="cpu", quiet=True)
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("timed", "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_files_are_split_at_a_limit(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    train(replace(tiny_recipe, phases=(Phase(1, 16, 1),)), tiny_root, tmp_path, device="cpu", quiet=True)
    whole = (tmp_path / "weights.safetensors").read_bytes()
    limit = len(whole) * 2 // 3
    Run(tmp_path).keep_small(limit)
    assert max(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= limit
    assert not (tmp_path / "weights.safetensors").exists()
    pieces = sorted(tmp_path.glob("weights.safetensors.*"))
    assert b"".join(piece.read_bytes() for piece in pieces) == whole
    half = load_file(tmp_path / "weights-half.safetensors")
    assert {value.dtype for value in half.values() if value.is_floating_point()} == {torch.float16}


def test_the_bench_measures_each_phase_and_says_what_cannot_be(tiny_root: Path, tiny_recipe: Recipe) -> None:
    speeds = list(measure(tiny_recipe, tiny_root, "cpu", 0.01))
    assert [(one.crop, one.batch) for one in speeds] == [(16, 2), (32, 1)]
    assert all(min(one.loader, one.step, one.run) > 0 and 0 <= one.waiting < 1 for one in speeds)
    wrong = list(measure(replace(tiny_recipe, name="other", start="nowhere"), tiny_root, "cpu", 0.01))
    assert "nowhere" in wrong[0].note
    assert "tiny" in table(speeds + wrong)
    assert as_csv(speeds + wrong).count("\n") == 4
