"""The training loop: batches in, a run folder out."""

from __future__ import annotations

import io
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from relume.errors import ModelError, OutputExists, UsageError
from relume.files import check_folder, make_folder, write_file
from relume.lab import ranks
from relume.lab.average import MovingAverage
from relume.lab.data.batch import Batch
from relume.lab.data.packed import Roots
from relume.lab.data.paired import LoadedPair, LoadedPairs, PairedCrops, evenly
from relume.lab.data.streamed import load_crops
from relume.lab.methods import build_method
from relume.lab.networks import build
from relume.lab.recipe import Phase, Recipe
from relume.lab.run import Run, check_leak, weights_of
from relume.lab.training.ahead import Ahead, pick_workers
from relume.lab.training.checkpoint import load_checkpoint, save_checkpoint
from relume.lab.training.device import (
    autocast,
    pick_precision,
    random_state,
    restore_random_state,
)
from relume.lab.training.interruptions import Interruptions
from relume.lab.training.learner import Learner
from relume.lab.training.recorder import Recorder
from relume.lab.training.schedule import LOSS
from relume.lab.training.timing import Timings, fitted
from relume.lab.training.together import joined
from relume.lab.training.tracker import Checked, Tracker, diverged
from relume.lab.training.validation import enhance_array, validate
from relume.lab.weights import load_weights, save_weights
from relume.version import __version__


