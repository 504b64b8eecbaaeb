"""How far two processes that train together stray from one, step by step.

    python benchmarks/together.py [--steps 50] [--processes 2] [--recipes lol iaml compact-clarity]

Both runs have the same seed and the same batches, in float32 on the CPU. The recipes are the real ones, with
all losses, adversary and teachers, on small crops and with the small student of `compact-clarity-cpu`. Made
scenes stand in for photos, and teacher and classifier have random weights: neither changes what is exchanged.

Rounding grows in training, most where Adam scales gradients that are nothing but rounding (biases before
BatchNorm). How much is told by a third run: one process again, with convolutions that round otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch

from relume.datasets.splits import read_split
from relume.lab.losses.perceptual import Perceptual
from relume.lab.recipe import Phase, Recipe
from relume.lab.recipes import get_recipe
from relume.lab.recipes.compact_clarity import SMALL
from relume.lab.run import Run
from relume.lab.training.loop import train
from relume.lab.training.together import launch
from relume.photo import Photo, write_photo

RECIPES = ("lol", "iaml", "compact-clarity")


def made_root(root: Path) -> Path:
    """Eight pairs of 128 x 96 that look like LOL-v1, two of them held out."""
    random = np.random.default_rng(0)
    for name in [*read_split("our485_scenes")[:2], *"abcdef"]:
        clean = random.random((12, 16, 3)).repeat(8, 0).repeat(8, 1)
        for side, pixels in (("low", clean * 0.2 + random.normal(0, 0.01, clean.shape)), ("high", clean)):
            folder = root / "lol_v1/our485" / side
            folder.mkdir(parents=True, exist_ok=True)
            write_photo(Photo(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)), folder / f"{name}.png")
    return root


def short(name: str, steps: int, folder: Path) -> Recipe:
    """A recipe's first steps, on small crops."""
    recipe = get_recipe(name)
    if name == "compact-clarity":
        file = folder / "mobilenet.pth"
        torch.manual_seed(1)
        torch.save(Perceptual("mobilenet_v2").state_dict(), file)
        options: dict[str, Any] = {
            **recipe.method_options,
            "teachers": {
                "structure": {
                    "network": "mirnet-v2",
                    "options": {"n_feat": 16, "n_MRB": 1},
                    "weights": "random",
                }
            },
            "perceptual": {"backbone": "mobilenet_v2", "file": str(file)},
        }
        recipe = replace(recipe, method_options=options, network_options=SMALL)
    return replace(
        recipe,
        phases=(Phase(steps, 64, 4, recipe.phases[0].accumulation),),
        data=replace(recipe.data, subset="train", epoch=6),
        precision="float32",
        compile=False,
        log_every=1,
        validate_every=steps,
        checkpoint_every=steps,
    )


def losses(run: Path) -> dict[str, np.ndarray]:
    """Each term of a run's loss, and their sum, by step."""
    rows = [row for row in Run(run).metrics() if row["kind"] == "train"]
    leave = {"kind", "step", "seconds", "crop"}
    return {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in leave}


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of each term, relative to the first."""
    return {key: float((abs(other[key] - one[key]) / abs(one[key]).clip(1e-12)).max()) for key in one}


def compare(name: str, steps: int, processes: int, folder: Path) -> dict[str, Any]:
    """Train alone and together; the largest differences, each relative to the one of the run alone."""
    recipe, root = short(name, steps, folder), folder / "data"
    act = partial(train, recipe, root, device="cpu", quiet=True)
    act(folder / name / "alone")
    launch(processes, partial(act, folder / name / "together"))
    with torch.backends.mkldnn.flags(enabled=False):
        act(folder / name / "otherwise")
    alone, together, otherwise = (losses(folder / name / how) for how in ("alone", "together", "otherwise"))
    far, rounded = apart(alone, together), apart(alone, otherwise)
    worst = max((key for key in far if key != "loss"), key=lambda key: far[key])
    return {
        "recipe": name,
        "steps": steps,
        "processes": processes,
        "first_loss": round(float(alone["loss"][0]), 6),
        "last_loss": round(float(alone["loss"][-1]), 6),
        "largest_difference_of_the_loss": f"{far['loss']:.2e}",
        "largest_difference_of_a_term": f"{far[worst]:.2e}",
        "term": worst,
        "of_the_loss_by_other_rounding_alone": f"{rounded['loss']:.2e}",
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_root(folder / "data")
        for recipe in options.recipes:
            rows.append(compare(recipe, options.steps, options.processes, folder))
            print(rows[-1], flush=True)
    print(machine.store("together", rows))


if __name__ == "__main__":
    main()
