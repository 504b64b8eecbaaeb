"""Networks: shapes of any size, what the structure promises, and what they cost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import ModelError
from relume.lab.networks import NETWORKS, build, describe_networks
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.networks.two_pass import TwoPass
from relume.steps.curve import exposure_curve
from relume.steps.thumbnail import thumbnail


def small(seed: int = 0) -> TwoPass:
    """A small network whose zero-initialised layers got random values, so that every part has an effect."""
    torch.manual_seed(seed)
    network = TwoPass(widths=(16, 16, 32), depths=(1, 1, 1), condition=8, global_width=4, thumbnail_size=16)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


@given(st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=25, deadline=None)
def test_any_size_comes_back_in_range(height: int, width: int) -> None:
    network = small()
    with torch.inference_mode():
        output = network(torch.rand(2, 3, height, width))
    assert output.shape == (2, 3, height, width)
    assert output.min() >= 0
    assert output.max() <= 1


def test_nothing_beyond_the_halo_changes_a_pixel() -> None:
    network = small()
    local, halo = network.local_pass, network.local_pass.halo
    image = torch.rand(1, 3, 64, 4 * halo)
    conditioning = network.global_pass(thumbnail(image, (16, 16)))
    middle = 2 * halo
    other = image.clone()
    other[..., middle + halo + 1 :] = torch.rand_like(other[..., middle + halo + 1 :])
    with torch.inference_mode():
        first, second = local(image, conditioning), local(other, conditioning)
    assert torch.equal(first[..., : middle + 1], second[..., : middle + 1])
    assert not torch.equal(first, second)


def test_half_the_exposure_gets_twice_the_gain() -> None:
    network = small().global_pass
    with torch.inference_mode():
        image = torch.rand(1, 3, 16, 16) * 0.5
        full, half = network(image)[:, :3], network(image / 2)[:, :3]
    torch.testing.assert_close(half, 2 * full, rtol=1e-4, atol=0)


def test_an_untrained_network_aims_at_a_well_exposed_mean() -> None:
    network = TwoPass().eval()
    dark = torch.full((1, 3, 40, 40), 0.02)
    with torch.inference_mode():
        output = network(dark)
    assert 0.25 < output.mean() < 0.5


def test_exposure_curve_keeps_black_and_white_and_is_the_identity_at_one() -> None:
    ramp = torch.linspace(0, 1, 101).view(1, 1, 1, -1)
    for gain in (0.5, 1.0, 8.0):
        curve = exposure_curve(ramp, torch.full((1, 1, 1, 1), gain))
        assert curve[..., 0] == 0
        assert curve[..., -1] == pytest.approx(1)
        assert (curve.diff() > 0).all()
    torch.testing.assert_close(exposure_curve(ramp, torch.ones(1, 1, 1, 1)), ramp)


def test_cost_of_a_convolution_by_hand() -> None:
    layer = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert count_parameters(layer) == 3 * 8 * 9 + 8
    assert count_macs(layer, 10) == 3 * 8 * 9 * 100


def test_every_network_is_described() -> None:
    rows = {row["name"]: row for row in describe_networks()}
    assert set(rows) == set(NETWORKS)
    assert all(row["params"] > 0 and row["gmacs_256"] > 0 and row["summary"] for row in rows.values())


def test_unknown_networks_and_options_are_refused() -> None:
    with pytest.raises(ModelError, match="no network is called 'nothing'"):
        build("nothing")
    with pytest.raises(ModelError, match="have no 'colour'"):
        build("two-pass", {"colour": "blue"})


def test_zero_dce_has_the_published_size_and_keeps_the_range() -> None:
    network = build("zero-dce")
    assert count_parameters(network) == 79_416
    with torch.inference_mode():
        output = network(torch.rand(1, 3, 21, 34))
    assert output.shape == (1, 3, 21, 34)
    assert output.min() >= 0
    assert output.max() <= 1


def test_zero_dce_curves_by_hand() -> None:
    network = build("zero-dce")
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(network.e_conv7.bias, -10.0)  # tanh of it is -1: x -> 2 x - x^2, eight times
    value = 0.1
    for _ in range(8):
        value = 2 * value - value * value
    with torch.inference_mode():
        output = network(torch.full((1, 3, 4, 4), 0.1))
    torch.testing.assert_close(output, torch.full((1, 3, 4, 4), value))
