"""What must not happen to photographs that are hard to get right, with the default model and settings.

The pictures are made here, each the like of one that an earlier model spoilt.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from relume import Enhancer

Load = Callable[..., Enhancer]


@pytest.fixture(scope="module")
def enhancer(kept_enhancer: Load) -> Enhancer:
    return kept_enhancer()


def luma(pixels: np.ndarray) -> np.ndarray:
    return pixels @ np.array([0.299, 0.587, 0.114])


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def distances(height: int, width: int, row: float, column: float) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.hypot(y - row, x - column)


ENDS = slice(None, 8), slice(-8, None)


def sides(image: np.ndarray) -> list[np.ndarray]:
    """The outermost 8 rows and columns."""
    return [part for end in ENDS for part in (image[end], image[:, end])]


@pytest.mark.parametrize("level", [0, 1])
def test_black_stays_black(enhancer: Enhancer, level: int) -> None:
    assert enhancer.enhance(np.full((200, 300, 3), level, np.uint8)).max() <= 8


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_flat_photo_has_no_rim_at_any_level(kept_enhancer: Load, precision: str) -> None:
    enhancer = kept_enhancer(precision=precision)
    for level in range(4, 76):
        after = luma(enhancer.enhance(grey(np.full((120, 150), level))))
        centre = after[50:70, 60:90].mean()
        corners = [after[rows, columns] for rows in ENDS for columns in ENDS]
        for border in (*sides(after), *corners):
            assert abs(border.mean() - centre) <= 1, level


@pytest.mark.parametrize(
    "across",
    [
        np.linspace(10, 45, 450),
        np.where(np.arange(450) < 150, 10, 40),
        8 + 40 / (1 + np.exp(-(np.arange(450) - 225) / 30)),
    ],
    ids=["ramp", "step", "soft step"],
)
def test_what_is_the_same_in_all_rows_is_brightened_alike(enhancer: Enhancer, across: np.ndarray) -> None:
    photo = grey(np.broadcast_to(across, (300, 450)))
    for turned in (photo, np.swapaxes(photo, 0, 1)):
        after = luma(enhancer.enhance(turned, strength=1))
        after = after if turned is photo else after.T
        assert after.mean() > 1.5 * photo.mean()
        for start in range(0, 450, 50):
            part = after[:, start : start + 50]
            middle = part[100:200].mean()
            assert max(abs(end.mean() - middle) for end in (part[:8], part[-8:])) <= 1


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("level", [4, 6, 12, 20, 45, 75])
def test_flat_photos_of_noise_have_no_rim(kept_enhancer: Load, precision: str, level: int) -> None:
    """The mean of some frames, since one has stripes of its own, inside as at its border."""
    enhancer = kept_enhancer(precision=precision)
    frames = [
        luma(enhancer.enhance(grey(level + np.random.default_rng(seed).normal(0, 2, (200, 300)))))
        for seed in range(16)
    ]
    after = np.mean(frames, axis=0)
    inside = after[16:-16, 16:-16].mean()
    for border in sides(after):
        assert abs(border.mean() - inside) <= 1


@pytest.mark.parametrize("level", [12, 30])
def test_noise_is_removed_up_to_the_border(enhancer: Enhancer, level: int) -> None:
    outermost, inside = [], []
    for seed in range(4):
        grain = np.random.default_rng(seed).normal(0, 2, (200, 300))
        after = luma(enhancer.enhance(grey(level + grain)))
        for lines in (after, after.T):
            outermost += [lines[:2].std(), lines[-2:].std()]
            inside += [lines[row : row + 2].std() for row in (60, 90, 120)]
    assert np.mean(outermost) <= 1.35 * np.mean(inside)


def test_a_sky_of_few_levels_has_no_bands(enhancer: Enhancer) -> None:
    after = enhancer.enhance(grey(np.broadcast_to(np.linspace(2, 23, 600), (300, 600))))
    assert np.abs(np.diff(after.astype(int), axis=1)).max() <= 3


def test_black_without_noise_stays_dark_in_a_room_that_is_brightened(enhancer: Enhancer) -> None:
    """As a phone or a JPEG leaves it: blocks of level 0, 1 and 2 beside a part with a picture in it."""
    random = np.random.default_rng(0)
    levels = random.integers(0, 2, (30, 45)).repeat(8, 0).repeat(8, 1).astype(float)
    levels[40:200, 120:300] = 4 + 30 * random.random((20, 20)).repeat(8, 0).repeat(9, 1)
    after = luma(enhancer.enhance(grey(levels), strength=1))
    assert after[48:192, 128:292].mean() > 60
    assert after[:, :100].max() <= 24
    assert after[:, 320:].max() <= 24


def test_a_lamp_is_brighter_than_its_glow(enhancer: Enhancer) -> None:
    away = distances(300, 450, 80, 320)
    light = 2 + 240 / (1 + (away / 25) ** 2)
    photo = np.clip(light[..., None] * np.array([1, 0.85, 0.6]), 0, 255).astype(np.uint8)
    after = luma(enhancer.enhance(photo))
    rings = [after[(away >= start) & (away < start + 5)].mean() for start in range(0, 120, 5)]
    assert (np.diff(rings) <= 2).all()
    assert after[away > 150].mean() <= 40


@pytest.mark.parametrize("colour", [(255, 200, 90), (255, 245, 230), (120, 255, 140)])
def test_a_lamp_in_the_dark_keeps_its_colour(enhancer: Enhancer, colour: tuple[int, int, int]) -> None:
    away = distances(300, 450, 80, 320)
    light = np.clip(1.2 / (1 + (away / 14) ** 2), 0, 1)
    photo = (2 + np.clip(light[..., None] * colour, 0, 253)).astype(np.uint8)
    lamp = away < 12
    before, after = photo[lamp].mean(0), enhancer.enhance(photo)[lamp].mean(0)
    assert (after >= before - 3).all()
    assert (after.argsort() == before.argsort()).all()


@pytest.mark.parametrize("controls", [{}, {"exposure": 0.3}, {"strength": 1, "highlight_guard": 1}])
@pytest.mark.parametrize("colour", [(64, 80, 255), (255, 60, 50), (255, 220, 40), (255, 70, 255)])
def test_the_core_of_a_coloured_lamp_is_no_darker_than_its_glow(
    enhancer: Enhancer, colour: tuple[int, int, int], controls: dict[str, float]
) -> None:
    away = distances(300, 450, 120, 200)
    light = 1.6 / (1 + (away / 9) ** 2)
    photo = (2 + np.clip(light[..., None] * colour, 0, 253)).astype(np.uint8)
    after = luma(enhancer.enhance(photo, **controls))
    rings = [after[(away >= start) & (away < start + 4)].mean() for start in range(0, 60, 4)]
    assert (np.diff(rings) <= 2).all()


def test_a_starry_sky_stays_dark_and_its_stars_stand_out(enhancer: Enhancer) -> None:
    random = np.random.default_rng(5)
    sky = random.poisson(np.broadcast_to(np.linspace(3, 11, 400)[:, None], (400, 600))).astype(float)
    sky[330:] = 1
    rows, columns = random.integers(5, 320, 150), random.integers(5, 595, 150)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sky[rows + row, columns + column] = random.integers(100, 255, 150)
    photo = np.clip(sky[..., None] * np.array([0.8, 0.95, 1.2]), 0, 255).astype(np.uint8)
    after = luma(enhancer.enhance(photo))
    assert np.median(after) <= 40
    assert (after[rows, columns] > np.median(after) + 40).all()


def stars_over_hills(low: float, high: float, seed: int) -> np.ndarray:
    """A blue sky from one level to another, stars of a pixel, most of them faint, black hills; as a JPEG."""
    random = np.random.default_rng(seed)
    sky = np.broadcast_to(np.linspace(low, high, 300)[:, None], (300, 450)) + random.normal(
        0, 0.5, (300, 450)
    )
    sky[240:] = 1
    rows, columns = random.integers(3, 235, 200), random.integers(3, 445, 200)
    sky[rows, columns] += np.minimum(12 / random.random(200), 240)
    photo = np.clip(np.rint(sky[..., None] * np.array([0.8, 0.95, 1.3])), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=90)
    return np.array(Image.open(file))


@pytest.mark.parametrize(("low", "high"), [(1, 4), (2, 3), (2, 6), (4, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_starry_sky_of_few_levels_stays_as_it_is(
    enhancer: Enhancer, low: float, high: float, seed: int
) -> None:
    photo = stars_over_hills(low, high, seed)
    before, after = luma(photo), luma(enhancer.enhance(photo))
    assert abs(after - before).mean() <= 1


def test_the_same_sky_without_stars_is_judged_by_its_light_alone(enhancer: Enhancer) -> None:
    photo = stars_over_hills(2, 6, 0)
    sky = photo[:240]
    sky[sky.max(axis=2) > 12] = 4
    assert luma(enhancer.enhance(photo)).mean() > luma(photo).mean() + 1


def test_a_dark_screen_keeps_the_contrast_of_its_text(enhancer: Enhancer) -> None:
    screen = np.full((300, 450), 30.0)
    for row in range(20, 280, 16):
        for column in range(20, 400, 9):
            screen[row : row + 9, column : column + 2] = 200
            screen[row + 4 : row + 6, column : column + 5] = 200
    photo = grey(screen)
    after = luma(enhancer.enhance(photo))
    text = screen > 100

    def contrast(levels: np.ndarray) -> float:
        """Ratio of luminances as accessibility guidelines count it."""
        lit, dark = ((levels[part].mean() / 255) ** 2.2 + 0.05 for part in (text, ~text))
        return lit / dark

    assert contrast(after) >= 0.7 * contrast(luma(photo))
