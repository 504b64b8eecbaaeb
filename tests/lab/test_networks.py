"""Networks: shapes of any size, what the structure promises, and what they cost."""

from __future__ import annotations

import json
from importlib.resources import files
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import ModelError
from relume.lab.networks import NETWORKS, build, describe_networks
from relume.lab.networks.cost import count_macs, count_parameters
from relume.lab.networks.two_pass import GlobalPass, GridHead, TwoPass, held, place, step
from relume.steps.curve import exposure_curve
from relume.steps.grid import tone


def small(seed: int = 0, knots: int = 4) -> TwoPass:
    """A small network whose zero-initialised layers got random values, so that every part has an effect."""
    torch.manual_seed(seed)
    network = TwoPass(
        widths=(16, 16, 32), depths=(1, 1, 1), condition=8, global_width=4, overview_size=32, knots=knots
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([0, 1, 4]))
@settings(max_examples=25, deadline=None)
def test_any_size_comes_back_in_range(height: int, width: int, knots: int) -> None:
    network = small(knots=knots)
    with torch.inference_mode():
        output = network(torch.rand(2, 3, height, width))
    assert output.shape == (2, 3, height, width)
    assert output.min() >= 0
    assert output.max() <= 1


def test_nothing_beyond_the_halo_changes_a_pixel() -> None:
    network = small()
    local, halo = network.local_pass, network.local_pass.halo
    image = torch.rand(1, 3, 64, 4 * halo)
    middle = 2 * halo
    other = image.clone()
    other[..., middle + halo + 1 :] = torch.rand_like(other[..., middle + halo + 1 :])
    with torch.inference_mode():
        how = network.decide(image, None), place(image, None), step(image)
        first, second = local(image, *how), local(other, *how)
    assert torch.equal(first[..., : middle + 1], second[..., : middle + 1])
    assert not torch.equal(first, second)


def test_a_part_of_a_photo_comes_out_as_within_the_whole() -> None:
    network = small()
    local, halo, multiple = network.local_pass, network.local_pass.halo, network.local_pass.size_multiple
    image = 0.3 * torch.rand(1, 3, 48, 3 * halo)
    start = 2 * multiple
    with torch.inference_mode():
        decision, where = network.decide(image, None), place(image, None)
        complete = local(image, decision, where, step(image))
        there = where + torch.tensor([[0.0, start, 0.0, 0.0]])
        part = local(image[..., start:], decision, there, step(image))
    torch.testing.assert_close(part[..., halo:], complete[..., start + halo :], rtol=0, atol=1e-5)


