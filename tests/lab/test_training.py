"""Training as used: a run folder, exact resume, clear refusals."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from relume.datasets.splits import read_split
from relume.errors import DataError, ModelError, OutputExists, OutputUnwritable, TrainingDiverged, UsageError
from relume.evaluate.metrics import psnr, psnr_gt_mean, ssim
from relume.lab.average import MovingAverage
from relume.lab.data.paired import LoadedPair, PairedCrops, load_pairs, training_and_validation
from relume.lab.methods import build_method
from relume.lab.plots import plot_runs
from relume.lab.recipe import Data, Optimizer, Phase, Recipe, override
from relume.lab.run import Run
from relume.lab.training import loop
from relume.lab.training.checkpoint import load_checkpoint, save_checkpoint
from relume.lab.training.learner import Learner
from relume.lab.training.loop import train
from relume.lab.training.validation import validate
from relume.lab.weights import load_weights


class Interruption(Exception):
    """Stands for the process being killed."""


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "weights.safetensors")


def test_a_run_folder_holds_all_that_a_run_is(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(tiny_recipe, tiny_root, run, device="cpu", quiet=True) == run / "weights.safetensors"
    assert {"recipe.json", "environment.json", "metrics.jsonl", "samples", "weights.safetensors"} <= {
        path.name for path in run.iterdir()
    }
    rows = Run(run).metrics()
    training = [row for row in rows if row["kind"] == "train"]
    validation = [row for row in rows if row["kind"] == "validation"]
    assert [row["step"] for row in training] == [2, 4, 6, 8]
    assert [row["crop"] for row in training] == [16, 16, 32, 32]
    assert [row["step"] for row in validation] == [4, 8]
    assert training[0]["loss"] == pytest.approx(training[0]["charbonnier"] + training[0]["ssim"])
    assert {"psnr", "psnr_gt_mean", "ssim"} <= set(validation[0])
    assert json.loads((run / "environment.json").read_text())["torch"] == torch.__version__
    curves = plot_runs([run], ".png")
    assert curves[1:4] == b"PNG"
    assert len(curves) > 10_000


@pytest.mark.parametrize("stop_after", [2, 4, 7])
def test_resume_ends_in_the_same_weights(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(tiny_recipe, tiny_root, whole, device="cpu", quiet=True)
    step = loop.Trainer.train_step

    def interrupted(trainer: loop.Trainer, data: PairedCrops) -> None:
        if trainer.step == stop_after:
            raise Interruption
        return step(trainer, data)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "train_step", interrupted)
        with pytest.raises(Interruption):
            train(tiny_recipe, tiny_root, broken, device="cpu", quiet=True)
    started = (broken / "checkpoint.pt").exists()
    train(tiny_recipe, tiny_root, broken, device="cpu", quiet=True, resume=started)
    expected, resumed = weights_of(whole), weights_of(broken)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in Run(whole).metrics()]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in Run(broken).metrics()] == strip


def test_a_run_is_never_overwritten_or_resumed_differently(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    train(tiny_recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    with pytest.raises(OutputExists, match="holds a run already"):
        train(tiny_recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    with pytest.raises(UsageError, match="another recipe"):
        train(replace(tiny_recipe, seed=1), tiny_root, tmp_path, device="cpu", quiet=True, resume=True)


def test_a_cut_off_row_of_metrics_does_not_stop_a_resume(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    train(tiny_recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    rows = Run(tmp_path).metrics()
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-20])
    assert Run(tmp_path).metrics() == rows[:-1]
    train(tiny_recipe, tiny_root, tmp_path, device="cpu", quiet=True, resume=True)
    assert Run(tmp_path).metrics() == rows[:-1]


def test_float16_scales_its_gradients(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe, precision="float16")
    train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    saved = load_checkpoint(tmp_path)
    assert saved["scaler"]["scale"] > 1
    trainer = loop.Trainer(recipe, torch.device("cpu"))
    trainer.restore(saved)
    assert trainer.state()["scaler"] == saved["scaler"]


def test_wrong_options_and_folders_are_named(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="method 'supervised' have no"):
        train(replace(tiny_recipe, method_options={"x": 1}), tiny_root, tmp_path / "a", quiet=True)
    with pytest.raises(UsageError, match="no method is called 'x'"):
        train(replace(tiny_recipe, method="x"), tiny_root, tmp_path / "b", quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="file"):
        train(tiny_recipe, tiny_root, tmp_path / "file/run", quiet=True)


def test_training_learns(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe, phases=(Phase(60, 32, 4),), log_every=10, validate_every=60, average=0.9)
    train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    losses = [row["loss"] for row in Run(tmp_path).metrics() if row["kind"] == "train"]
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_can_start_from_another(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    first = train(tiny_recipe, tiny_root, tmp_path / "first", device="cpu", quiet=True)
    still = replace(tiny_recipe, optimizer=Optimizer(lr=0.0, min_lr=0.0, weight_decay=0.0))
    for start in (first, first.parent):
        run = tmp_path / f"from-{start.name}"
        train(replace(still, start=str(start)), tiny_root, run, device="cpu", quiet=True)
        again = weights_of(run)
        for name, value in weights_of(first.parent).items():
            if name.endswith(("weight", "bias")):  # statistics of batches go on
                torch.testing.assert_close(value, again[name])
    leaky = replace(still, network_options={**still.network_options, "leak": 0.1}, start=str(first.parent))
    with pytest.raises(UsageError, match="trained with a leak of 0, the"):
        train(leaky, tiny_root, tmp_path / "leaky", device="cpu", quiet=True)
    with pytest.raises(ModelError, match="nothing"):
        train(replace(still, start="nothing"), tiny_root, tmp_path / "second", device="cpu", quiet=True)


def test_a_diverging_run_stops_and_says_what_to_do(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = replace(tiny_recipe, optimizer=Optimizer(lr=1e30, warmup=0, clip=0.0))
    with pytest.raises(TrainingDiverged, match=r"nan at step .* lower optimizer\.lr"):
        train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    assert not (tmp_path / "weights.safetensors").exists()


def test_missing_data_is_named(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(tiny_recipe, tmp_path / "nothing", tmp_path / "run", device="cpu", quiet=True)


def test_a_split_that_leaves_nothing_to_train_on_is_named(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    pairs = tmp_path / "lol_v1/our485"
    for side in ("low", "high"):
        (pairs / side).mkdir(parents=True)
        for name in read_split("our485_scenes")[:2]:
            shutil.copy(tiny_root / f"lol_v1/our485/{side}/{name}.png", pairs / side)
    with pytest.raises(DataError, match=r"our485.*'our485_scenes' leaves nothing to train on"):
        train(tiny_recipe, tmp_path, tmp_path / "run", device="cpu", quiet=True)


def test_a_crop_larger_than_the_images_is_refused(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = replace(tiny_recipe, phases=(Phase(1, 128, 1),))
    with pytest.raises(DataError, match="smaller than the crop"):
        train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)


def test_a_finished_run_without_its_checkpoint_is_not_replaced(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    train(tiny_recipe, tiny_root, tmp_path / "run", device="cpu", quiet=True)
    (tmp_path / "run" / "checkpoint.pt").unlink()
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(OutputExists):
        train(replace(tiny_recipe, seed=5), tiny_root, tmp_path / "run", device="cpu", quiet=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_that_could_not_start_leaves_nothing(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(tiny_recipe, tmp_path / "none", tmp_path / "run", device="cpu", quiet=True)
    with pytest.raises(ModelError):
        train(tiny_recipe, tmp_path / "none", tmp_path / "run", device="cpu", resume=True, quiet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
def test_a_checkpoint_on_a_full_disk_keeps_the_last_one(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    save_checkpoint(tmp_path, {"step": 1})
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
    try:
        with pytest.raises(OutputUnwritable):
            save_checkpoint(tmp_path, {"step": 2, "much": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert load_checkpoint(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_unknown_device_is_refused(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not available"):
        train(tiny_recipe, tiny_root, tmp_path, device="abacus", quiet=True)


def test_resume_without_a_checkpoint_says_so(tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        train(tiny_recipe, tiny_root, tmp_path, device="cpu", quiet=True, resume=True)


def test_a_damaged_checkpoint_is_refused_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path)


def test_validation_images_are_never_trained_on(tiny_root: Path) -> None:
    training, validation = training_and_validation(tiny_root, Data())
    assert {pair.name for pair in training} == {"a", "b", "c", "d"}
    assert len(validation) == 2
    everything, _ = training_and_validation(tiny_root, Data(subset="all"))
    assert len(everything) == 6


def test_batches_depend_on_seed_and_number_alone(tiny_root: Path) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[0])
    phase = Phase(1, 16, 3)
    crops = PairedCrops(pairs, Data(exposure_jitter=0.5), seed=3, overview_size=8)
    later = crops.batch(5, phase)
    again = PairedCrops(pairs, Data(exposure_jitter=0.5), seed=3, overview_size=8).batch(5, phase)
    assert torch.equal(later.low_BCHW, again.low_BCHW)
    assert torch.equal(later.thumbnail_BCST, again.thumbnail_BCST)
    assert not torch.equal(later.low_BCHW, crops.batch(6, phase).low_BCHW)


def test_crops_of_both_sides_match(tiny_root: Path) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[0])
    batch = PairedCrops(pairs, Data(), seed=0, overview_size=8).batch(0, Phase(1, 24, 8))
    np.testing.assert_allclose(batch.low_BCHW.numpy(), batch.high_BCHW.numpy() * 0.2, atol=1.1 / 255)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_gradients_are_clipped_by_their_true_length(precision: str, tiny_recipe: Recipe) -> None:
    """AdamW's second step tells how long the first gradient was taken to be; scaling must not show."""

    def weight_after(clip: float, gradients: tuple[float, float], precision: str) -> float:
        parameter = torch.nn.Parameter(torch.ones(()))
        options = Optimizer(lr=0.1, warmup=0, weight_decay=0.0, clip=clip)
        learner = Learner({"weight": parameter}, options, tiny_recipe, torch.device("cpu"), precision)
        for step, gradient in enumerate(gradients):
            learner.backward(gradient * parameter)
            learner.update(step)
            assert parameter.grad is None
        return parameter.item()

    clipped = weight_after(1.0, (100.0, 0.5), precision)
    assert clipped == pytest.approx(weight_after(0.0, (1.0, 0.5), "float32"), rel=1e-5)
    assert clipped != pytest.approx(weight_after(0.0, (100.0, 0.5), "float32"), rel=1e-3)


