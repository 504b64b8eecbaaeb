"""Options of networks, methods and darkness: wrong ones are named before anything is built or read."""

from __future__ import annotations

from pathlib import Path
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
from relume.lab.training.loop import train


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
    needed = {"unsupervised": "teacher", "decisions": "photographed"}
    options = {needed[name]: {"run": "nowhere"}} if name in needed else {}
    with pytest.raises(UsageError, match=f"method '{name}' have no 'colour'"):
        build_method(name, build("zero-dce"), {"exposure": 1.0}, {**options, "colour": "red"})


def test_a_wrong_loss_fails_when_the_method_is_built() -> None:
    with pytest.raises(UsageError, match=r"no loss is called \['charbonier'\]"):
        build_method("supervised", build("zero-dce"), {"charbonier": 1.0}, {})


AUTOENCODER = ["network=iaml-autoencoder", 'network_options={"widths": [4, 4, 4, 4], "head": 4}']
TAUGHT = [*AUTOENCODER, "method=multi-teacher"]


@pytest.mark.parametrize(
    ("losses", "options", "said"),
    [
        ("contrastive", '{"contrastive": {"teacher": "t", "temperature": 0}}', r"contrastive: 'temperature'"),
        ("contrastive", '{"contrastive": {"teacher": "t", "embedding": -4}}', r"contrastive: 'embedding'"),
        ("contrastive", '{"contrastive": {"teacher": ["t"]}}', r"contrastive: 'teacher'"),
        ("contrastive", '{"contrastive": {"techer": "t"}}', r"contrastive.*'teacher'"),
        (
            "attention",
            '{"features": {"teacher": "t", "teacher_feature": -7}}',
            "features: 'teacher_feature'",
        ),
        ("adversarial", '{"adversarial": {"colour": 1}}', "adversarial have no 'colour'.*loss, options"),
        ("adversarial", '{"adversarial": {"options": {"width": 0}}}', "'patchgan': 'width'"),
        ("perceptual", '{"perceptual": {"file": 3}}', "perceptual: 'file'"),
        ("imitation-t", '{"teachers": {"t": {"run": 3}}}', "teacher's options: 'run'"),
        ("imitation-t", '{"teachers": {"t": {"run": "a", "onnx": "b"}}}', "have no 'onnx'"),
        ("imitation-t", '{"teachers": {"t": {"ensemble": []}}}', "'ensemble'"),
        ("imitation-t", '{"teachers": {"t": {"network": ["x"]}}}', "'network'"),
        ("imitation-t", '{"teachers": {"t": {"colour": "red"}}}', r"cannot be described by \['colour'\]"),
    ],
)
def test_options_within_the_options_of_a_method(losses: str, options: str, said: str) -> None:
    weights = f'losses={{"charbonnier": 1, "{losses}": 1}}'
    refused([*TAUGHT, weights, f"method_options={options}"], said)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("zero-dce", "method_options.exposure_region=0", "'exposure_region'"),
        ("zero-dce", "method_options.exposure_region=600", r"crops of \d+ pixels are smaller than a region"),
        ("zero-dce", "method_options.exposure_level=7", "'exposure_level'"),
        ("iaml", "method_options.projections=[]", "'projections'"),
        ("iaml", "method_options.projections=[-1]", "'projections"),
        ("iaml", "method_options.decay=5", "'decay'"),
        ("iaml", "method_options.first_map=-2", "'first_map'"),
        ("iaml", "phases.0.crop=48", "multiples of 32"),
        ("lol", "optimizer.betas=[2, 0]", r"'optimizer\.betas\.0'"),
        ("lol", "optimizer.lr=Infinity", r"'optimizer\.lr'"),
        ("lol", "losses.ssim=NaN", r"'losses\.ssim'"),
        ("lol", "data.exposure_jitter=Infinity", r"'data\.exposure_jitter'"),
        ("lol", "average=1", "'average'"),
        ("lol", f"seed={10**23}", "'seed'"),
        ("lol", "phases.0.rate_factor=-1", r"rate_factor'"),
        ("lol", "network_options.depths=[1]", "network 'two-pass'"),
        ("lol", 'losses={"charbonier": 1}', r"no loss is called \['charbonier'\]"),
    ],
)
def test_a_value_that_cannot_be_trained_with_fails_before_data_is_read(
    name: str, change: str, said: str
) -> None:
    refused([change], said, name)


def refused(changes: list[str], said: str, name: str = "lol") -> None:
    """A run fails for this reason though the data that it would read next is missing."""
    with pytest.raises((ModelError, UsageError), match=said):
        train(override(get_recipe(name), changes), Path("no data"), Path("no run"), device="cpu")


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
