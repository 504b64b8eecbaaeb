"""Options of networks, methods and darkness: wrong ones are named before anything is built or read."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from relume.errors import ModelError, UsageError
from relume.lab.capabilities import Capabilities, capabilities
from relume.lab.methods import METHODS, build_method
from relume.lab.networks import NETWORKS, build
from relume.lab.options import checked_options
from relume.lab.recipe import override
from relume.lab.recipes import get_recipe


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_names_its_options(name: str) -> None:
    with pytest.raises(ModelError, match=rf"network '{name}' have no 'colour'.*They are: ") as caught:
        build(name, {"colour": "red"})
    assert all(option in str(caught.value) for option in checked_options(NETWORKS[name], {}, "options"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two-pass", {"depths": [1]}),
        ("two-pass", {"depths": [1, 1, 1, 1, 1]}),
        ("two-pass", {"widths": [16, -3]}),
        ("two-pass", {"depths": [1, 1, 1, 0]}),
        ("two-pass", {"overview_size": 100}),
        ("two-pass", {"dropout": 2}),
        ("two-pass", {"widths": "16"}),
        ("two-pass", {"condition": "much"}),
        ("zero-dce", {"width": 0}),
        ("compact-clarity", {"groups": [3]}),
        ("iaml-autoencoder", {"widths": []}),
        ("iaml-autoencoder", {"head": 1.5}),
    ],
)
def test_options_that_no_network_can_have(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=f"network '{name}'"):
        build(name, options)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_names_its_options(name: str) -> None:
    needed = {"teacher": {"run": "nowhere"}} if name == "unsupervised" else {}
    with pytest.raises(UsageError, match=f"method '{name}' have no 'colour'"):
        build_method(name, build("zero-dce"), {"exposure": 1.0}, {**needed, "colour": "red"})


def test_a_wrong_loss_fails_when_the_method_is_built() -> None:
    with pytest.raises(UsageError, match=r"no loss is called \['charbonier'\]"):
        build_method("supervised", build("zero-dce"), {"charbonier": 1.0}, {})


def test_nested_options_of_a_method() -> None:
    losses = {"charbonnier": 1.0, "adversarial": 0.1}
    with pytest.raises(UsageError, match="'multi-teacher' do not fit"):
        build_method("multi-teacher", build("zero-dce"), losses, {"adversarial": {"colour": 1}})


@pytest.mark.parametrize(
    "change",
    ["exposure=[0, 1]", "exposure=[0.5, 0.1]", "electrons=[-1, 5]", "jpeg=2", "contrast=[1, 0]", "gamma=1"],
)
def test_a_darkness_that_cannot_be_drawn(change: str) -> None:
    with pytest.raises(UsageError, match=rf"darkness\.{change.partition('=')[0]}"):
        override(get_recipe("photo"), [f"data.sources.0.darkness.{change}"])


@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".hidden", "a\\\\b"])
def test_a_recipe_stays_below_its_folder(name: str) -> None:
    with pytest.raises(UsageError, match="recipe value 'name'"):
        override(get_recipe("lol"), [f'name="{name}"'])


def test_networks_say_what_they_offer() -> None:
    offered = {name: capabilities(build(name)) for name in NETWORKS if name != "mirnet-v2"}
    assert offered["two-pass"].overview == 128
    assert offered["two-pass"].brightens
    assert offered["zero-dce"].curves
    assert offered["iaml-autoencoder"].maps
    assert offered["compact-clarity"].features
    assert offered["patchgan"] == capabilities(nn.Identity()) == Capabilities()


def test_a_network_of_another_kind_is_refused_by_its_capabilities() -> None:
    with pytest.raises(UsageError, match="no curves"):
        build_method("zero-reference", build("patchgan"), {"exposure": 1.0}, {})
    with pytest.raises(ModelError, match="no network is called"):
        build("three-pass")
