"""The training loop: batches in, a run folder out."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.errors import OutputExists, UsageError
from relume.files import make_folder, write_file
from relume.lab.average import MovingAverage
from relume.lab.data.paired import Batch, LoadedPair, PairedCrops, load_training_and_validation
from relume.lab.methods import build_method
from relume.lab.networks import build
from relume.lab.recipe import Recipe, to_json
from relume.lab.run import ENVIRONMENT, RECIPE, WEIGHTS, check_recipe, holds_run, weights_of
from relume.lab.training.checkpoint import load_checkpoint, save_checkpoint
from relume.lab.training.device import (
    autocast,
    pick_device,
    pick_precision,
    random_state,
    restore_random_state,
)
from relume.lab.training.learner import Learner
from relume.lab.training.schedule import LOSS
from relume.lab.training.tracker import Tracker
from relume.lab.training.validation import enhance_array, validate
from relume.lab.weights import load_weights, save_weights
from relume.photo import Photo, write_photo
from relume.version import __version__


@dataclass
class Trainer:
    """One run: its method, who learns in it, moving average, the step reached, and losses not yet logged."""

    recipe: Recipe
    device: torch.device

    def __post_init__(self) -> None:
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        self.network = build(recipe.network, recipe.network_options).to(self.device)
        if recipe.start:
            load_weights(weights_of(Path(recipe.start)), self.network)
        method = build_method(recipe.method, self.network, recipe.losses, recipe.method_options)
        self.method = method.to(self.device)
        # After the device, so that an adversary's and teachers' convolutions have channels last too.
        self.method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if recipe.compile:
            self.method.compile(dynamic=False)
        opposing = list(self.method.adversary.parameters()) if self.method.adversary else []
        own = [
            parameter
            for parameter in self.method.parameters()
            if parameter.requires_grad and not any(parameter is other for other in opposing)
        ]
        self.precision = pick_precision(self.device, recipe.precision)
        how = (recipe, self.device, self.precision)
        self.learner = Learner(own, recipe.optimizer, *how)
        self.adversary = Learner(opposing, recipe.adversary, *how) if opposing else None
        self.average = MovingAverage(self.network, recipe.average)
        self._check_plateau()
        self.step = 0
        self.batches = 0
        self.unlogged: list[dict[str, float]] = []

    def _check_plateau(self) -> None:
        """A plateau of a loss that validation cannot measure would never come."""
        watched = {
            learner.options.plateau_watches
            for learner in self.learners()
            if learner.options.schedule == "plateau"
        }
        if LOSS in watched and not self.method.paired_weights:
            raise UsageError(
                f"method '{self.recipe.method}' has no loss of output and target, which the plateau watches",
                "Set optimizer.plateau_watches=psnr (and adversary.plateau_watches), or another schedule.",
            )

    def train_step(self, data: PairedCrops) -> dict[str, float]:
        """One optimiser step; returns each loss term, averaged over the accumulated batches."""
        phase = self.recipe.phase_at(self.step)
        self.method.train()
        self.method.progress.fill_(self.step / self.recipe.steps)
        totals: dict[str, float] = {}
        opposing = 0.0
        for _ in range(phase.accumulation):
            batch = data.batch(self.batches, phase).to(self.device)
            self.batches += 1
            with autocast(self.device, self.precision):
                losses = self.method(batch)
            self.learner.backward(torch.stack(list(losses.values())).sum() / phase.accumulation)
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0.0) + loss.item() / phase.accumulation
            opposing += self._oppose(batch) / phase.accumulation
        for learner in self.learners():
            learner.update(self.step)
        self.method.after_step()
        self.average.update(self.network, self.step)
        self.step += 1
        discriminator = {"discriminator": opposing} if self.adversary else {}
        return {"loss": sum(totals.values()), **totals, **discriminator}

    def _oppose(self, batch: Batch) -> float:
        """Gradients of the adversary, if there is one, for a batch the method has just seen; its loss."""
        if self.adversary is None:
            return 0.0
        with autocast(self.device, self.precision):
            loss = self.method.adversary_loss(batch)
        self.adversary.backward(loss / self.recipe.phase_at(self.step).accumulation)
        return loss.item()

    @property
    def validation_loss(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """What validation measures beside scores: the method's loss as far as output and target decide it."""
        return self.method.paired_loss if self.method.paired_weights else None

    def learners(self) -> list[Learner]:
        return [self.learner] if self.adversary is None else [self.learner, self.adversary]

    def rates(self, step: int) -> dict[str, float]:
        """Learning rates of 0-based `step`, as metrics name them."""
        names = ("lr", "lr_discriminator")
        return {name: learner.rate_at(step) for name, learner in zip(names, self.learners(), strict=False)}

    def state(self) -> dict[str, Any]:
        """Everything that an exact resume needs."""
        return {
            "step": self.step,
            "batches": self.batches,
            "method": self.method.state_dict(),
            "average": self.average.network.state_dict(),
            **self.learner.state(),
            "adversary": self.adversary.state() if self.adversary else None,
            "unlogged": self.unlogged,
            "random": random_state(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step, self.batches = state["step"], state["batches"]
        self.method.load_state_dict(state["method"])
        self.average.network.load_state_dict(state["average"])
        self.learner.restore(state)
        if self.adversary is not None:
            self.adversary.restore(state["adversary"])
        self.unlogged = state["unlogged"]
        restore_random_state(self.device, state["random"])


def train(
    recipe: Recipe, root: Path, run: Path, *, device: str = "auto", resume: bool = False, quiet: bool = False
) -> Path:
    """Train by a recipe and return the path of the weights (the moving average, float32).

    Args:
        recipe: what to do; when resuming, the run folder's own recipe must say the same.
        root: data root, a folder with `lol_v1/` and others.
        run: run folder, made if missing: recipe, environment, metrics, samples, checkpoint, weights.
        device: `auto`, `cpu`, `cuda`, `mps`.
        resume: go on from the last checkpoint, to the same result as without the interruption.

    Raises:
        ModelError: no network of that name and options; or the weights to start from, those of a teacher or
            classifier, or the checkpoint to resume from are missing or do not fit.
        OutputExists: the folder holds a run and `resume` is not set.
        OutputUnwritable: the folder cannot be made or written into.
        UsageError: the device is not there, the run to resume had another recipe, or method, options and
            losses do not fit together.
        DataError: the data is missing or incomplete, a source has nothing left, or a crop is larger than an
            image.
        TrainingDiverged: a loss or score is no longer finite.
    """
    _check_folder(run, recipe, resume)
    trainer = Trainer(recipe, pick_device(device))
    if resume:
        trainer.restore(load_checkpoint(run))
    training, validation = load_training_and_validation(root, recipe.data)
    held_out = validation[:: -(-len(validation) // (recipe.validation_images or len(validation)))]
    data = PairedCrops(
        training, recipe.data, recipe.seed, trainer.method.overview_size, device=trainer.device
    )
    make_folder(run)
    write_file(run / RECIPE, to_json(recipe))
    write_file(run / ENVIRONMENT, json.dumps(_environment(trainer.device), indent=2) + "\n")
    trainer.method.prepare(data)
    tracker = Tracker(run, recipe.steps, trainer.step, quiet=quiet)
    try:
        _loop(trainer, data, held_out, tracker, run)
    finally:
        tracker.close()
    save_weights(run / WEIGHTS, trainer.average.network)
    return run / WEIGHTS


def _loop(
    trainer: Trainer, data: PairedCrops, held_out: list[LoadedPair], tracker: Tracker, run: Path
) -> None:
    recipe = trainer.recipe
    while trainer.step < recipe.steps:
        trainer.unlogged.append(trainer.train_step(data))
        step, last = trainer.step, trainer.step == recipe.steps
        tracker.advance(trainer.unlogged[-1]["loss"])
        if step % recipe.log_every == 0 or last:
            rows = trainer.unlogged
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
            crop = recipe.phase_at(step - 1).crop
            tracker.row("train", step, {**means, **trainer.rates(step - 1), "crop": crop})
            trainer.unlogged = []
        if last or _validates(recipe, step):
            scores = validate(trainer.average.network, held_out, trainer.device, trainer.validation_loss)
            for learner in trainer.learners():
                learner.rate.after_validation(scores)
            tracker.row("validation", step, scores)
            _save_sample(trainer, held_out[0], run)
        if step % recipe.checkpoint_every == 0 or last:
            save_checkpoint(run, trainer.state())


def _validates(recipe: Recipe, step: int) -> bool:
    """Whether a validation follows the 1-based `step`."""
    if recipe.validate_every:
        return step % recipe.validate_every == 0
    return recipe.ends_epoch(step - 1)


def _check_folder(run: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse to replace a run, or to go on with one of another recipe."""
    if resume:
        check_recipe(run, recipe)
    elif holds_run(run):
        raise OutputExists("holds a run already", "Add --resume to go on, or name another --out.", path=run)


def _environment(device: torch.device) -> dict[str, Any]:
    """What a run ran on, for the card and for anyone who compares."""
    return {
        "relume": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability(),
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def _save_sample(trainer: Trainer, pair: LoadedPair, run: Path) -> None:
    """Input, output and target of one held-out image in one picture, by step."""
    output = enhance_array(trainer.average.network, pair.low_HWC, trainer.device)
    samples = run / "samples"
    samples.mkdir(exist_ok=True)
    strip = np.concatenate([pair.low_HWC, output, pair.high_HWC], axis=1)
    write_photo(Photo(strip), samples / f"{trainer.step:07d}.jpg", quality=90)
