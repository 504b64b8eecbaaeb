"""Synthetic darkness: seeded, physical where it claims to be, and the same for a crop and its thumbnail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from relume.lab.darkness import DAYLIGHT, Darkness, Degradation, draw
from relume.lab.data.synthesis import Area, darken, degrade, degrade_thumbnail, to_linear, to_srgb

HARD = Degradation(
    exposure=1 / 20,
    lights=((1.2, 0.95, 0.8), (0.8, 1.0, 1.3)),
    side=0.4,
    angle=0.7,
    offset=0.1,
    width=0.3,
    vignette=0.5,
    shot=1 / 20 / 300,
    read=(3 / 20 / 300) ** 2,
    gains=(2.0, 1.0, 1.6),
    saturation=1.3,
    gamma=1.1,
    contrast=0.2,
    noise_seed=7,
)


def scene(height: int = 192, width: int = 256, seed: int = 0) -> Tensor:
    """Smooth shapes of all brightness, 3 x H x W, 8 bits."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (smooth[0] * 255).round() / 255


def test_a_seed_gives_one_result_and_another_seed_another() -> None:
    clean = torch.stack([scene(40, 56), scene(40, 56)])
    first, again, other = (darken(clean, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    seed=st.integers(0, 999),
    darkness=st.sampled_from([Darkness(), Darkness(jpeg=1.0, mixed=1.0, vignetting=1.0), DAYLIGHT]),
)
@settings(max_examples=60, deadline=None)
def test_any_size_gives_8_bits_in_range(height: int, width: int, seed: int, darkness: Darkness) -> None:
    clean = scene(height, width)
    dark = darken(clean, np.random.default_rng(seed), darkness)
    assert dark.shape == clean.shape
    assert dark.dtype == torch.float32
    assert torch.allclose(dark * 255, (dark * 255).round(), atol=1e-4)
    assert 0 <= dark.min() <= dark.max() <= 1


def test_the_neutral_degradation_changes_nothing() -> None:
    clean = scene()
    assert torch.equal((degrade(clean, Degradation()) * 255).round(), (clean * 255).round())
    small = F.adaptive_avg_pool2d(clean, 16)
    assert torch.allclose(degrade_thumbnail(small, Degradation()), small, atol=1e-3)


def test_exposure_is_a_factor_on_linear_light(neutral: Darkness) -> None:
    clean = scene()
    dark = darken(clean, np.random.default_rng(0), neutral)
    ratio = to_linear(dark).mean((1, 2)) / to_linear(clean).mean((1, 2))
    assert ratio.numpy() == pytest.approx(0.125, rel=0.01)


def test_srgb_and_linear_are_inverse() -> None:
    values = torch.linspace(0, 1, 999)
    assert torch.allclose(to_srgb(to_linear(values)), values, atol=1e-5)
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.2140, abs=1e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_noise_variance_is_linear_in_the_signal(correlation: float) -> None:
    how = Degradation(exposure=0.5, shot=1e-3, read=2e-5, correlation=correlation, noise_seed=11)
    signals, variances = [], []
    for level in np.linspace(0.4, 1, 7):
        measured = to_linear(degrade(torch.full((3, 256, 256), round(level * 255) / 255), how))
        signals.append(measured.mean().item())
        variances.append(measured.var().item())
    slope, intercept = np.polyfit(signals, variances, 1)
    assert slope == pytest.approx(1e-3, rel=0.05)
    assert intercept == pytest.approx(2e-5, abs=1e-5)


def test_gains_multiply_noise_but_not_light() -> None:
    how = Degradation(exposure=0.5, shot=1e-3, gains=(2.0, 1.0, 1.5))
    grey = to_linear(degrade(torch.full((3, 200, 200), 0.6), how))
    means, variances = grey.mean((1, 2)), grey.var((1, 2))
    assert (means / means[1]).numpy() == pytest.approx(1, abs=0.01)
    assert (variances / variances[1]).numpy() == pytest.approx([2.0, 1.0, 1.5], rel=0.06)


def test_fewer_electrons_mean_more_noise(neutral: Darkness) -> None:
    def noise(electrons: float) -> float:
        how = draw(replace(neutral, electrons=(electrons, electrons)), np.random.default_rng(0))
        return to_linear(degrade(torch.full((3, 64, 64), 0.8), how)).std().item()

    # The signal-to-noise ratio of shot noise goes by the square root.
    assert noise(200) / noise(3200) == pytest.approx(4, rel=0.1)


def test_dark_corners_and_a_darker_side_by_hand() -> None:
    """On linear light: a corner loses the vignette's share, half-way to it half of that."""
    white = torch.ones(3, 129, 129)
    light = to_linear(degrade(white, Degradation(exposure=0.5, vignette=0.6)))
    measured = [light[0, place, place].item() for place in (0, 64, 128)]
    assert measured == pytest.approx([0.5 * 0.4, 0.5, 0.5 * 0.4], rel=0.03)
    assert light[0, 64, 0].item() == pytest.approx(0.5 * 0.7, rel=0.03)
    sides = to_linear(degrade(white, Degradation(exposure=0.5, side=0.25, width=0.05)))
    assert [sides[0, 64, x].item() for x in (0, 64, 128)] == pytest.approx([0.125, 0.3125, 0.5], rel=0.03)


def test_tone_curve_by_hand() -> None:
    """A power of sRGB values, then a blend with the S-curve 3 x^2 - 2 x^3."""
    ramp = (torch.arange(256) / 255).expand(3, 1, 256)
    curved = degrade(ramp, Degradation(gamma=1.2, contrast=0.3))
    power = (ramp**1.2).clamp(0, 1)
    expected = 0.7 * power + 0.3 * (3 * power**2 - 2 * power**3)
    assert (curved - expected).abs().max() <= 1.01 / 255


def test_a_crop_is_degraded_as_the_whole_photo_is() -> None:
    clean, how = scene(), replace(HARD, shot=0.0, read=0.0)
    whole = degrade(clean, how)
    part = degrade(clean[:, 48:112, 64:192], how, Area(48 / 192, 112 / 192, 64 / 256, 192 / 256))
    assert (part - whole[:, 48:112, 64:192]).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("darkest", [0.0, 0.5])
def test_a_thumbnail_shows_the_mean_of_the_noisy_photo(darkest: float) -> None:
    clean = scene(512, 512) * (1 - darkest) ** 2
    expected = F.adaptive_avg_pool2d(degrade(clean, HARD), 16)
    thumbnail = degrade_thumbnail(F.adaptive_avg_pool2d(clean, 16), HARD)
    assert (thumbnail - expected).mean((1, 2)).abs().max() < 0.5 / 255
    assert (thumbnail - expected).abs().mean() < 1 / 255


def test_without_the_noise_the_thumbnail_would_be_too_dark() -> None:
    clean = torch.full((3, 256, 256), 0.08)
    noisy = degrade(clean, HARD).mean()
    small = clean[:, :16, :16]
    assert degrade_thumbnail(small, HARD).mean() == pytest.approx(noisy.item(), rel=0.1)
    assert degrade_thumbnail(small, replace(HARD, shot=0.0, read=0.0)).mean() < 0.7 * noisy


def test_jpeg_is_real_and_milder_in_the_dark(neutral: Darkness) -> None:
    clean = scene(64, 64)
    how = Degradation(jpeg_quality=30, jpeg_grid=(3, 5))
    assert 0.5 / 255 < (degrade(clean, how) - clean).abs().mean() < 8 / 255
    always = replace(neutral, jpeg=1.0)

    def qualities(exposure: float) -> list[int]:
        darkness = replace(always, exposure=(exposure, exposure))
        return [draw(darkness, np.random.default_rng(seed)).jpeg_quality for seed in range(30)]

    assert min(qualities(1 / 64)) == max(qualities(1 / 64)) == 98
    assert min(qualities(1 / 2)) < 85


def test_a_draw_stays_inside_its_ranges() -> None:
    darkness, random = Darkness(), np.random.default_rng(0)
    draws = [draw(darkness, random) for _ in range(400)]
    exposures = np.array([how.exposure for how in draws])
    assert darkness.exposure[0] <= exposures.min() < exposures.max() <= darkness.exposure[1]
    # Log-uniform: half of the draws lie below the geometric mean of the ends.
    assert np.mean(exposures < np.sqrt(darkness.exposure[0] * darkness.exposure[1])) == pytest.approx(
        0.5, abs=0.08
    )
    electrons = np.array([how.exposure / how.shot for how in draws])
    assert darkness.electrons[0] * 0.999 <= electrons.min() < electrons.max() <= darkness.electrons[1] * 1.001
    assert np.mean([how.jpeg_quality > 0 for how in draws]) == pytest.approx(darkness.jpeg, abs=0.08)
    assert np.mean([how.vignette > 0 for how in draws]) == pytest.approx(darkness.vignetting, abs=0.08)
    assert "e-" in draws[0].summary()

    def spans(values: list[float], ends: tuple[float, float]) -> bool:
        """Inside the range, and nearly from end to end."""
        low, high = ends
        room = 0.02 * (high - low)
        return low - 1e-9 <= min(values) < low + room and high - room < max(values) <= high + 1e-9

    assert spans([how.read**0.5 / how.shot for how in draws], darkness.read_noise)
    assert spans([how.gains[0] for how in draws], darkness.red_gain)
    assert spans([how.gains[2] for how in draws], darkness.blue_gain)
    assert {how.gains[1] for how in draws} == {1.0}
    assert spans([how.saturation for how in draws], darkness.colour_matrix)
    assert spans([how.correlation for how in draws], darkness.correlation)
    assert spans([how.gamma for how in draws], darkness.gamma)
    assert spans([how.contrast for how in draws], darkness.contrast)
    for channel in range(3):  # each black level errs by itself, in electrons of the dark photo
        errors = [how.black[channel] / how.shot for how in draws]
        assert spans(errors, (-darkness.black_error, darkness.black_error))
    assert len(set(draws[0].black)) == 3
    sides = [how.side for how in draws if how.side != 1]
    assert len(sides) == pytest.approx(400 * darkness.mixed, abs=32)
    assert min(sides) < 0.3
    assert min(sides) >= 2 ** -darkness.mixed_stops[1]
