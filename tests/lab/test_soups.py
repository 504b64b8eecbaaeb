"""Averages of runs' weights: the mean by hand, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from relume.errors import ExitCode, ModelError, UsageError
from relume.lab.networks import build
from relume.lab.recipe import Recipe
from relume.lab.run import Run
from relume.lab.soups import write_soup
from relume.lab.weights import save_weights
from shared import Result


def finished(recipe: Recipe, folder: Path, seed: int) -> Path:
    """A run folder with random weights."""
    torch.manual_seed(seed)
    run = Run(folder)
    run.begin(replace(recipe, seed=seed), {"processor": "any"})
    save_weights(run.weights_file, build(recipe.network, recipe.network_options))
    return folder


@pytest.fixture
def runs(tiny_recipe: Recipe, tmp_path: Path) -> list[Path]:
    return [finished(tiny_recipe, tmp_path / name, seed) for seed, name in enumerate("abc")]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((), (1 / 3, 1 / 3, 1 / 3)), ((5, 2, 3), (0.5, 0.2, 0.3)), ((0.1, 0.8, 0.1), (0.1, 0.8, 0.1))],
)
def test_each_weight_is_the_mean(
    runs: list[Path], tmp_path: Path, shares: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    out = tmp_path / "soup"
    write_soup(runs, shares, out)
    parts = [load_file(Run(run).weights_file) for run in runs]
    for name, value in load_file(Run(out).weights_file).items():
        by_hand = sum(share * part[name].double() for share, part in zip(expected, parts, strict=True))
        torch.testing.assert_close(value.double(), by_hand, atol=1e-6, rtol=0)
    assert Run(out).recipe() == Run(runs[0]).recipe()
    told = Run(out).environment()["mean_of"]
    assert told == {str(run): pytest.approx(share) for run, share in zip(runs, expected, strict=True)}


def test_strange_soups_are_refused(runs: list[Path], tiny_recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "soup"
    for shares in ([1.0], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, float("nan"), 1.0], [1e308] * 3):
        with pytest.raises(UsageError, match="cannot have the shares"):
            write_soup(runs, shares, out)
    wider = replace(tiny_recipe, network_options={**tiny_recipe.network_options, "condition": 16})
    with pytest.raises(UsageError, match="its network is not that of"):
        write_soup([runs[0], finished(wider, tmp_path / "wider", 0)], (), out)
    elsewhere = replace(tiny_recipe, data=replace(tiny_recipe.data, pairs="lol-v2-real/train"))
    with pytest.raises(UsageError, match="trained on lol-v2-real/train, which the recipe"):
        write_soup([runs[0], finished(elsewhere, tmp_path / "elsewhere", 0)], (), out)
    with pytest.raises(ModelError, match="no such run"):
        write_soup([runs[0], tmp_path / "none"], (), out)
    assert not out.exists()
    with pytest.raises(UsageError, match="holds a run already"):
        write_soup(runs, (), runs[1])


def test_the_command_makes_a_run(relume: Callable[..., Result], runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "soup"
    done = relume("lab", "soup", *runs[:2], "--shares", "0.7,0.3", "-o", out)
    assert done.code == 0, done.err
    told = json.loads((out / "environment.json").read_text())
    assert sorted(told["mean_of"].values()) == pytest.approx([0.3, 0.7])
    refused = relume("lab", "soup", *runs[:2], "--shares", "some", "-o", tmp_path / "other")
    assert refused.code == ExitCode.USAGE
    assert not (tmp_path / "other").exists()
