"""The controls, as users meet them: on photos, through the model, and through models that are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from relume import Enhancer, Photo
from relume.colour import LUMA_REC601, luma
from relume.look.model import Model
from relume.look.render import enhance_photo
from relume.models import load_card
from relume.options import MODEL_ALONE, Controls
from relume.steps import controls as controls_module
from relume.steps.controls import (
    Adjustment,
    Change,
    TableOfRooms,
    adjust,
    auto_strength,
    effective_gain,
    guard_colour,
    guard_highlights,
    points_of_light,
    room_for,
    settle,
    settle_arrays,
    starry,
)
from relume.steps.curve import exposure_curve
from shared import dark

Load = Callable[..., Enhancer]
SHARES = st.floats(0, 1).map(lambda value: round(value, 2))
CONTROLS = st.builds(
    Controls,
    strength=st.one_of(st.just("auto"), SHARES),
    denoise=SHARES,
    exposure=st.one_of(st.none(), SHARES),
    highlight_guard=SHARES,
    colour_guard=SHARES,
)


@pytest.fixture(scope="module")
def enhancer(kept_enhancer: Load) -> Enhancer:
    return kept_enhancer(tile=64, precision="float32")


def scene(height: int = 120, width: int = 160) -> np.ndarray:
    """A well-lit scene with colours, greys, texture and a lamp; floats in [0, 1]."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(0.1, 0.8, (6, 8, 3)).repeat(20, 0).repeat(20, 1)
    coarse[40:80, 60:100] = 0.5
    textured = coarse * rng.uniform(0.85, 1.15, (120, 160, 1))
    textured[5:15, 140:150] = 1.0
    return np.clip(textured, 0, 1)[:height, :width]


def exposed(image: np.ndarray, factor: float, bits: int = 8) -> np.ndarray:
    """The scene with its light, which is linear, multiplied; as sRGB integers."""
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4) * factor
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * (2**bits - 1)).astype(f"uint{bits}")


def room_with_a_window() -> np.ndarray:
    room = dark(120, 160)
    room[10:60, 20:80] = np.random.default_rng(1).integers(170, 250, (50, 60, 3))
    return room


def mean(pixels: np.ndarray) -> float:
    return float((pixels @ np.array([0.299, 0.587, 0.114])).mean() / np.iinfo(pixels.dtype).max)


# Strength


def key_strength(pixels: np.ndarray) -> float:
    return auto_strength(luma((pixels / np.iinfo(pixels.dtype).max).transpose(2, 0, 1).astype(np.float32)))


def test_auto_falls_smoothly_from_dark_to_well_lit() -> None:
    found = [key_strength(exposed(scene(), factor, 16)) for factor in np.geomspace(1 / 64, 1, 200)]
    assert (found[0], found[-1]) == (1, 0)
    for before, after in pairwise(found):
        assert before - 0.05 < after <= before


def test_auto_treats_a_dark_room_with_a_bright_window() -> None:
    assert key_strength(room_with_a_window()) > 0.9
    lamps = np.full((100, 100, 3), 6, np.uint8)
    lamps[::10, ::10] = 255
    assert key_strength(lamps) == 1


@pytest.mark.parametrize("factor", [1, 0.7, 0.5, 0.3])
def test_auto_makes_no_photo_darker(enhancer: Enhancer, factor: float) -> None:
    photo = exposed(scene(), factor)
    assert mean(enhancer.enhance(photo)) >= mean(photo) - 0.002


def test_auto_makes_no_photo_darker_whatever_the_model_does() -> None:
    photo = Photo(exposed(scene(), 0.1))
    result = enhance_photo(photo, Model(load_card("lol"), None, Curve(0.3)), controls=Controls())
    assert mean(result.rgb_HWC) >= mean(photo.rgb_HWC) - 0.002


def test_auto_brightens_a_dark_photo_so_far_and_no_further() -> None:
    photo = Photo(exposed(scene(), 0.02))
    result = enhance_photo(photo, Model(load_card("lol"), None, Curve(200)), controls=Controls())
    assert mean(result.rgb_HWC) == pytest.approx(0.44, abs=0.01)


