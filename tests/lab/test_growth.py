"""Networks that grow: the same pictures at first, weights that can learn, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from acting import SMALL, acting
from relume.errors import ExitCode, ModelError, UsageError
from relume.lab.growth import grow, write_grown
from relume.lab.networks import build
from relume.lab.networks.two_pass import TwoPass
from relume.lab.recipe import Recipe, to_json
from relume.lab.run import Run
from shared import Result

LARGE = {**SMALL, "widths": [24, 40], "depths": [2, 3]}


@pytest.fixture
def recipe(tiny_recipe: Recipe) -> Recipe:
    return replace(tiny_recipe, network_options=SMALL)


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Path:
    """A finished run."""
    Run(tmp_path / "small").finish(recipe, {"processor": "any"}, acting())
    return tmp_path / "small"


@pytest.mark.parametrize("larger", [{"widths": [24, 40]}, {"depths": [2, 3]}, LARGE, {}])
def test_what_has_grown_makes_the_same_picture(larger: dict[str, list[int]]) -> None:
    small, large = acting().eval(), TwoPass(**{**SMALL, **larger})
    grow(small, large)
    image = torch.rand(2, 3, 37, 50) ** 3
    with torch.no_grad():
        torch.testing.assert_close(large(image), small(image), atol=1e-5, rtol=0)


def test_all_that_is_new_learns() -> None:
    large = TwoPass(**LARGE)
    grow(acting(), large)
    image = torch.rand(2, 3, 32, 32)
    optimizer = torch.optim.SGD(large.parameters(), lr=0.1)
    for _ in range(4):  # layers that begin at zero hold up what lies before them for a step
        optimizer.zero_grad()
        large(image).square().mean().backward()
        optimizer.step()
    for name, value in large.local_pass.named_parameters():
        assert value.grad is not None, name
        learning = value.grad.flatten(1).any(1) if value.ndim > 1 else value.grad != 0
        assert learning.float().mean() > 0.7, name  # some units are 0 for every pixel of these images


def test_a_run_grows_to_the_network_of_a_recipe(
    relume: Callable[..., Result], recipe: Recipe, run: Path, tmp_path: Path
) -> None:
    file, out = tmp_path / "large.json", tmp_path / "grown"
    file.write_text(to_json(replace(recipe, network_options=LARGE, seed=3)))
    done = relume("lab", "grow", run, file, "-o", out)
    assert done.code == 0, done.err
    assert Run(out).recipe() == replace(recipe, network_options=LARGE)
    assert Run(out).environment() == {"processor": "any", "grown_from": str(run)}
    image = torch.rand(1, 3, 33, 20)
    with torch.no_grad():
        torch.testing.assert_close(Run(out).network()(image), Run(run).network()(image), atol=1e-5, rtol=0)
    again = relume("lab", "grow", run, file, "-o", out)
    assert again.code == ExitCode.USAGE
    assert "holds a run already" in again.err


def test_what_cannot_grow_is_refused(recipe: Recipe, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    for options in (
        {"widths": [8, 40]},
        {"widths": [16], "depths": [1]},
        {"condition": 16},
        {"global_width": 8},
    ):
        with pytest.raises(UsageError, match="has no place in the larger one"):
            write_grown(run, replace(recipe, network_options={**SMALL, **options}), out)
    with pytest.raises(UsageError, match="only two-pass networks can grow"):
        write_grown(run, replace(recipe, network="iaml-autoencoder", network_options={}), out)
    with pytest.raises(UsageError, match="only two-pass networks can grow"):
        grow(build("iaml-autoencoder", {"widths": [8, 8, 8, 8, 8], "head": 4}), acting())
    with pytest.raises(UsageError, match="trained with a leak of 0, the"):
        write_grown(run, replace(recipe, network_options={**LARGE, "leak": 0.1}), out)
    with pytest.raises(ModelError, match="no such run"):
        write_grown(tmp_path / "none", recipe, out)
    assert not out.exists()