def test_accumulated_batches_weigh_as_one(
    tiny_root: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny_recipe, phases=(Phase(1, 32, 2, accumulation=3),), optimizer=Optimizer(clip=0.0))
    data = PairedCrops(load_pairs(training_and_validation(tiny_root, recipe.data)[0]), recipe.data, 0, 80)
    seen: list[list[torch.Tensor]] = []

    def update(learner: Learner, step: int, *, keep: bool) -> None:
        seen.append(
            [parameter.grad.clone() for parameter in learner.parameters if parameter.grad is not None]
        )

    monkeypatch.setattr(Learner, "update", update)
    trainer = loop.Trainer(recipe, torch.device("cpu"))
    trainer.train_step(data)
    again = loop.Trainer(recipe, torch.device("cpu"))
    again.method.train()
    losses = [
        torch.stack(list(again.method(data.batch(i, recipe.phases[0])).values())).sum() for i in range(3)
    ]
    mean = torch.stack(losses).mean()
    mean.backward()
    expected = [parameter.grad for parameter in again.method.parameters() if parameter.grad is not None]
    assert trainer.means()["loss"] == pytest.approx(mean.item())
    for ours, theirs in zip(seen[0], expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_validation_scores_are_those_of_the_protocol(tiny_root: Path) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[1])
    scores = validate(torch.nn.Identity(), pairs, torch.device("cpu"))
    images = [(pair.low_HWC, pair.high_HWC) for pair in pairs]
    assert scores["psnr"] == pytest.approx(np.mean([psnr(*both) for both in images]), abs=1e-4)
    assert scores["psnr_gt_mean"] == pytest.approx(
        np.mean([psnr_gt_mean(*both) for both in images]), abs=1e-4
    )
    assert scores["ssim"] == pytest.approx(np.mean([ssim(*both) for both in images]), abs=1e-5)
    assert scores["psnr_gt_mean"] > scores["psnr"] + 10  # a fifth of the brightness
    assert "loss" not in scores