def test_a_ladder_of_exposures_ends_equally_bright(enhancer: Enhancer) -> None:
    results = [enhancer.enhance(exposed(scene(), 0.5**step)) for step in range(1, 7)]
    means = [mean(result) for result in results]
    assert max(means) <= 1.2 * min(means)


# All controls


@settings(max_examples=10, deadline=None)
@given(
    controls=CONTROLS, size=st.sampled_from([(1, 70), (97, 129), (120, 160)]), bits=st.sampled_from([8, 16])
)
def test_tiles_do_not_change_what_controls_do(
    kept_enhancer: Load, controls: Controls, size: tuple[int, int], bits: int
) -> None:
    photo = exposed(scene(*size), 0.1, bits)
    tiled, whole = (kept_enhancer(tile=tile).enhance(photo, **asdict(controls)) for tile in (64, 0))
    assert np.abs(tiled.astype(int) - whole).max() <= np.iinfo(photo.dtype).max // 255


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("strength", np.linspace(0, 1, 6)),
        ("denoise", np.linspace(0, 1, 6)),
        ("exposure", np.linspace(0.2, 0.7, 6)),
        ("highlight_guard", np.linspace(0, 1, 6)),
        ("colour_guard", np.linspace(0, 1, 6)),
    ],
)
def test_a_little_more_of_a_control_changes_little(enhancer: Enhancer, name: str, values: np.ndarray) -> None:
    photo = exposed(scene(60, 80), 0.1, 16)
    for value in values:
        near = value + (0.01 if value < 0.5 else -0.01)
        results = [enhancer.enhance(photo, **{name: float(each)}).astype(int) for each in (value, near)]
        assert np.abs(results[0] - results[1]).max() < 0.04 * 65535


@pytest.mark.parametrize("options", [{"exposure": 0.4}, {"denoise": 0.3}, {"colour_guard": 1}])
def test_controls_do_the_same_at_both_depths(enhancer: Enhancer, options: dict[str, float]) -> None:
    photo = exposed(scene(60, 80), 0.1)
    at_8 = enhancer.enhance(photo, **options).astype(int)
    at_16 = enhancer.enhance(photo.astype(np.uint16) * 257, **options)
    assert np.abs(at_8 * 257 - at_16).max() <= 257


@settings(max_examples=8, deadline=None)
@given(controls=CONTROLS, bits=st.sampled_from([8, 16]))
def test_a_grey_photo_stays_grey_under_controls(enhancer: Enhancer, controls: Controls, bits: int) -> None:
    grey = np.repeat(dark(40, 50, bits)[..., :1], 3, axis=2)
    result = enhancer.enhance(Photo(grey, grey=True), **asdict(controls)).rgb_HWC
    assert (result == result[..., :1]).all()


# One control each


@pytest.mark.parametrize("factor", [0.5, 0.05])
def test_exposure_is_met_and_rises(enhancer: Enhancer, factor: float) -> None:
    photo = exposed(scene(), factor)
    targets = [0.2, 0.35, 0.5, 0.65]
    # A guard of highlights would keep bright places from getting darker.
    means = [mean(enhancer.enhance(photo, exposure=target, highlight_guard=0)) for target in targets]
    np.testing.assert_allclose(means, targets, atol=0.03)
    assert means == sorted(means)


def test_without_denoise_the_photo_is_brightened_and_keeps_its_grain(enhancer: Enhancer) -> None:
    grain = np.random.default_rng(0).normal(0, 3, (120, 160, 3))
    photo = np.clip(exposed(scene(), 0.1) + grain, 0, 255).astype(np.uint8)
    network = enhancer.enhance(photo, **asdict(MODEL_ALONE)).astype(int)
    plain = enhancer.enhance(photo, **asdict(replace(MODEL_ALONE, denoise=0))).astype(int)
    np.testing.assert_allclose(plain.mean((0, 1)), network.mean((0, 1)), atol=8)
    assert np.abs(np.diff(plain, axis=1)).mean() > 1.5 * np.abs(np.diff(network, axis=1)).mean()


