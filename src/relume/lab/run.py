"""A run folder: what lies in it and where, the recipe in it, and the network that a finished run leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import nn

from relume.errors import ModelError, UsageError
from relume.files import check_folder, make_folder, write_file
from relume.lab.networks import build
from relume.lab.recipe import Recipe, from_json, to_json
from relume.lab.weights import load_weights, save_weights


@dataclass(frozen=True)
class Run:
    """A run folder; nothing need be in it yet.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """What decides the result."""
        return self.folder / "recipe.json"

    @property
    def environment_file(self) -> Path:
        """What it ran on."""
        return self.folder / "environment.json"

    @property
    def metrics_file(self) -> Path:
        """A row for each entry of the log and each validation."""
        return self.folder / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """The same for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def checkpoint_file(self) -> Path:
        """What a resume needs."""
        return self.folder / "checkpoint.pt"

    @property
    def weights_file(self) -> Path:
        """The network, when finished."""
        return self.folder / "weights.safetensors"

    @property
    def half_file(self) -> Path:
        """The same in half precision, where files have to be small."""
        return self.folder / "weights-half.safetensors"

    @property
    def result_file(self) -> Path:
        """What a cell of an ablation scored."""
        return self.folder / "result.json"

    def sample_file(self, step: int) -> Path:
        """Input, output and target of one held-out image, at a step."""
        return self.folder / "samples" / f"{step:07d}.jpg"

    @property
    def is_begun(self) -> bool:
        """Whether it holds what a training run has learnt, finished or not."""
        return self.checkpoint_file.exists() or self.is_finished

    @property
    def is_finished(self) -> bool:
        """Whether it holds the trained network."""
        return self.weights_file.exists()

    def begin(self, recipe: Recipe, environment: Mapping[str, Any]) -> None:
        """Make the folder, and write down what decides the result and what it runs on.

        Raises:
            OutputUnwritable: no permission, no space.
        """
        make_folder(self.folder)
        write_file(self.recipe_file, to_json(recipe))
        write_file(self.environment_file, json.dumps(environment, indent=2) + "\n")

    def check_new(self) -> None:
        """Make sure that a network can be left here, before there is one.

        Raises:
            UsageError: the folder holds a run.
            OutputUnwritable: no permission.
        """
        if self.is_begun:
            raise UsageError("holds a run already", "Name another --out.", path=self.folder)
        check_folder(self.folder)

    def finish(self, recipe: Recipe, environment: Mapping[str, Any], network: nn.Module) -> None:
        """Leave a network that was made otherwise than by training, as a finished run.

        Raises:
            OutputUnwritable: no permission, no space.
        """
        self.begin(recipe, environment)
        save_weights(self.weights_file, network)

    def recipe(self) -> Recipe:
        """The recipe of a run, finished or not.

        Raises:
            ModelError: the folder holds no run.
            UsageError: its recipe is damaged, or of a version with other values.
        """
        if not self.recipe_file.exists():
            reason = "there is no such run"
            if self.folder.is_dir():
                reason = f"this folder is not that of a run (there is no {self.recipe_file.name})"
            elif self.folder.exists():
                reason = "this is a file, not the folder of a run"
            raise ModelError(reason, "Name the folder of a training run.", path=self.folder)
        return from_json(self.recipe_file.read_text())

    def environment(self) -> dict[str, Any]:
        """What it ran on."""
        return json.loads(self.environment_file.read_text())

    def metrics(self) -> list[dict[str, Any]]:
        """All rows of its metrics, but for a last one that was cut off; none where there is no file yet."""
        text = self.metrics_file.read_text() if self.metrics_file.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def recipe_to_resume(self, recipe: Recipe) -> Recipe:
        """The recipe that the run was started with, changes and all, if it is the same by its name.

        Raises:
            UsageError: it is damaged.
        """
        if not self.is_begun:
            return recipe
        kept = self.recipe()
        return kept if kept.name == recipe.name else recipe

    def check_recipe(self, recipe: Recipe) -> None:
        """Make sure that the run, if it is begun, is of this recipe.

        Raises:
            UsageError: it is of another, or its recipe is damaged.
        """
        if self.is_begun and self.recipe() != recipe:
            raise UsageError(
                "the run in this folder was started with another recipe",
                "Make the same changes as then, or name another --out.",
                path=self.recipe_file,
            )

    def network(self) -> nn.Module:
        """The trained network of a finished run.

        Raises:
            ModelError: the folder holds no finished run, or weights that are damaged or not its network's.
            UsageError: its recipe is damaged, or of a version with other values.
        """
        if not self.folder.exists():
            raise ModelError(
                "there is no such run", "Train it first, or name another folder.", path=self.folder
            )
        recipe = self.recipe()
        if not self.is_finished:
            reason = f"holds a run that is not finished (there is no {self.weights_file.name})"
            remedy = "Train to the end first, or resume with --resume."
            raise ModelError(reason, remedy, path=self.folder)
        network = build(recipe.network, recipe.network_options).eval()
        load_weights(self.weights_file, network)
        return network

    def keep_small(self, limit: int) -> None:
        """Add weights in half precision to a finished run, and split all files larger than a limit.

        `weights.safetensors` of three pieces becomes `weights.safetensors.000` to `.002`; one after another
        they are the file again (`cat weights.safetensors.0* > weights.safetensors`).

        Args:
            limit: bytes of a file, at most.

        Raises:
            OutputUnwritable: no permission, no space.
        """
        state = load_file(self.weights_file)
        half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        write_file(self.half_file, save(half))
        for file in [
            path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size > limit
        ]:
            with file.open("rb") as content:
                for number, piece in enumerate(iter(lambda: content.read(limit), b"")):
                    write_file(file.with_name(f"{file.name}.{number:03d}"), piece)
            file.unlink()


def check_leak(run: Path, recipe: Recipe) -> None:
    """Make sure that a run's weights mean the same in the network of a recipe.

    Raises:
        UsageError: the recipe's network has another slope below 0, which no weight tells.
    """
    theirs, ours = (_leaks(each) for each in (Run(run).recipe(), recipe))
    for name, leak in theirs.items():
        if leak != ours[name]:
            raise UsageError(
                f"its weights were trained with a {name} of {leak:g}, the recipe has one of {ours[name]:g}",
                f"Give the recipe network_options.{name}={leak:g}, or start from another run.",
                path=run,
            )


def _leaks(recipe: Recipe) -> dict[str, float]:
    """The leaks of its network's passes, by the names of their options."""
    options = recipe.network_options
    leak, local = float(options.get("leak", 0)), options.get("local_leak")
    return {"leak": leak, "local_leak": leak if local is None else float(local)}


def weights_of(path: Path) -> Path:
    """The file of weights that a run folder or the file itself stands for."""
    return Run(path).weights_file if path.is_dir() else path


def load_run(folder: Path) -> tuple[Recipe, nn.Module]:
    """The recipe and the trained network of a finished run.

    Raises:
        ModelError, UsageError: as `Run.network`.
    """
    run = Run(folder)
    network = run.network()
    return run.recipe(), network