class Batches(Protocol):
    """What makes batches by number: `PairedCrops`, or that with another one `Ahead`."""

    def batch(self, index: int, phase: Phase) -> Batch: ...


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
            if Run(Path(recipe.start)).recipe_file.exists():
                check_leak(Path(recipe.start), recipe)
            load_weights(weights_of(Path(recipe.start)), self.network)
        method = build_method(recipe.method, self.network, recipe.losses, recipe.method_options)
        for phase in recipe.phases:
            method.check_crop(phase.crop)
        self.method = method.to(self.device)
        ranks.share(self.method)
        ranks.align(self.method)
        # After the device, so that an adversary's and teachers' convolutions have channels last too.
        self.method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if recipe.compile:
            self.method.compile(dynamic=False)
        opposing = dict(self.method.adversary.named_parameters()) if self.method.adversary else {}
        others = {id(parameter) for parameter in opposing.values()}
        own = {
            name: parameter
            for name, parameter in self.method.named_parameters()
            if parameter.requires_grad and id(parameter) not in others
        }
        self.precision = pick_precision(self.device, recipe.precision)
        how = (recipe, self.device, self.precision)
        self.learner = Learner(own, recipe.optimizer, *how)
        self.adversary = Learner(opposing, recipe.adversary, *how) if opposing else None
        self.average = MovingAverage(self.network, recipe.average, recipe.average_warmup)
        self._check_plateau()
        self.step = 0
        self.batches = 0
        self.sums: dict[str, Tensor] = {}
        self.unlogged = 0
        self.recorder = Recorder(self.method, self.learner, recipe, self.device, self.precision)

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

    def train_step(self, data: Batches) -> None:
        """One optimiser step; its loss terms, averaged over the accumulated batches, are added to `sums`.

        Nothing waits for the device.
        """
        phase = self.recipe.phase_at(self.step)
        self.method.train()
        self.method.progress.fill_(self.step / self.recipe.steps)
        terms: dict[str, Tensor] = {}
        for _ in range(phase.accumulation):
            batch = data.batch(self.batches, phase)
            self.batches += 1
            losses = self.recorder.backward(batch, 1 / phase.accumulation)
            if self.adversary is not None:
                losses = losses | {"discriminator": self._oppose(batch, self.adversary)}
            for name, loss in losses.items():
                share = loss.detach() / phase.accumulation
                terms[name] = terms[name] + share if name in terms else share
        for learner in self.learners():
            ranks.average_gradients(learner.parameters)
            learner.update(self.step, keep=self.recorder.records)
        self.method.after_step()
        self.average.update(self.network, self.step)
        self.step += 1
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term
        self.unlogged += 1

    def _oppose(self, batch: Batch, adversary: Learner) -> Tensor:
        """Gradients of the adversary for a batch the method has just seen; its loss."""
        with autocast(self.device, self.precision):
            loss = self.method.adversary_loss(batch)
        adversary.backward(loss / self.recipe.phase_at(self.step).accumulation)
        return loss

    def means(self) -> dict[str, float]:
        """The mean loss of the steps since this was asked last, and of each term; waits for the device."""
        values = torch.stack([value.double() for value in self.sums.values()]) / max(1, self.unlogged)
        values = ranks.mean(values).cpu()
        means = dict(zip(self.sums, values.tolist(), strict=True))
        self.sums, self.unlogged = {}, 0
        return {"loss": sum(mean for name, mean in means.items() if name != "discriminator"), **means}

    def validate(self, held_out: Sequence[LoadedPair]) -> dict[str, float]:
        """Scores of the average; one rank measures for all."""
        scores: dict[str, float] = {}
        if ranks.leads():
            scores = validate(self.average.network, held_out, self.device, self.validation_loss)
        return ranks.told(scores)

    def settle(self) -> None:
        """Give all ranks the same unlogged losses, so that one checkpoint serves them all."""
        if ranks.count() > 1:
            self.sums = {name: ranks.mean(value) for name, value in self.sums.items()}

    def check_finite(self, run: Path) -> None:
        """Raise TrainingDiverged if a weight, an average or an unlogged loss is not finite."""
        state = {
            **self.method.state_dict(),
            **self.average.network.state_dict(prefix="average."),
            **self.sums,
        }
        floating = {name: value for name, value in state.items() if value.is_floating_point()}
        if not torch.stack([value.isfinite().all() for value in floating.values()]).all():
            wrong = [name for name, value in floating.items() if not value.isfinite().all()]
            raise diverged(f"{wrong[0]} is not finite", self.step, run)

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
            "sums": self.sums,
            "unlogged": self.unlogged,
            "random": random_state(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises:
            ModelError: it is of another version, or another recipe.
        """
        try:
            self._restore(state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"the checkpoint does not fit ({error})", "Start anew in another run folder."
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.step, self.batches = state["step"], state["batches"]
        self.method.load_state_dict(state["method"])
        self.average.network.load_state_dict(state["average"])
        self.learner.restore(state)
        if self.adversary is not None:
            self.adversary.restore(state["adversary"])
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.unlogged = state["unlogged"]
        restore_random_state(self.device, state["random"])


def train(
    recipe: Recipe,
    roots: Roots,
    run: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
    minutes: float = 0.0,
    workers: int | None = None,
    pairs: LoadedPairs | None = None,
) -> Path:
    """Train by a recipe and return the path of the weights (the moving average, float32).

    Args:
        recipe: what to do; when resuming, the run folder's own recipe must say the same.
        roots: data root, a folder with `lol_v1/` and others; a pack, its parts or the folder of them; or a
            folder of shards, from which images are read as they are drawn.
        run: run folder, made if missing: recipe, environment, metrics, samples, checkpoint, weights.
        device: `auto`, `cpu`, `cuda`, `mps`.
        resume: continue from the last checkpoint, to the same result as without the interruption.
        minutes: scale the lengths of the phases so that all is done in this time, from now; the run folder's
            recipe is the scaled one. 0 leaves them.
        workers: processes that make batches, see `Ahead`; as `pick_workers` says if None.
        pairs: what `load_training_and_validation` has read for the recipe already, where many runs share it.

    Raises:
        ModelError: no network of that name and options; or the weights to start from, those of a teacher or
            classifier, or the checkpoint to resume from are missing or do not fit.
        OutputExists: the folder holds a run and `resume` is not set.
        OutputUnwritable: the folder cannot be made or written into.
        UsageError: the device is not there, the run to resume had another recipe, or method, options and
            losses do not fit together.
        DataError: the data is missing or incomplete, a source has nothing left, or a crop is larger than an
            image.
        TrainingDiverged: a loss, score or weight is no longer finite.
        KeyboardInterrupt: the process was interrupted or terminated; a checkpoint has been written.
    """
    began = time.monotonic()
    with joined(device) as chosen:
        _check_shares(recipe, minutes)
        _check_folder(run, recipe, resume)
        trainer = Trainer(recipe, chosen)
        if resume:
            trainer.restore(load_checkpoint(run))
        ranks.meet()  # before the first writes into the folder
        processes, home = pick_workers(chosen, workers)
        data, held_out = _load(trainer, roots, pairs, home)
        ahead = Ahead(data, chosen, processes)
        if minutes and not resume:
            timings = Timings.of(trainer, ahead, held_out)
            recipe = fitted(timings, recipe, began + 60 * minutes - time.monotonic())
            trainer = Trainer(recipe, chosen)
            trainer.method.prepare(data)
        tracker = _begin(trainer, run, quiet=quiet)
        try:
            with Interruptions(patient=ranks.count() > 1) as interruptions:
                _loop(trainer, ahead, held_out, tracker, run, interruptions)
        finally:
            tracker.close()
            ahead.close()
        if ranks.leads():
            save_weights(Run(run).weights_file, trainer.average.network)
    return Run(run).weights_file


def _check_shares(recipe: Recipe, minutes: float) -> None:
    """Refuse what processes that train together cannot do."""
    for phase in recipe.phases:
        ranks.share_of(phase.batch)
    if minutes and ranks.count() > 1:
        raise UsageError(
            "several processes cannot fit a run into a time", "Leave out --minutes, or train in one process."
        )


def _load(
    trainer: Trainer, roots: Roots, loaded: LoadedPairs | None, home: torch.device
) -> tuple[PairedCrops, list[LoadedPair]]:
    """What batches are made from, living on a device, and what is validated on."""
    recipe = trainer.recipe
    data, validation = load_crops(
        roots,
        recipe.data,
        recipe.seed,
        trainer.method.overview_size,
        rank=ranks.rank(),
        ranks=ranks.count(),
        device=home,
        loaded=loaded,
    )
    held_out = evenly(validation, recipe.validation_images)
    with ranks.first_alone():
        trainer.method.prepare(data)
    return data, held_out


def _begin(trainer: Trainer, run: Path, *, quiet: bool) -> Checked:
    """What takes the rows of a run whose folder says what it is; only one rank writes."""
    if not ranks.leads():
        return Checked(run)
    Run(run).begin(trainer.recipe, _environment(trainer.device))
    return Tracker(run, trainer.recipe.steps, trainer.step, quiet=quiet)


def _loop(
    trainer: Trainer,
    data: Ahead,
    held_out: list[LoadedPair],
    tracker: Checked,
    run: Path,
    interruptions: Interruptions,
) -> None:
    recipe = trainer.recipe
    while trainer.step < recipe.steps:
        trainer.train_step(data)
        step, last = trainer.step, trainer.step == recipe.steps
        tracker.advance()
        if step % recipe.log_every == 0 or last:
            crop = recipe.phase_at(step - 1).crop
            tracker.row("train", step, {**trainer.means(), **trainer.rates(step - 1), "crop": crop})
        if last or _validates(recipe, step):
            scores = trainer.validate(held_out)
            for learner in trainer.learners():
                learner.rate.after_validation(scores)
            tracker.row("validation", step, scores)
            if ranks.leads():
                _save_sample(trainer, held_out[0], run)
        stops = ranks.agreed(interruptions.asked)
        if step % recipe.checkpoint_every == 0 or last or stops:
            trainer.check_finite(run)
            trainer.settle()
            if ranks.leads():
                save_checkpoint(run, trainer.state())
        interruptions.obey(stops)


def _validates(recipe: Recipe, step: int) -> bool:
    """Whether a validation follows the 1-based `step`."""
    if recipe.validate_every:
        return step % recipe.validate_every == 0
    return recipe.ends_epoch(step - 1)


def _check_folder(run: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse to replace a run, or to resume one of another recipe."""
    if resume:
        Run(run).check_recipe(recipe)
    elif Run(run).is_begun:
        raise OutputExists("holds a run already", "Add --resume, or name another --out.", path=run)
    check_folder(run)


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
        "processes": ranks.count(),
    }


def _save_sample(trainer: Trainer, pair: LoadedPair, run: Path) -> None:
    """Input, output and target of one held-out image in one picture, by step."""
    output = enhance_array(trainer.average.network, pair.low_HWC, trainer.device)
    target = Run(run).sample_file(trainer.step)
    make_folder(target.parent)
    strip, file = np.concatenate([pair.low_HWC, output, pair.high_HWC], axis=1), io.BytesIO()
    Image.fromarray(strip).save(file, "JPEG", quality=90)
    write_file(target, file.getvalue())