def test_what_is_not_clipped_stays_so() -> None:
    greys = np.random.default_rng(0).integers(40, 256, (60, 70, 1), dtype=np.uint8)
    photo = Photo(np.repeat(greys, 3, axis=2))
    white = enhance_photo(photo, Model(load_card("lol"), None, Constant(1.0)), controls=Controls(strength=1))
    np.testing.assert_array_equal(white.rgb_HWC.max(2) == 255, photo.rgb_HWC.max(2) == 255)


@pytest.mark.parametrize("guard", [0.5, 1])
def test_the_highlight_guard_by_hand(guard: float) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (60, 70, 3), dtype=np.uint16)
    values[:30] = values[:30, :, :1]  # greys
    photo = Photo(values)
    controls = replace(MODEL_ALONE, highlight_guard=guard)
    white = (
        enhance_photo(photo, Model(load_card("lol"), None, Constant(1.0)), controls=controls).rgb_HWC / 65535
    )
    before = np.clip((photo.rgb_HWC / 65535).max(2, keepdims=True), 0.02, 1 - 1e-6)
    odds = np.log(before / (1 - before))
    limit = odds + 0.25 / guard + 0.95 * np.log1p(np.exp(1 + 2 * (1 / guard - 1) - odds))
    limit = 1 / (1 + np.exp(-limit[..., 0]))
    np.testing.assert_allclose(white[:30].max(2), limit[:30], atol=1e-3)
    # What has a colour of its own becomes no brighter than a grey.
    assert (white[30:] @ LUMA_REC601 <= limit[30:] + 1e-3).all()


@pytest.mark.parametrize(("level", "most"), [(5, 187), (76, 200), (204, 228), (255, 255)])
def test_the_highlight_guard_leaves_room(level: int, most: int) -> None:
    before = np.full((3, 1, 1), level / 255)
    limited = guard_highlights(before, np.ones((3, 1, 1)), 1.0)
    assert 255 * limited.max() == pytest.approx(most, abs=1)


@given(st.floats(0, 1), st.floats(0.45, 1), st.floats(0, 1))
def test_no_channel_of_a_light_becomes_darker(red: float, green: float, blue: float) -> None:
    before = np.array([red, green, blue])[:, None, None]
    assert (guard_highlights(before, np.zeros((3, 1, 1)), 1.0) >= before - 1e-9).all()


@given(st.lists(st.floats(0.1, 0.9), min_size=6, max_size=6), st.floats(0.5, 1))
def test_lights_keep_their_colour(values: list[float], guard: float) -> None:
    """Whatever a network makes of a light's channels, one gain for all of them is what becomes of it."""
    before, after = np.array(values).reshape(2, 3, 1, 1)
    before[1] = max(before.max(), 0.45)
    guarded = guard_highlights(before, after, guard)
    gains = (guarded / (1 - guarded)) / (before / (1 - before))
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:1], gains.shape), rtol=1e-6)
    assert gains.min() >= 1 - 1e-9


@pytest.mark.parametrize("guard", [0.5, 1])
@pytest.mark.parametrize(("most", "gain"), [(20, 4), (80, 12), (255, 4), (255, 0.8)])
def test_a_part_is_guarded_alone_as_in_the_whole(guard: float, most: int, gain: float) -> None:
    """What has no light, or room for all that it becomes, is spared work that would change nothing."""
    values = np.random.default_rng(0).integers(0, most, (3, 1, 200), endpoint=True, dtype=np.uint8)
    before = (values / 255).astype(np.float32)
    after = exposure_curve(before, np.full((3, 1, 1), gain))
    after *= np.random.default_rng(1).uniform(0.7, 1, after.shape).astype(np.float32)
    rooms = room_for((np.arange(256) / 255).astype(np.float32), guard)
    table = TableOfRooms(rooms, values.max(axis=0, keepdims=True))
    whole = guard_highlights(before, after, guard, table)
    np.testing.assert_array_equal(whole, guard_highlights(before, after, guard))
    for column in range(200):
        part = np.s_[:, :, column : column + 1]
        alone = guard_highlights(before[part], after[part], guard)
        # Products of matrices round by how many pixels there are.
        np.testing.assert_allclose(alone, whole[part], rtol=1e-6)