def test_validation_measures_the_methods_loss_of_whole_images(tiny_root: Path) -> None:
    pairs = load_pairs(training_and_validation(tiny_root, Data())[1])
    identity = torch.nn.Identity()
    method = build_method("supervised", identity, {"mse": 2.0, "charbonnier": 0.5}, {})
    scores = validate(identity, pairs, torch.device("cpu"), method.paired_loss)
    difference = [(pair.low_HWC / 255 - pair.high_HWC / 255) for pair in pairs]
    expected = [2 * np.mean(d**2) + 0.5 * np.mean(np.sqrt(d**2 + 1e-6)) for d in difference]
    assert scores["loss"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_loss_of_validation_is_logged_and_lowers_the_rate(
    tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    """With a threshold that nothing reaches, every validation after the first one halves the rate."""
    plateau = Optimizer(warmup=0, schedule="plateau", plateau_patience=0, plateau_threshold=1.0)
    recipe = replace(tiny_recipe, optimizer=plateau, validate_every=2, log_every=1)
    train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    rows = Run(tmp_path).metrics()
    assert all(row["loss"] > 0 for row in rows if row["kind"] == "validation")
    rates = [row["lr"] / plateau.lr for row in rows if row["kind"] == "train"]
    assert rates == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])


def test_a_plateau_of_a_loss_that_validation_has_not_is_refused(tiny_recipe: Recipe) -> None:
    recipe = replace(
        tiny_recipe,
        network="zero-dce",
        network_options={},
        method="zero-reference",
        losses={"exposure": 1.0},
        optimizer=Optimizer(schedule="plateau"),
    )
    with pytest.raises(UsageError, match=r"'zero-reference' has no loss.*plateau_watches=psnr"):
        loop.Trainer(recipe, torch.device("cpu"))
    loop.Trainer(override(recipe, ["optimizer.plateau_watches=psnr"]), torch.device("cpu"))


