"""Trials: short runs of many small networks, what each scored, and what it takes in an engine here.

A trial's run folder keeps its result, so a series that was cut off resumes where it stopped, in the middle of
a run too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from relume.errors import DataError
from relume.evaluate.bench import machine
from relume.files import make_folder, read_json, write_file
from relume.lab.data.packed import Roots
from relume.lab.data.paired import LoadedPair, LoadedPairs, evenly
from relume.lab.export import dark_image, export_graphs, run_graphs
from relume.lab.networks import build
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.recipe import Recipe
from relume.lab.run import Run
from relume.lab.tables import from_csv, to_csv
from relume.lab.training.loop import train
from relume.lab.training.validation import SCORES, validate
from relume.models.engines import load_engine


@dataclass(frozen=True)
class Trial:
    """One finished run, and what its network takes.

    Attributes:
        stage: what the run is for, such as `pruned` or `rung 1`.
        name: of the network among those of its stage.
        seed: of the run.
        network, options: the network, its options as JSON.
        params, gmacs_256: parameters, and multiply-accumulates at 256 x 256 in units of 1e9.
        ms: what a photo takes, see `Clock`.
        steps, core_seconds: what training took.
        psnr, psnr_gt_mean, ssim, images: means at full resolution, and over how many images.
        width, height, engine, threads, processor: what `ms` was measured with.
    """

    stage: str
    name: str
    seed: int
    network: str
    options: str
    params: int
    gmacs_256: float
    ms: float
    steps: int
    core_seconds: float
    psnr: float
    psnr_gt_mean: float
    ssim: float
    images: int
    width: int
    height: int
    engine: str
    threads: int
    processor: str


@dataclass
class Clock:
    """Measures what a network takes for a whole photo, as its exported graphs in an engine.

    With one thread the process's processor time counts, which other programs disturb little; with more, the
    time that passes. The best of all rounds, so that disturbances are left out.

    Attributes:
        kept: file in which figures are kept by configuration, so that none is measured twice.
        engine, width, height, threads: with what, and for what photo.
        rounds: how often, after a first time that does not count.
    """

    kept: Path
    engine: str = "onnxruntime"
    width: int = 1920
    height: int = 1080
    threads: int = 1
    rounds: int = 5
    _known: dict[str, float] = field(default_factory=dict[str, float], init=False)

    def __post_init__(self) -> None:
        if self.kept.exists():
            self._known = read_json(self.kept)

    def milliseconds(self, network: str, options: Mapping[str, Any]) -> float:
        """What a network of these options takes; its weights are random.

        Raises:
            ModelError: no such network or options, or it cannot be exported.
            MissingExtra: the engine is not installed.
            OutputUnwritable: the figure cannot be kept.
        """
        where = [self.engine, self.width, self.height, self.threads, machine()["processor"]]
        key = json.dumps([network, options, where], sort_keys=True)
        if key not in self._known:
            torch.manual_seed(0)
            self._known[key] = round(1000 * self._measured(build(network, options)), 1)
            make_folder(self.kept.parent)
            write_file(self.kept, json.dumps(self._known, indent=2) + "\n")
        return self._known[key]

    def _measured(self, network: nn.Module) -> float:
        graphs = export_graphs(network)
        engines = {
            part: load_engine(self.engine, graph, device="cpu", threads=self.threads)
            for part, graph in graphs.items()
        }
        image = dark_image((self.height, self.width))
        now = time.process_time if self.threads == 1 else time.perf_counter
        taken: list[float] = []
        for _ in range(self.rounds + 1):
            began = now()
            run_graphs(engines, network, image)
            taken.append(now() - began)
        return min(taken[1:])


def core_seconds() -> float:
    """Processor time of this process so far, and of those that it has started and seen end."""
    return sum(os.times()[:4])


def macs(network: str, options: Mapping[str, Any]) -> int:
    """Multiply-accumulates of a network for 256 x 256 pixels; shapes are enough to count them."""
    with FakeTensorMode():
        return count_macs(build(network, options).requires_grad_(False), 256)


def tried(
    stage: str,
    name: str,
    recipe: Recipe,
    roots: Roots,
    pairs: LoadedPairs,
    run: Run,
    clock: Clock,
    *,
    device: str = "auto",
    quiet: bool = False,
) -> Trial:
    """Train by a recipe, unless that is done already; its last validation is the score.

    Args:
        stage, name: see `Trial`.
        pairs: what the recipe trains on, and what is scored.
        run: folder of the run.

    Raises:
        UsageError: the run in the folder is of another recipe.
        TrainingDiverged: it did.
    """
    run.check_recipe(recipe)
    if not run.result_file.exists():
        began = core_seconds()
        if not run.is_finished:
            train(recipe, roots, run.folder, device=device, resume=run.is_begun, quiet=quiet, pairs=pairs)
        images = len(evenly(pairs[1], recipe.validation_images))
        seconds = core_seconds() - began
        trial = _trial(stage, name, recipe, run.metrics()[-1], images, clock, seconds)
        write_file(run.result_file, json.dumps(asdict(trial), indent=2) + "\n")
    return Trial(**read_json(run.result_file))


def scored(
    stage: str, name: str, recipe: Recipe, run: Run, held_out: Sequence[LoadedPair], clock: Clock
) -> Trial:
    """A finished run by other held-out images than those that it was tried on."""
    scores = validate(run.network(), held_out, torch.device("cpu"))
    return _trial(stage, name, recipe, scores, len(held_out), clock, 0.0)


def _trial(
    stage: str,
    name: str,
    recipe: Recipe,
    scores: Mapping[str, float],
    images: int,
    clock: Clock,
    seconds: float,
) -> Trial:
    network, options = recipe.network, recipe.network_options
    return Trial(
        stage,
        name,
        recipe.seed,
        network,
        json.dumps(options),
        count_parameters(build(network, options)),
        round(macs(network, options) / 1e9, 4),
        clock.milliseconds(network, options),
        recipe.steps,
        round(seconds, 1),
        images=images,
        **{score: round(scores[score], 4) for score in SCORES},
        width=clock.width,
        height=clock.height,
        engine=clock.engine,
        threads=clock.threads,
        processor=str(machine()["processor"]),
    )


def as_csv(trials: Sequence[Trial]) -> str:
    """A line a trial."""
    return to_csv(Trial, trials)


def read_trials(path: Path) -> list[Trial]:
    """What `as_csv` made.

    Raises:
        DataError: it is no such file, or holds no trial.
    """
    trials = from_csv(Trial, path, "trials")
    if not trials:
        raise DataError("holds no trial", "Name a CSV file of some.", path=path)
    return trials


def shape(trial: Trial) -> str:
    """The widths of a network, and its depths where they are said, for people."""
    options = json.loads(trial.options)
    told = ["-".join(map(str, options[name])) for name in ("widths", "depths") if name in options]
    return " x ".join(told) or "as shipped"