def test_no_exposure_is_searched_for_what_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls_module, "_expose", None)
    before = np.full((3, 24, 32), 20 / 255)
    darker = Change(before, before / 2, np.zeros((1, 24, 32)))
    assert settle(Controls(), darker).strength == 0


@pytest.mark.parametrize(("gain", "share"), [(0.5, 0), (1.4, 0), (1.7, 0.5), (2, 1), (40, 1)])
def test_what_hardly_becomes_brighter_is_left_alone(gain: float, share: float) -> None:
    """A frame of level 20 that a network brightens by a gain; the same from a graph without branches."""
    before = np.full((3, 24, 32), 20 / 255)
    change = Change(before, exposure_curve(before, np.full((3, 1, 1), gain)), np.zeros((1, 24, 32)))
    found = settle(Controls(), change)
    assert found.strength == pytest.approx(share, abs=1e-3)
    arrays = (np.asarray(value) for value in (-1.0, 1.0, -1.0, 0.5, 0.75))
    assert settle_arrays(change, *arrays).strength == pytest.approx(float(found.strength), abs=1e-6)


def test_a_night_that_hardly_becomes_brighter_is_returned_itself() -> None:
    photo = Photo(np.random.default_rng(0).integers(0, 40, (60, 70, 3), dtype=np.uint8))
    night = photo.rgb_HWC.mean() / 255
    model = Model(load_card("lol"), None, Constant(1.05 * night))
    assert enhance_photo(photo, model, controls=Controls()) is photo


