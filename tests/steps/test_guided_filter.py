"""The local pass on a reduced photo: exact in tiles, continuous, faithful to the network and to the photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume import Enhancer, Photo, read_photo
from relume.errors import ExitCode, UsageError
from relume.look.decide import LARGE, automatic_factor
from relume.look.model import Model
from relume.look.render import enhance_photo
from relume.models import load_card
from relume.options import MODEL_ALONE, Downsample
from relume.steps.controls import Change
from relume.steps.curve import exposure_curve
from relume.steps.guided_filter import area_mean, fit, interleaved, slope_and_offset, transfer
from shared import Result, dark

Load = Callable[..., Enhancer]
FACTORS = st.integers(1, 4)
GAIN_C = np.array([4.0, 5.0, 6.0])


@given(height=st.integers(1, 30), width=st.integers(1, 30), factor=FACTORS, bits=st.sampled_from([8, 16]))
def test_area_means(height: int, width: int, factor: int, bits: int) -> None:
    pixels = dark(height, width, bits)
    missing = [(0, -side % factor) for side in (height, width)]
    padded = np.pad(pixels, [*missing, (0, 0)], mode="edge")
    squares = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor, 3)
    expected = squares.mean((1, 3)).transpose(2, 0, 1) / (2**bits - 1)
    np.testing.assert_allclose(area_mean(pixels, factor), expected, rtol=1e-6)


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """All sets of pixels put together; the outer pixels of the image are surroundings."""
    channels, height, width = image.shape
    whole = np.empty((channels, (height - 2) * factor, (width - 2) * factor), np.float32)
    for rows, columns, pixels in interleaved(image, factor):
        whole[:, rows, columns] = pixels
    return whole


@given(factor=FACTORS)
def test_a_ramp_is_enlarged_to_a_ramp(factor: int) -> None:
    down, right = np.mgrid[-1:10, -1:8].astype(np.float32)
    y, x = (np.mgrid[0 : 9 * factor, 0 : 7 * factor] + 0.5) / factor - 0.5
    whole = enlarged(np.stack([down, right, down + 2 * right]), factor)
    np.testing.assert_allclose(whole, np.stack([y, x, y + 2 * x]), atol=1e-5)


def test_the_fit_is_exact_on_the_reduced_photo() -> None:
    guide, result = np.random.default_rng(0).random((2, 3, 20, 30), np.float32)
    model = slope_and_offset(guide, result)
    assert model[0].min() >= 0
    assert model[0].max() <= 1
    np.testing.assert_allclose(model[0] * guide + model[1:], result, atol=1e-6)


def test_part_of_a_fit_is_that_of_the_whole() -> None:
    photo, result, gain = np.random.default_rng(0).random((3, 3, 20, 30), np.float32)
    change = Change(photo, result, gain[:1])
    whole = fit(change, GAIN_C, slice(0, 20), slice(0, 30))
    assert whole.shape == (5, 22, 32)
    part = fit(change, GAIN_C, slice(5, 9), slice(0, 12))
    np.testing.assert_array_equal(part, whole[:, 5:11, :14])


def sharp(height: int, width: int) -> np.ndarray:
    """Dark with sharp edges, 8 bits."""
    y, x = np.mgrid[0:height, 0:width]
    return np.repeat(np.where((x // 7 + y // 5) % 2, 12, 50).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_edges_stay_sharp_where_the_network_only_brightens(factor: int) -> None:
    photo = area_mean(sharp(60, 70), 1)
    reduced = area_mean(sharp(60, 70), factor)
    every = (slice(0, side) for side in reduced.shape[1:])
    # Twice the gain on the right, which begins between two blocks.
    local, full_local = (np.zeros_like(image[:1]) for image in (reduced, photo))
    local[..., reduced.shape[2] // 2 :], full_local[..., photo.shape[2] // 2 :] = np.log(2), np.log(2)
    change = Change(reduced, reduced, local)
    model = fit(change._replace(after=change.brightened(GAIN_C)), GAIN_C, *every)
    result = transfer(photo, enlarged(model, factor), GAIN_C).after
    wanted = Change(photo, photo, full_local).brightened(GAIN_C)
    assert np.abs(result - wanted).mean() < 0.25 * np.abs(wanted - wanted.mean()).mean()


class Brightening:
    """A model that brightens by the exposure curve, and does nothing else."""

    def run(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"enhanced": exposure_curve(image, GAIN_C[:, None, None])}


@pytest.mark.parametrize("tile", [0, 16])
def test_edges_stay_sharp_in_a_whole_photo(tile: int) -> None:
    photo, model = Photo(sharp(60, 70)), Model(load_card("lol"), None, Brightening())
    whole, reduced = (
        enhance_photo(photo, model, controls=MODEL_ALONE, tile=tile, downsample=factor).rgb_HWC.astype(float)
        for factor in (1, 2)
    )
    assert np.abs(reduced - whole).mean() < 0.1 * np.abs(whole - whole.mean()).mean()


def test_results_stay_within_their_range() -> None:
    photo, slope, offset = np.random.default_rng(0).random((3, 3, 20, 30), np.float32)
    model = np.concatenate([slope[:1], 4 * offset - 2, np.zeros_like(slope[:1])])
    result = transfer(photo, model, GAIN_C).after
    assert (result.min(), result.max()) == (0, 1)


def test_removed_noise_stays_removed(kept_enhancer: Load) -> None:
    photo = dark(96, 128, 16)
    whole, reduced = (kept_enhancer(downsample=factor).enhance(photo).astype(float) for factor in (1, 2))
    noise = [np.abs(np.diff(image, axis=1)).mean() for image in (whole, reduced)]
    assert noise[1] < 1.2 * noise[0]
    assert abs(reduced.mean() / whole.mean() - 1) < 0.05


def both_ways(load: Load, photo: np.ndarray, side: int, factor: int) -> int:
    """Largest difference between a photo in tiles and at once."""
    whole, tiled = (load(tile=tile, downsample=factor).enhance(photo) for tile in (0, side))
    assert tiled.shape == whole.shape == photo.shape
    assert tiled.dtype == whole.dtype == photo.dtype
    return int(np.abs(tiled.astype(int) - whole).max()) * 255 // int(np.iinfo(photo.dtype).max)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 131), (3, 2), (95, 129), (200, 301)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_tiles_of_odd_sizes(kept_enhancer: Load, size: tuple[int, int], bits: int, factor: int) -> None:
    assert both_ways(kept_enhancer, dark(*size, bits), 32, factor) <= 1


@settings(max_examples=6, deadline=None)
@given(st.integers(300, 700), st.integers(300, 700), st.integers(32, 130), st.integers(2, 4))
def test_tiles_do_not_change_the_result(
    kept_enhancer: Load, height: int, width: int, side: int, factor: int
) -> None:
    assert both_ways(kept_enhancer, dark(height, width), side, factor) <= 1


@pytest.mark.parametrize(("rows", "factor"), [(1, 1), (7, 1), (1000, 1), (1, 2), (7, 2), (1, 3), (7, 3)])
def test_strips_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, kept_enhancer: Load, rows: int, factor: int
) -> None:
    enhancer = kept_enhancer(tile=48, downsample=factor)
    expected = enhancer.enhance(dark(75, 91))
    monkeypatch.setattr("relume.look.render._ROWS", rows)
    np.testing.assert_array_equal(enhancer.enhance(dark(75, 91)), expected)


def test_controls_apply_at_full_resolution(kept_enhancer: Load) -> None:
    enhancer, photo = kept_enhancer(downsample=2), dark(64, 80, 16)
    assert enhancer.enhance(photo, strength=0) is photo
    for denoise in (0.0, 0.999, 1.0):
        steps = [enhancer.enhance(photo, strength=s, denoise=denoise) for s in (1e-4, 0.5, 0.5001, 1.0)]
        assert np.abs(steps[0].astype(int) - photo).max() < 30
        assert np.abs(steps[1].astype(int) - steps[2]).max() < 30
    near, full = (enhancer.enhance(photo, denoise=denoise).astype(int) for denoise in (0.999, 1.0))
    assert np.abs(near - full).max() < 150
    first, second = (
        kept_enhancer(downsample=factor).enhance(photo, denoise=0).astype(int) for factor in (1, 2)
    )
    assert (
        np.abs(first - second).mean() < 257
    )  # gains of places, which do not differ much from pixel to pixel


def test_a_grey_photo_stays_grey(kept_enhancer: Load) -> None:
    pixels = np.repeat(dark(40, 50)[..., :1], 3, axis=2)
    result = kept_enhancer(downsample=2).enhance(Photo(pixels, grey=True)).rgb_HWC
    assert (result == result[..., :1]).all()


def test_automatic_leaves_small_photos_alone(kept_enhancer: Load) -> None:
    pixels = np.broadcast_to(np.uint8(0), (1, LARGE, 3))
    assert automatic_factor(Photo(pixels[:, :-1])) == 1
    assert automatic_factor(Photo(pixels)) == 2
    automatic, whole = (kept_enhancer(downsample=each).enhance(dark()) for each in ("auto", 1))
    np.testing.assert_array_equal(automatic, whole)


def test_automatic_reduces_large_photos(monkeypatch: pytest.MonkeyPatch, kept_enhancer: Load) -> None:
    photo = dark()
    automatic, whole, reduced = (kept_enhancer(downsample=each) for each in ("auto", 1, 2))
    monkeypatch.setattr("relume.look.decide.LARGE", photo.shape[0] * photo.shape[1])
    np.testing.assert_array_equal(automatic.enhance(photo), reduced.enhance(photo))
    assert (automatic.enhance(photo) != whole.enhance(photo)).any()


class Watched:
    """Stands for the local pass; remembers the most pixels it saw at once."""

    most = 0

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        image = inputs["image"]
        self.most = max(self.most, image[0, 0].size)
        return {"enhanced": image}


class Nothing:
    """Stands for the global pass."""

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        assert inputs
        return {"conditioning": np.ones((1, 67), np.float32)}


def test_tiles_bound_what_the_network_sees() -> None:
    card, watched = load_card("lol"), Watched()
    assert card.halo is not None
    photo = Photo(dark(1400, 1700))
    enhance_photo(photo, Model(card, Nothing(), watched), controls=MODEL_ALONE, tile=64, downsample=2)
    assert watched.most <= (64 + 2 * (card.halo + card.size_multiple) + card.margin) ** 2


@pytest.mark.parametrize("value", [0, 5, -1, 1.5, "half"])
def test_other_factors_are_refused(value: Downsample) -> None:
    with pytest.raises(UsageError, match="downsample is"):
        Enhancer(downsample=value)


def test_the_command_line_has_it(
    photo: Callable[..., Path], relume: Callable[..., Result], kept_enhancer: Load
) -> None:
    source = photo("a.png")
    target = source.with_name("b.png")
    assert relume("enhance", source, "-o", target, "--downsample", 2).code == 0
    expected = kept_enhancer(downsample=2).enhance(read_photo(source)).rgb_HWC
    np.testing.assert_array_equal(read_photo(target).rgb_HWC, expected)
    for value in (9, "half"):
        assert relume("enhance", source, "-o", target, "--downsample", value).code == ExitCode.USAGE
