"""A run folder: how its files are called, the recipe in it, and the network that a finished run leaves."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from relume.errors import ModelError, UsageError
from relume.files import write_file
from relume.lab.networks import build
from relume.lab.recipe import Recipe, from_json
from relume.lab.weights import load_weights

RECIPE = "recipe.json"
"""What decides the result."""

ENVIRONMENT = "environment.json"
"""What it ran on."""

CHECKPOINT = "checkpoint.pt"
"""What a resume needs."""

WEIGHTS = "weights.safetensors"
"""The network, when finished."""

HALF = "weights-half.safetensors"
"""The same in half precision, where files have to be small."""


def weights_of(path: Path) -> Path:
    """The file of weights that a run folder or the file itself stands for."""
    return path / WEIGHTS if path.is_dir() else path


def load_recipe(run: Path) -> Recipe:
    """The recipe of a run, finished or not.

    Raises:
        ModelError: the folder holds no run.
        UsageError: its recipe is damaged, or of a version with other values.
    """
    path = run / RECIPE
    if not path.exists():
        reason = "holds no run" if run.is_dir() else "there is no such run"
        raise ModelError(reason, "Name the folder of a training run.", path=run)
    return from_json(path.read_text())


def holds_run(run: Path) -> bool:
    """Whether a folder holds what a training run has learnt, finished or not."""
    return any((run / name).exists() for name in (CHECKPOINT, WEIGHTS))


def recipe_to_resume(run: Path, recipe: Recipe) -> Recipe:
    """The recipe that a run in a folder was started with, changes and all, if it is the same by its name.

    Raises:
        UsageError: it is damaged.
    """
    if not holds_run(run):
        return recipe
    kept = load_recipe(run)
    return kept if kept.name == recipe.name else recipe


def check_recipe(run: Path, recipe: Recipe) -> None:
    """Make sure that a folder's run, if it holds one, is of this recipe.

    Raises:
        UsageError: it is of another, or its recipe is damaged.
    """
    if holds_run(run) and load_recipe(run) != recipe:
        raise UsageError(
            "the run in this folder was started with another recipe",
            "Make the same changes as then, or name another --out.",
            path=run / RECIPE,
        )


def keep_small(run: Path, limit: int) -> None:
    """Add weights in half precision to a finished run, and split all files larger than a limit.

    `weights.safetensors` of three pieces becomes `weights.safetensors.000` to `.002`; one after another they
    are the file again (`cat weights.safetensors.0* > weights.safetensors`).

    Args:
        run: folder.
        limit: bytes of a file, at most.

    Raises:
        OutputUnwritable: no permission, no space.
    """
    state = load_file(run / WEIGHTS)
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    write_file(run / HALF, save(half))
    for file in [path for path in run.rglob("*") if path.is_file() and path.stat().st_size > limit]:
        with file.open("rb") as content:
            for number, piece in enumerate(iter(lambda: content.read(limit), b"")):
                write_file(file.with_name(f"{file.name}.{number:03d}"), piece)
        file.unlink()


def load_run(run: Path) -> tuple[Recipe, nn.Module]:
    """The recipe and the trained network of a finished run.

    Raises:
        ModelError: the folder holds no finished run, or weights that are damaged or not its network's.
        UsageError: its recipe is damaged, or of a version with other values.
    """
    if not run.is_dir():
        raise ModelError("there is no such run", "Train it first, or name another folder.", path=run)
    if not (run / WEIGHTS).exists():
        raise ModelError("holds no finished run", "Train to the end first, or go on with --resume.", path=run)
    recipe = load_recipe(run)
    network = build(recipe.network, recipe.network_options).eval()
    load_weights(run / WEIGHTS, network)
    return recipe, network
