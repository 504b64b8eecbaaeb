"""Synthetic darkness: seeded, physical where it claims to be, and the same for a crop and its thumbnail."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from relume.colour import to_linear, to_srgb
from relume.lab.darkness import DAYLIGHT, NIGHT, Darkness, Degradation, Lamp, draw
from relume.lab.data import synthesis
from relume.lab.data.jpeg import compressed
from relume.lab.data.synthesis import Area, darken, degrade_thumbnails

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
    field=tuple(tuple(-0.3 * ((row + column) % 4) for column in range(6)) for row in range(6)),
    back_stops=1.0,
    back_knee=(0.2, 0.8),
    lamps=(Lamp(y=-0.5, x=0.3, size=0.1, peak=2.0, glow=0.05, pool=0.2),),
    row=0.5 * 3 / 20 / 300,
    chroma=0.3,
    noise_seed=7,
)

EVERYTHING = Darkness(
    **dict.fromkeys(("mixed", "coloured", "vignetting", "uneven", "back_lit", "lamps", "phone", "jpeg"), 1.0),
    jpeg_again=0.5,
)


def scene(height: int = 192, width: int = 256, seed: int = 0) -> Tensor:
    """Smooth shapes of all brightness, 3 x H x W, 8 bits."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (smooth[0] * 255).round() / 255


def degrade(
    clean_CHW: Tensor, how: Degradation, area: Area | None = None, around: Tensor | None = None
) -> Tensor:
    """The dark one of one photo; `around` is all of it."""
    aspect = clean_CHW.shape[-1] / clean_CHW.shape[-2]
    surroundings = None if around is None else (around[None], [Area(aspect=aspect)])
    return synthesis.degrade(clean_CHW[None], [how], [area] if area else None, surroundings).dark[0]


def degrade_thumbnail(clean_CHW: Tensor, how: Degradation, aspect: float = 1.0) -> Tensor:
    return degrade_thumbnails(clean_CHW[None], [how], [Area(aspect=aspect)])[0]


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
    darkness=st.sampled_from([Darkness(), EVERYTHING, DAYLIGHT, NIGHT]),
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
    clean, how = scene(), replace(HARD, shot=0.0, read=0.0, row=0.0)
    whole = degrade(clean, how)
    part = degrade(clean[:, 48:112, 64:192], how, Area.of(range(48, 112), range(64, 192), 192, 256), clean)
    assert (part - whole[:, 48:112, 64:192]).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("back_region", [0.0, 0.8])
def test_the_surroundings_of_a_crop_may_be_a_thumbnail(back_region: float) -> None:
    clean = scene(480, 640)
    how = Degradation(back_stops=4.0, back_region=back_region)
    whole = degrade(clean, how)
    small = F.adaptive_avg_pool2d(clean, (96, 128))
    area = Area.of(range(100, 300), range(400, 600), 480, 640)
    surroundings = (small[None], [Area(aspect=4 / 3)])
    part = synthesis.degrade(clean[None, :, 100:300, 400:600], [how], [area], surroundings).dark[0]
    assert (part - whole[:, 100:300, 400:600]).abs().max() <= 1.01 / 255
    assert (degrade_thumbnail(small, how) - F.adaptive_avg_pool2d(whole, (96, 128))).abs().mean() < 1 / 255


@pytest.mark.parametrize("darkest", [0.0, 0.5])
def test_a_thumbnail_shows_the_mean_of_the_noisy_photo(darkest: float) -> None:
    clean = scene(512, 512) * (1 - darkest) ** 2
    expected = F.adaptive_avg_pool2d(degrade(clean, HARD), 16)
    thumbnail = degrade_thumbnail(F.adaptive_avg_pool2d(clean, 16), HARD)
    assert (thumbnail - expected).mean((1, 2)).abs().max() < 0.5 / 255
    assert (thumbnail - expected).abs().mean() < 1 / 255


def test_without_the_noise_the_thumbnail_would_be_too_dark() -> None:
    clean, how = torch.full((3, 256, 256), 0.08), replace(HARD, lamps=(), field=(), back_stops=0.0)
    noisy = degrade(clean, how).mean()
    small = clean[:, :16, :16]
    assert degrade_thumbnail(small, how).mean() == pytest.approx(noisy.item(), rel=0.1)
    assert degrade_thumbnail(small, replace(how, shot=0.0, read=0.0, row=0.0)).mean() < 0.7 * noisy


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [30, 60, 85, 98])
@pytest.mark.parametrize("darkness", [1, 12])
def test_jpeg_is_that_of_libjpeg(quality: int, subsampling: int, darkness: int) -> None:
    """Also in the dark, where rounding decides between grey and stains of colour."""
    noise = torch.randn(3, 90, 125, generator=torch.Generator().manual_seed(1))
    pixels = ((scene(90, 125) * 255 + 8 * noise) / darkness).round().clamp(0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels.byte().permute(1, 2, 0).numpy()).save(
        file, "JPEG", quality=quality, subsampling=subsampling
    )
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float()
    files = compressed(
        pixels.expand(2, -1, -1, -1), [quality, 50], [(0, 0), (3, 5)], subsampled=subsampling > 0
    )
    difference = files[0] - expected
    assert difference.abs().mean() < min(0.7, 0.5 * (pixels - expected).abs().mean())
    assert difference.mean((1, 2)).abs().max() < 0.15
    assert not torch.equal(files[0], files[1])