@pytest.mark.parametrize(("asked", "seen"), [(0, 2), (1, 1), (2, 2), (9, 2)])
def test_as_many_images_are_validated_as_asked_for(
    tiny_root: Path,
    tiny_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: int,
    seen: int,
) -> None:
    counts: list[int] = []

    def counted(network: torch.nn.Module, pairs: list[LoadedPair], *_: object) -> dict[str, float]:
        counts.append(len(pairs))
        return {"psnr": 1.0}

    monkeypatch.setattr(loop, "validate", counted)
    recipe = replace(tiny_recipe, phases=(Phase(1, 16, 1),), validation_images=asked)
    train(recipe, tiny_root, tmp_path, device="cpu", quiet=True)
    assert counts == [seen]


def test_published_checkpoints_are_read_through_their_wrappers(tmp_path: Path) -> None:
    """Weights below a key, and names as parallel training leaves them."""
    torch.manual_seed(0)
    source = torch.nn.Linear(2, 3)
    wrapped = {f"module.{name}": value for name, value in source.state_dict().items()}
    for key in ("", "params_ema", "params", "state_dict"):
        torch.save({key: wrapped} if key else wrapped, tmp_path / "published.pth")
        network = torch.nn.Linear(2, 3)
        load_weights(tmp_path / "published.pth", network)
        assert torch.equal(network.weight, source.weight), key
        assert torch.equal(network.bias, source.bias), key


def test_moving_average_by_hand() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 1.0)
    average = MovingAverage(network, 0.9, warmup=10)
    torch.nn.init.constant_(network.weight, 2.0)
    average.update(network, step=1000)
    assert average.network.weight.item() == pytest.approx(0.9 * 1 + 0.1 * 2)
    torch.nn.init.constant_(network.weight, 3.0)
    average.update(network, step=5)  # half way, half of the decay
    assert average.network.weight.item() == pytest.approx(0.45 * 1.1 + 0.55 * 3)
    torch.nn.init.constant_(network.weight, 5.0)
    average.update(network, step=0)
    assert average.network.weight.item() == 5
    assert not average.network.weight.requires_grad