def sky(stars: int, level: float = 4.0) -> np.ndarray:
    """Luma of a thumbnail of noise, with points of light that lie apart."""
    random = np.random.default_rng(stars)
    levels = level + random.normal(0, 0.1, (80, 128))
    places = random.permutation(13 * 21)[:stars]
    levels[6 * (places // 21) + 3, 6 * (places % 21) + 3] += level
    return levels / 255


def test_points_of_light_are_counted_and_pits_taken_off() -> None:
    for stars in (0, 50, 200):
        share = stars / (76 * 124)
        assert points_of_light(sky(stars)) == pytest.approx(share, abs=5e-4)
        pits = 8 / 255 - sky(stars)
        assert points_of_light(pits) == pytest.approx(-share, abs=5e-4)
    assert points_of_light(np.full((16, 16), 0.02)) == 0


def test_stars_tell_a_night_by_and_by_and_only_where_it_is_dark() -> None:
    found = [starry(sky(stars)) for stars in range(30, 130, 5)]
    assert found[0] == 0
    assert found[-1] == 1
    assert max(abs(after - before) for before, after in pairwise(found)) <= 0.25
    lighter = [starry(sky(200, level)) for level in np.linspace(5, 25, 81)]
    assert lighter[0] == 1
    assert lighter[-1] == 0
    assert all(0 <= before - after <= 0.06 for before, after in pairwise(lighter))


def test_what_is_dark_takes_the_colour_that_the_network_gives_it() -> None:
    before, after = np.array([[0.05, 0.1, 0.12], [0.4, 0.3, 0.3]]).reshape(2, 3, 1, 1)
    np.testing.assert_array_equal(guard_highlights(before, after, 1.0), after)


@given(st.floats(0.05, 1), st.floats(0.005, 200))
def test_no_control_turns_the_order_of_brightness_around(guard: float, gain: float) -> None:
    before = np.linspace(0, 1, 512)[None, None].repeat(3, 0)
    change = Change(before, exposure_curve(before, np.full((3, 1, 1), gain)), np.zeros((1, 1, 512)))
    for strength in (0.3, 1.0):
        adjustment = Adjustment(strength, 0.5, guard, np.full(3, gain), np.full(3, 1.3))
        assert (np.diff(adjust(change, adjustment)) > -1e-9).all()


def test_the_view_through_a_window_keeps_its_detail(enhancer: Enhancer) -> None:
    photo = room_with_a_window()
    window = np.s_[15:55, 25:75]
    errors = [
        np.abs(
            enhancer.enhance(photo, strength=1, highlight_guard=guard)[window] - photo[window].astype(int)
        ).mean()
        for guard in (0, 0.5, 1)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert (enhancer.enhance(photo) == 255).mean() <= (photo == 255).mean() + 0.005


def test_effective_gains_are_found_exactly() -> None:
    image = np.random.default_rng(0).uniform(0.02, 0.9, (3, 20, 20)).astype(np.float32)
    gain = np.array([0.5, 3.0, 40.0])
    curve = gain[:, None, None] * image / (1 + (gain[:, None, None] - 1) * image)
    change = Change(image, curve.astype(np.float32), np.zeros_like(image[:1]))
    np.testing.assert_allclose(effective_gain(change), gain, rtol=1e-2)
    twice = change._replace(local_gain=np.full_like(image[:1], np.log(2)))
    np.testing.assert_allclose(effective_gain(twice), gain / 2, rtol=1e-2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gains_stay_finite(value: float) -> None:
    image = np.full((3, 4, 4), value, np.float32)
    for other in (0.0, 0.5, 1.0):
        stops = np.log2(effective_gain(Change(image, np.full_like(image, other), np.zeros_like(image[:1]))))
        assert (np.abs(stops) <= 20).all()


def spreads_by_guard(stops: tuple[float, float, float]) -> list[float]:
    gain = np.exp2(np.array(stops))
    return [np.ptp(np.log2(gain * guard_colour(gain, guard))) for guard in np.linspace(0, 1, 101)]


@pytest.mark.parametrize("stops", [(4.0, 2.0, 3.0), (4.1, 4.0, 3.95), (0.1, -0.1, 0.0)])
def test_the_colour_guard_brings_gains_together(stops: tuple[float, float, float]) -> None:
    spreads = spreads_by_guard(stops)
    assert spreads[0] == pytest.approx(np.ptp(stops))
    assert spreads[-1] == pytest.approx(0)
    assert all(0 <= before - after < 0.2 for before, after in pairwise(spreads))


def test_the_colour_guard_by_hand() -> None:
    mean = np.array([4.0, 2.0, 3.0]) @ np.array([0.299, 0.587, 0.114])
    assert spreads_by_guard((4.0, 2.0, 3.0))[75] == pytest.approx(mean / 3 * (2 / 2.3))
    assert spreads_by_guard((4.0, 4.3, 4.1))[75] == pytest.approx(0.3 / 2)


def test_a_grey_card_keeps_its_colour_under_a_model_that_tints() -> None:
    photo = Photo(exposed(scene(), 0.1))
    card = np.s_[45:75, 65:95]

    def chroma(guard: float) -> float:
        controls = Controls(strength=1, colour_guard=guard)
        result = enhance_photo(
            photo, Model(load_card("lol"), None, Curve(6, 3, 6)), controls=controls
        ).rgb_HWC
        return float(np.linalg.norm(rgb2lab(result[card])[..., 1:].mean((0, 1))))

    chromas = [chroma(guard) for guard in (0, 0.8, 0.9, 1)]
    assert chromas == sorted(chromas, reverse=True)
    assert chromas[0] > 10
    assert chromas[-1] < 1


# Models of one graph


@pytest.mark.parametrize("options", [{"exposure": 0.5}, {"denoise": 0.0}, {"colour_guard": 1.0}, {}])
def test_controls_work_with_a_model_of_one_graph(options: dict[str, Any]) -> None:
    card = replace(load_card("lol"), thumbnail_size=None, halo=None, graphs={})
    photo = Photo(exposed(scene(), 0.1))
    result = enhance_photo(photo, Model(card, None, Curve(4, 5, 6)), controls=Controls(**options)).rgb_HWC
    assert mean(result) > mean(photo.rgb_HWC) + 0.1
    if "exposure" in options:
        assert mean(result) == pytest.approx(options["exposure"], abs=0.02)


class Curve:
    """A model that brightens by the exposure curve, each channel by its gain."""

    def __init__(self, *gain: float) -> None:
        self.gain = np.array(gain, np.float32)[:, None, None]

    def run(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"enhanced": self.gain * image / (1 + (self.gain - 1) * image)}


class Constant:
    """A model that returns one value everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value

    def run(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"enhanced": np.full_like(image, self.value)}
