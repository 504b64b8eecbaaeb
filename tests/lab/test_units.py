"""Units that never act: they are found, begin anew without changing a picture, and learn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from acting import SMALL, acting
from relume.errors import ExitCode, ModelError
from relume.lab.networks import build
from relume.lab.networks.two_pass import TwoPass
from relume.lab.recipe import Recipe
from relume.lab.run import Run
from relume.lab.units import LOCAL, SELDOM, activity, hidden_units, without_silent, write_counted
from shared import Result

LAYERS = {"modulated_from": 0, **SMALL}


def silenced(*layers: str) -> TwoPass:
    """A network whose every second unit of these layers never acts."""
    network = TwoPass(**LAYERS)
    network.load_state_dict(acting().state_dict(), strict=False)
    for units in hidden_units(network):
        if units.name in layers:
            for maker in units.makers:
                maker.bias.data[::2] = -20
            if units.modulation is not None:
                units.modulation.weight.data.zero_()
                units.modulation.bias.data.zero_()
    return network.eval()


def images() -> list[tuple[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(1, 3, 32, 48, generator=generator) ** 3,) for _ in range(4)]


def silent(network: nn.Module) -> dict[str, Tensor]:
    return {name: share_N < SELDOM for name, share_N in activity(network, images()).items()}


def names() -> list[str]:
    return [units.name for units in hidden_units(TwoPass(**LAYERS))]


@pytest.mark.parametrize("layer", names())
def test_units_that_never_act_are_found_and_begin_anew(layer: str) -> None:
    network = silenced(layer)
    before = [network(*each).detach() for each in images()]
    found = silent(network)
    assert found[layer][::2].all()
    assert not found[layer][1::2].all()
    torch.manual_seed(1)
    for units in hidden_units(network):
        units.begin_anew(found[units.name])
    for each, expected in zip(images(), before, strict=True):
        torch.testing.assert_close(network(*each), expected, atol=1e-5, rtol=0)
    assert silent(network)[layer].sum() < found[layer].sum()


def test_a_network_without_modulation_has_its_units_counted() -> None:
    names = silent(acting().eval())
    assert "global grid" in names
    assert "global condition" not in names


def test_with_a_leak_no_unit_is_lost() -> None:
    """Whatever a unit's bias: what makes it still gets a gradient."""
    network = TwoPass(**LAYERS, leak=0.1)
    network.load_state_dict(silenced(*names()).state_dict())
    for value in network.parameters():
        if value.ndim > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.05)
    network(torch.rand(2, 3, 32, 32) ** 2).square().mean().backward()
    for units in hidden_units(network):
        for maker in units.makers:
            assert (maker.bias.grad != 0).float().mean() > 0.9, units.name


def test_a_run_is_counted_and_revived(
    relume: Callable[..., Result], tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "revived"
    recipe = replace(tiny_recipe, network_options=LAYERS)
    Run(run).finish(recipe, {"processor": "any"}, silenced("global gain", "local encoder.1.0"))
    told = relume("lab", "units", run, "--data", tiny_root)
    assert told.code == 0, told.err
    counts = {name: (every, lost) for name, every, lost in write_counted(run, tiny_root, None)}
    assert counts["local encoder.1.0"][0] == 16
    assert counts["local encoder.1.0"][1] >= 8
    for name, (every, lost) in counts.items():
        assert f"| {name} | {every} | {lost} |" in told.out.decode()
    done = relume("lab", "units", run, "--data", tiny_root, "-o", out)
    assert done.out == told.out
    assert Run(out).recipe() == recipe
    assert Run(out).environment() == {"processor": "any", "revived_from": str(run)}
    left = {name: silent for name, _, silent in write_counted(out, tiny_root, None)}
    assert left["local encoder.1.0"] < counts["local encoder.1.0"][1]
    assert relume("lab", "units", run, "--data", tiny_root, "-o", out).code == ExitCode.USAGE


def test_a_network_without_its_silent_units_computes_the_same() -> None:
    torch.manual_seed(0)
    options = {**LAYERS, "widths": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
    network = TwoPass(**options).eval()
    acting = {"local encoder.1.0": 3, "local decoder.1.0": 3, "local encoder.3.0": 34}
    for units in hidden_units(network):
        if units.name.startswith(LOCAL):
            units.makers[0].bias.data[:] = 1
            units.makers[0].bias.data[acting.get(units.name, 64) :] = -20
            torch.nn.init.normal_(units.modulation.weight, std=0.05)
    torch.nn.init.normal_(network.local_pass.head.weight, std=0.1)
    before = [network(*each) for each in images()]
    narrow, narrow_options = without_silent(network, options, activity(network, images()))
    assert narrow_options == {**options, "inner": [16, 16, 48, 48]}
    for each, expected in zip(images(), before, strict=True):
        assert not torch.equal(expected, each[0])
        torch.testing.assert_close(narrow(*each), expected, atol=1e-4, rtol=0)


def test_a_run_loses_its_silent_units(
    relume: Callable[..., Result], tiny_root: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "narrow"
    options = {**LAYERS, "widths": [16, 32, 16, 16], "depths": [1, 1, 1, 1]}
    recipe = replace(tiny_recipe, network_options=options)
    network = build("two-pass", options)
    for units in hidden_units(network):
        if ".1.0" in units.name:
            units.makers[0].bias.data[16:] = -20
            units.modulation.weight.data.zero_()
    Run(run).finish(recipe, {}, network)
    assert relume("lab", "units", run, "--data", tiny_root, "--leave-out").code == ExitCode.USAGE
    done = relume("lab", "units", run, "--data", tiny_root, "-o", out, "--leave-out")
    assert done.code == 0, done.err
    assert Run(out).recipe() == replace(recipe, network_options={**options, "inner": [16, 16, 16, 16]})
    assert Run(out).environment() == {"narrowed_from": str(run)}
    Run(out).network()


def test_another_network_is_refused(tiny_recipe: Recipe, tiny_root: Path, tmp_path: Path) -> None:
    options = {"widths": [8, 8, 8, 8, 8], "head": 4}
    recipe = replace(tiny_recipe, network="iaml-autoencoder", network_options=options)
    Run(tmp_path / "run").finish(recipe, {}, build("iaml-autoencoder", options))
    with pytest.raises(ModelError, match="known units"):
        write_counted(tmp_path / "run", tiny_root, None)