def test_half_the_exposure_gets_twice_the_gain_and_but_for_the_hold_the_same_grid() -> None:
    network = small().global_pass
    network.hold = 0.0
    with torch.inference_mode():
        image = torch.rand(1, 3, 16, 32) * 0.5
        full, half = network(image), network(image / 2)
    torch.testing.assert_close(half.gain_BC, 2 * full.gain_BC, rtol=1e-4, atol=0)
    torch.testing.assert_close(half.grid_BKGG, full.grid_BKGG, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 1000), st.floats(0.2, 60.0), st.integers(2, 7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_brighter_before_stays_brighter_whatever_the_grid(
    seed: int, gain: float, knots: int, is_held: bool
) -> None:
    torch.manual_seed(seed)
    head = GridHead(maps=8, pooled=8, width=8, knots=knots)
    torch.nn.init.normal_(head.last.weight, std=3.0)
    torch.nn.init.normal_(head.last.bias, std=3.0)
    with torch.inference_mode():
        grid = head(torch.randn(1, 8, 4, 6), torch.randn(1, 8, 2, 3), torch.randn(1, 8))
        if is_held:
            grid = held(grid, torch.rand(1, 3, 32, 48) ** 3, torch.full((1, 3), gain), 1.0)
        levels = torch.linspace(0, 1, 256).view(1, 1, 256, 1).expand(1, 3, 256, 40)
        # A photo of a billion rows, so that only brightness differs along a column.
        bright = tone(levels, torch.full((1, 3), gain), grid, torch.tensor([[4e8, 0.0, 1e9, 40.0]])).bright
    assert (bright[..., 0, :] == 0).all()
    torch.testing.assert_close(bright[..., -1, :], torch.ones(1, 3, 40))
    assert (bright.diff(dim=2) > -1e-6).all()


def test_what_is_lit_already_is_held_and_the_dark_far_from_it_is_not() -> None:
    photo = torch.full((1, 3, 96, 128), 0.02)
    photo[..., 32:64, :32] = 0.55
    photo[..., 48:50, 8:24] = 0.1  # dark text on a lit page
    gain, none = torch.full((1, 3), 12.0), torch.zeros(1, 6, 12, 16)
    bright, still = (
        tone(photo, gain, grid, place(photo, None)).bright for grid in (none, held(none, photo, gain, 1.0))
    )
    assert bright[0, 0, 36, 12] > 0.93
    assert 0.55 < still[0, 0, 36, 12] < 0.89
    assert still[0, 0, 48, 16] < bright[0, 0, 48, 16] - 0.05
    torch.testing.assert_close(still[..., 64:], bright[..., 64:], rtol=0, atol=0)


@given(st.integers(0, 1000), st.sampled_from([0.3, 0.45, 0.6, 0.75]), st.sampled_from([0.0, 0.2]))
@settings(max_examples=40, deadline=None)
def test_an_even_lit_part_stays_even_and_nothing_turns(seed: int, level: float, rise: float) -> None:
    draw = Random(seed)  # noqa: S311
    photo = torch.full((1, 3, 128, 192), draw.uniform(0.01, 0.04))
    top, left, height, width = draw.randrange(70), draw.randrange(100), *draw.choices(range(32, 58), k=2)
    lit = (slice(top, top + height), slice(left, left + width))
    photo[0, :, *lit] = level + rise * (torch.linspace(0, 1, width) - 0.5)
    gain, grid = torch.full((1, 3), 12.0), torch.zeros(1, 6, 16, 24)
    still = tone(photo, gain, held(grid, photo, gain, 1.0), place(photo, None)).bright[0, 0]
    if rise:
        # From left to right, as before; a step of 8 bits is forgiven.
        assert (still[lit] - still[lit].cummax(1).values).min() > -1 / 255
    else:
        assert still[lit].max() - still[lit].min() < 8 / 255


def test_smooth_surroundings_of_a_lit_part_do_not_darken_towards_it() -> None:
    photo = torch.full((1, 3, 128, 192), 0.15)
    photo[..., 40:90, 60:120] = 0.6
    gain, none = torch.full((1, 3), 6.0), torch.zeros(1, 6, 16, 24)
    bright, still = (
        tone(photo, gain, grid, place(photo, None)).bright for grid in (none, held(none, photo, gain, 1.0))
    )
    around = photo < 0.5
    assert (bright - still)[around].max() < 4 / 255
    assert (bright - still)[~around].max() > 4 / 255


def test_nothing_of_a_dark_photo_is_held() -> None:
    photo, grid = torch.rand(1, 3, 96, 128) * 0.12, torch.randn(1, 6, 12, 16) * 0.1
    torch.testing.assert_close(held(grid, photo, torch.full((1, 3), 8.0), 1.0), grid, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(128, 88), (16, 128), (80, 64)])
def test_a_grid_does_not_know_where_a_photo_ends(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    decide = GlobalPass(width=4, condition=8).eval()
    assert decide.grid is not None
    torch.nn.init.normal_(decide.grid.last.weight, std=0.5)
    across = 0.02 + 0.2 * torch.linspace(0, 1, size[1]) ** 2
    grid_BKGG = decide(across.expand(1, 3, *size)).grid_BKGG
    assert grid_BKGG.shape[-2:] == (size[0] // 8, size[1] // 8)
    torch.testing.assert_close(grid_BKGG, grid_BKGG[..., :1, :].expand_as(grid_BKGG))
    assert grid_BKGG.std(-1).max() > 1e-3


def test_a_window_says_where_a_crop_lies() -> None:
    crop = torch.zeros(1, 3, 20, 30)
    where = place(crop, torch.tensor([[0.25, 0.5, 0.1, 0.4]]))
    torch.testing.assert_close(where, torch.tensor([[20.0, 10.0, 80.0, 100.0]]))
    torch.testing.assert_close(place(crop, None), torch.tensor([[0.0, 0.0, 20.0, 30.0]]))


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


ANEW = (
    "import json; from relume.lab.networks import describe_networks as of; print(json.dumps(of(), indent=2))"
)
"""Prints `relume/lab/networks.json`, which `relume models` shows without loading PyTorch."""


def test_what_is_told_of_networks_without_building_them_is_true() -> None:
    told = files("relume.lab").joinpath("networks.json").read_text(encoding="utf-8")
    assert told == json.dumps(describe_networks(), indent=2) + "\n", (
        f"run: python -c '{ANEW}' > src/relume/lab/networks.json"
    )


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