def test_blocks_begin_where_the_grid_says() -> None:
    clean = scene(64, 64)
    how = Degradation(jpeg_quality=30, jpeg_grid=(3, 5))
    assert 0.5 / 255 < (degrade(clean, how) - clean).abs().mean() < 8 / 255
    padded = F.pad(clean[None], (5, 0, 3, 0), mode="replicate")[0]
    assert torch.equal(degrade(clean, how), degrade(padded, replace(how, jpeg_grid=(0, 0)))[:, 3:, 5:])
    again = degrade(clean, replace(how, jpeg_again=60, jpeg_again_grid=(0, 1)))
    assert not torch.equal(again, degrade(clean, how))
    assert torch.equal(again, degrade(degrade(clean, how), Degradation(jpeg_quality=60, jpeg_grid=(0, 1))))


def test_compression_is_milder_in_the_dark(neutral: Darkness) -> None:
    def qualities(exposure: float) -> list[int]:
        darkness = replace(neutral, jpeg=1.0, exposure=(exposure, exposure))
        return [draw(darkness, np.random.default_rng(seed)).jpeg_quality for seed in range(200)]

    assert 88 <= min(qualities(1 / 64)) < 91
    assert 60 <= min(qualities(1.0)) < 63
    assert max(qualities(1 / 64)) == max(qualities(1.0)) == 98


def test_a_sample_does_not_depend_on_the_others_of_its_batch() -> None:
    random = np.random.default_rng(3)
    hows = [draw(EVERYTHING, random), HARD, Degradation(), draw(Darkness(), random)]
    clean = torch.stack([scene(60, 70, seed) for seed in range(4)])
    dark, target = synthesis.degrade(clean, hows)
    thumbnails = degrade_thumbnails(clean, hows)
    for one, how, darkened, aim, small in zip(clean, hows, dark, target, thumbnails, strict=True):
        alone = synthesis.degrade(one[None], [how])
        assert (alone.dark[0] - darkened).abs().mean() < 0.02 / 255
        assert (alone.target[0] - aim).abs().max() < 1e-5
        assert (degrade_thumbnails(one[None], [how])[0] - small).abs().max() < 1e-3
    levels = (clean * 255).round().byte()
    assert torch.equal(synthesis.degrade(levels, hows).dark, dark)


def test_what_is_given_is_not_changed() -> None:
    clean = scene(40, 50)[None]
    before = clean.clone()
    for how in (Degradation(), HARD, replace(HARD, lost=1.0)):
        target = synthesis.degrade(clean, [how], None, (clean, [Area()])).target
        target.zero_()
        degrade_thumbnails(clean, [how])
        assert torch.equal(clean, before)


def test_lamps_stay_in_the_target_and_the_room_gets_bright() -> None:
    """On linear light: the room is darkened, then the lamp's light is added to both."""
    clean = torch.full((1, 3, 129, 129), 0.5)
    lamp = Lamp(y=0.0, x=0.5, size=0.1, peak=0.6, glow=0.05, reach=0.2)
    how = Degradation(exposure=1 / 16, lamps=(lamp,))
    dark, target = (to_linear(image)[0, 0] for image in synthesis.degrade(clean, [how]))
    room = to_linear(torch.tensor(0.5)).item()
    distance = torch.linspace(-1, 1, 129) * 128 / 129 - 0.5
    light = 0.6 / (1 + (distance / 0.1) ** 2) ** 3 + 0.03 / (1 + (distance / 0.2) ** 2)
    assert torch.allclose(target[64], room + light, atol=0.002)
    assert torch.allclose(dark[64], room / 16 + light, atol=0.004)


def test_lamps_are_round_and_a_thumbnail_shows_their_mean() -> None:
    clean = torch.zeros(1, 3, 200, 400)
    how = Degradation(lamps=(Lamp(y=0.1, x=0.2, size=0.06, peak=20.0, glow=0.01, colour=(1.3, 0.9, 0.7)),))
    dark = synthesis.degrade(clean, [how]).dark
    lit = dark[0, 1] > 0.5
    assert lit.any(0).sum() == lit.any(1).sum() > 10
    small = degrade_thumbnails(F.adaptive_avg_pool2d(clean, (50, 100)), [how])
    assert (small - F.adaptive_avg_pool2d(dark, (50, 100))).abs().mean() < 0.2 / 255
    assert (small - F.adaptive_avg_pool2d(dark, (50, 100))).abs().max() < 0.1


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_back_light_keeps_the_order_of_brightness(seed: int) -> None:
    ramp = (torch.arange(256) / 255).expand(3, 4, 256)
    how = draw(EVERYTHING, np.random.default_rng(seed))
    how = Degradation(
        how.exposure, back_stops=how.back_stops, back_knee=how.back_knee, back_region=how.back_region
    )
    flat_around = torch.full((3, 4, 256), 0.4)
    dark = to_linear(degrade(ramp, how, around=flat_around))[0, 0]
    assert (dark.diff() >= 0).all()
    kept = dark[-1] / to_linear(ramp)[0, 0, -1], dark[128] / to_linear(ramp)[0, 0, 128]
    assert kept[0] > kept[1] * 0.97


