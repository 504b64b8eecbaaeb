"""A tiny data root that looks like LOL-v1, a recipe that trains on it in seconds, and networks exported once.

An export takes longer than most tests, and longer for each operation rather than for each weight: what needs
graphs of any network takes those of here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from relume.datasets.splits import read_split
from relume.lab.darkness import Darkness
from relume.lab.recipe import Data, Optimizer, Phase, Recipe
from relume.photo import Photo, write_photo


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs of 64 x 48: a smooth scene, and the same at a fifth of its brightness; two are held out."""
    root = tmp_path_factory.mktemp("data")
    held_out = read_split("our485_scenes")[:2]
    random = np.random.default_rng(0)
    for name in [*held_out, "a", "b", "c", "d"]:
        coarse = random.random((6, 8, 3)).repeat(8, 0).repeat(8, 1)
        for side, pixels in (("low", coarse * 0.2), ("high", coarse)):
            folder = root / "lol_v1/our485" / side
            folder.mkdir(parents=True, exist_ok=True)
            write_photo(Photo(np.rint(pixels * 255).astype(np.uint8)), folder / f"{name}.png")
    return root


@pytest.fixture(scope="session")
def neutral() -> Darkness:
    """An eighth of the light, and nothing else."""
    return Darkness(
        exposure=(0.125, 0.125),
        electrons=(1e9, 1e9),
        read_noise=(1e-3, 1e-3),
        row_noise=(0.0, 0.0),
        chroma_noise=(0.0, 0.0),
        black_error=0.0,
        white_balance=0.0,
        mixed=0.0,
        coloured=0.0,
        vignetting=0.0,
        uneven=0.0,
        back_lit=0.0,
        lamps=0.0,
        gamma=(1.0, 1.0),
        contrast=(0.0, 0.0),
        phone=0.0,
        jpeg=0.0,
        lost=(0.0, 0.0),
    )


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """Eight steps of a small two-pass network, with two resolutions and gradient accumulation."""
    return Recipe(
        name="tiny",
        phases=(Phase(5, 16, 2), Phase(3, 32, 1, accumulation=2)),
        network_options={
            "widths": [16, 16],
            "depths": [1, 1],
            "condition": 8,
            "global_width": 4,
            "overview_size": 32,
        },
        data=Data(exposure_jitter=0.2),
        optimizer=Optimizer(warmup=2),
        precision="float32",
        log_every=2,
        validate_every=4,
        checkpoint_every=3,
    )


class Exported(NamedTuple):
    """A network, what `build` makes it of, and its graphs."""

    network: Any
    options: dict[str, Any]
    graphs: dict[str, bytes]


@pytest.fixture(scope="session")
def every_part() -> Exported:
    """A two-pass network of three levels whose every part acts, as graphs; not to be changed.

    Its widths are no multiples of what engines compute in, as after pruning.
    """
    from relume.lab.export import export_graphs
    from relume.lab.networks import build

    options = {"widths": [12, 16, 20], "depths": [1, 1, 1], "condition": 8, "global_width": 4}
    options |= {"overview_size": 16}
    torch.manual_seed(0)
    network = build("two-pass", options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)  # those that start at zero, too
    return Exported(network, options, export_graphs(network))


@pytest.fixture(scope="session")
def autoencoder(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_recipe: Recipe) -> Path:
    """The card of an exported auto-encoder, whose run lies in `run` beside the card's folder.

    It is one graph that looks at the whole photo.
    """
    from relume.lab.export import export_run
    from relume.lab.training.loop import train

    folder = tmp_path_factory.mktemp("autoencoder")
    recipe = replace(
        tiny_recipe,
        network="iaml-autoencoder",
        network_options={"widths": [8, 16, 16, 24, 24], "head": 8},
        phases=(Phase(2, 32, 2),),
    )
    train(recipe, tiny_root, folder / "run", device="cpu", quiet=True)
    export_run(folder / "run", "whole", folder / "zoo", {"summary": "A test."})
    return folder / "zoo/whole.json"
