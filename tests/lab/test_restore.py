"""Models that become runs again: the same pictures, also while training, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from acting import SMALL, acting
from relume.errors import ExitCode, ModelError
from relume.lab.export import export_graphs, export_run, statistics_of
from relume.lab.networks import build
from relume.lab.recipe import Recipe
from relume.lab.restore import fill, write_restored
from relume.lab.run import Run
from shared import Result

HALF = {"atol": 2e-3, "rtol": 0}


def norms(network: nn.Module) -> list[Any]:
    return [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path) -> Path:
    """A finished run with statistics of its own."""
    network = acting()
    for norm in norms(network):
        for value, least, most in ((norm.weight, -1, 2), (norm.bias, -1, 1)):
            nn.init.uniform_(value, least, most)
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.02, 0.5)
    Run(tmp_path / "run").finish(replace(tiny_recipe, network_options=SMALL), {"processor": "any"}, network)
    return tmp_path / "run"


@pytest.fixture
def model(run: Path, tmp_path: Path) -> Path:
    """Its card."""
    export_run(run, "small", tmp_path / "zoo", {})
    return tmp_path / "zoo" / "small.json"


def test_a_model_becomes_the_run_that_it_was(
    relume: Callable[..., Result], run: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    done = relume("lab", "restore", model, "-o", out)
    assert done.code == 0, done.err
    assert Run(out).recipe() == Run(run).recipe()
    assert Run(out).environment() == {"processor": "any", "restored_from": "small"}
    before, after = Run(run).network(), Run(out).network()
    for dropout in [*before.modules(), *after.modules()]:
        if isinstance(dropout, nn.Dropout):
            dropout.p = 0.0
    image = 0.3 * torch.rand(2, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(after(image), before(image), **HALF)
        # BatchNorm takes the batch's own statistics now, and moves its running ones by them.
        torch.testing.assert_close(after.train()(image), before.train()(image), **HALF)
        torch.testing.assert_close(after.eval()(image), before.eval()(image), **HALF)
    again = relume("lab", "restore", model, "-o", out)
    assert again.code == ExitCode.USAGE
    assert "holds a run already" in again.err


def test_it_is_exported_as_the_same_model(model: Path, tmp_path: Path) -> None:
    write_restored(str(model), tmp_path / "again")
    export_run(tmp_path / "again", "small", tmp_path / "other", {})
    image = 0.3 * torch.rand(1, 3, 40, 56)
    first, second = (build("two-pass", SMALL).eval() for _ in range(2))
    for network, folder in ((first, model.parent), (second, tmp_path / "other")):
        fill(network, [onnx.load(file) for file in sorted(folder.glob("*.onnx"))])
    with torch.no_grad():
        torch.testing.assert_close(first(image), second(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("iaml-autoencoder", {"widths": [8, 8, 8, 8, 8], "head": 4}),
        ("zero-dce", {}),
    ],
)
def test_networks_of_one_graph_are_read_back(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network, other = (build(name, options).eval() for _ in range(2))
    for norm in norms(network):
        norm.running_mean.uniform_(-0.3, 0.3)
    image = 0.3 * torch.rand(1, 3, 32, 32)
    fill(other, [onnx.load_from_string(graph) for graph in export_graphs(network).values()])
    with torch.no_grad():
        torch.testing.assert_close(other(image), network(image), **HALF)


def test_what_ships_can_be_trained_further(tmp_path: Path) -> None:
    write_restored("photo", tmp_path / "photo")
    network = Run(tmp_path / "photo").network()
    told = statistics_of(network)
    assert len(told) == 4
    assert all(max(each["variance"]) != 1 for each in told.values()), "statistics were not told"


def test_what_cannot_be_restored_is_refused(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    card = json.loads(model.read_text())
    for recipe, reason in (
        ({}, "tells no recipe"),
        ({**card["recipe"], "network": "none"}, "tells no recipe|no network"),
        ({**card["recipe"], "network": "zero-dce", "network_options": {}}, "do not tell"),
        ({**card["recipe"], "network_options": {**SMALL, "condition": 16}}, "do not tell"),
        ({**card["recipe"], "network_options": {**SMALL, "leak": 0.9}}, "differs from the graphs"),
    ):
        model.write_text(json.dumps({**card, "recipe": recipe}))
        with pytest.raises(ModelError, match=reason):
            write_restored(str(model), out)
    with pytest.raises(ModelError, match="no model is called"):
        write_restored("none", out)
    assert not out.exists()