def test_back_light_spares_light_surroundings() -> None:
    picture = torch.full((3, 120, 120), 0.2)
    picture[:, :, :60] = 0.9
    grey = picture.clone()
    grey[:, 50:70, 20:40] = grey[:, 50:70, 90:110] = 0.5
    dark = degrade(grey, Degradation(back_stops=4.0, back_knee=(0.3, 0.7), back_region=0.8))
    assert dark[0, 60, 30] > 1.2 * dark[0, 60, 100]


def test_a_field_is_smooth_in_stops_and_never_brighter_than_full_light() -> None:
    grid = tuple(tuple(-1.0 * column for column in range(6)) for _ in range(6))
    light = to_linear(degrade(torch.ones(3, 30, 240), Degradation(field=grid)))[0, 15]
    # A B-spline of a line is the line: a stop for each sixth of the width, away from the sides.
    inner = light[60:180].log2()
    assert torch.allclose(inner, -(torch.arange(60, 180) + 0.5) / 40 + 0.5, atol=0.06)
    for seed in range(50):
        how = draw(EVERYTHING, np.random.default_rng(seed))
        assert max(map(max, how.field)) + np.log2(how.exposure) <= 1e-9


def test_what_8_bits_have_lost_is_not_asked_for() -> None:
    """The target's factor is a half where the dark level is `lost`, next to 1 well above it."""
    clean = torch.full((1, 3, 4, 4), 0.5)
    exposure = 2.0 / 255 / 12.92 / to_linear(torch.tensor(0.5)).item()
    for lost, factor in ((2.0, 0.5), (0.2, 1.0), (20.0, 0.01), (0.0, 1.0)):
        target = synthesis.degrade(clean, [Degradation(exposure, lost=lost)]).target
        assert target.mean().item() == pytest.approx(0.5 * factor, abs=0.006)


def test_rows_share_an_offset_and_blotches_have_no_luma() -> None:
    grey = torch.full((3, 256, 256), 0.5)
    rows = to_linear(degrade(grey, Degradation(read=1e-12, row=0.01)))
    assert rows.mean(2).std(1).numpy() == pytest.approx(0.01, rel=0.2)
    assert rows.std(2).mean() < 0.002
    how = Degradation(shot=1e-3, chroma=0.5, chroma_size=8.0)
    difference = to_linear(degrade(grey, how)) - to_linear(degrade(grey, replace(how, chroma=0.0)))
    assert difference.std() > 1e-3
    luma = torch.tensordot(torch.tensor([0.2126, 0.7152, 0.0722]), difference, 1)
    assert luma.std() < 0.2 * difference.std()
    smoothed = F.avg_pool2d(difference, 3, 1)
    assert smoothed.std() > 0.8 * difference.std()


def test_a_phone_flattens_noise_and_keeps_edges() -> None:
    step = torch.full((3, 64, 64), 0.3)
    step[:, :, 32:] = 0.7
    noisy = Degradation(shot=1e-4, noise_seed=3)
    plain, flat = degrade(step, noisy), degrade(step, replace(noisy, flatten=0.03))
    assert flat[:, :, :28].std() < 0.5 * plain[:, :, :28].std()
    assert (flat[:, :, 31].mean(), flat[:, :, 32].mean()) == pytest.approx((0.3, 0.7), abs=0.02)
    sharp = degrade(step, replace(noisy, sharpen=1.0))
    assert sharp[:, :, 32].mean() > 0.75


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_but_for_the_noise() -> None:
    random = np.random.default_rng(0)
    hows = [replace(draw(EVERYTHING, random), shot=0.0, read=0.0, row=0.0) for _ in range(8)]
    clean = torch.stack([scene(100, 120, seed) for seed in range(8)])
    here, there = (synthesis.degrade(clean.to(device), hows) for device in ("cpu", "cuda"))
    assert (here.target - there.target.cpu()).abs().max() < 2 / 255
    assert (here.dark - there.dark.cpu()).abs().mean() < 0.2 / 255
    small = (degrade_thumbnails(clean.to(device), hows).cpu() for device in ("cpu", "cuda"))
    assert (next(small) - next(small)).abs().max() < 2 / 255


def test_a_draw_stays_inside_its_ranges() -> None:
    darkness, random = Darkness(back_lit=0.0), np.random.default_rng(0)
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
