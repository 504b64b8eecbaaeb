"""Frames around photos stay as they are, and the picture inside becomes what it becomes alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from relume import Enhancer, Photo, read_photo
from relume.errors import DataError
from relume.look.frame import NO_FRAME, Frame, find_frame
from relume.look.look import Look
from shared import Result, dark

SIDES = {
    "letterbox": Frame(30, 30, 0, 0),
    "thin": Frame(2, 2, 0, 0),
    "pillarbox": Frame(0, 0, 41, 42),
    "all": Frame(17, 9, 23, 31),
    "upright in wide": Frame(0, 0, 110, 111),
}


def framed(pixels_HWC: np.ndarray, frame: Frame, colour: int | tuple[int, ...] = 0) -> np.ndarray:
    height, width, _ = pixels_HWC.shape
    whole = np.empty(
        (height + frame.top + frame.bottom, width + frame.left + frame.right, 3), pixels_HWC.dtype
    )
    whole[:] = colour
    whole[frame.top : frame.top + height, frame.left : frame.left + width] = pixels_HWC
    return whole


def lively(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something as bright as day, with edges and texture."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (6, 8, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def as_jpeg(pixels_HWC: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def assert_stays(before: np.ndarray, after: np.ndarray, frame: Frame) -> None:
    """Whether all that is not inside is as it was."""
    outside = np.ones(before.shape[:2], bool)
    frame.inside(outside[..., None])[:] = False
    assert outside.any()
    np.testing.assert_array_equal(after[outside], before[outside])


@pytest.mark.parametrize("colour", [0, 16, 255, (200, 30, 60)])
@pytest.mark.parametrize("frame", SIDES.values(), ids=SIDES)
def test_inside_a_frame_a_photo_becomes_what_it_becomes_alone(
    kept_enhancer: Callable[..., Enhancer], frame: Frame, colour: Any
) -> None:
    alone, enhancer = lively(101, 87) // 5, kept_enhancer(tile=32)
    photo = framed(alone, frame, colour)
    result = enhancer.enhance(photo)
    np.testing.assert_array_equal(frame.inside(result), enhancer.enhance(alone))
    assert_stays(photo, result, frame)


@pytest.mark.parametrize("controls", [{"exposure": 0.35}, {"strength": 1}, {"denoise": 0.5, "strength": 0.4}])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("options", [{}, {"downsample": 2}, {"model": "lol", "tile": 32}])
def test_with_every_control_at_every_depth(
    kept_enhancer: Callable[..., Enhancer], controls: dict[str, Any], bits: int, options: dict[str, Any]
) -> None:
    alone, enhancer, frame = dark(70, 90, bits), kept_enhancer(**options), Frame(20, 20, 0, 0)
    photo = framed(alone, frame, 2**bits - 1)
    result = enhancer.enhance(photo, **controls)
    assert result.dtype == photo.dtype
    np.testing.assert_array_equal(frame.inside(result), enhancer.enhance(alone, **controls))
    assert_stays(photo, result, frame)


@pytest.mark.parametrize("quality", [75, 85, 90])
@pytest.mark.parametrize("colour", [0, 16, 255])
@pytest.mark.parametrize("frame", [Frame(45, 45, 0, 0), Frame(0, 0, 53, 53), Frame(40, 41, 42, 43)])
def test_compression_hides_no_frame(
    kept_enhancer: Callable[..., Enhancer], frame: Frame, colour: int, quality: int
) -> None:
    photo = as_jpeg(framed(lively(150, 190) // 5, frame, colour), quality)
    assert not (photo[4:-4, 4:-4] == photo[0, 0]).all(axis=(0, 2)).all()
    found = find_frame(photo)
    # JPEG's squares end every 8 or 16 pixels, and what lies there is mixed.
    assert np.abs(np.subtract(found, frame)).max() <= 1
    enhancer = kept_enhancer()
    result = enhancer.enhance(photo)
    np.testing.assert_array_equal(found.inside(result), enhancer.enhance(found.inside(photo).copy()))
    assert_stays(photo, result, found)


def test_one_frame_within_another() -> None:
    line = framed(dark(100, 120), Frame(4, 4, 4, 4))
    assert find_frame(framed(line, Frame(20, 30, 20, 20), 250)) == Frame(24, 34, 24, 24)


def test_a_colour_that_is_a_level_off_here_and_there_is_one() -> None:
    photo = framed(dark(100, 120), Frame(30, 30, 0, 0), 16)
    bars = np.r_[0:30, 130:160]
    photo[bars] += np.random.default_rng(0).integers(0, 2, (60, 120, 3)).astype(np.uint8)
    assert find_frame(photo) == Frame(30, 30, 0, 0)


def waves(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width]
    return y / (height - 1), x / (width - 1)


def natural(name: str) -> np.ndarray:
    """Pictures that are black, white or of one colour at their edges, and have no frame."""
    rng = np.random.default_rng(3)
    height, width = 180, 240
    y, x = waves(height, width)
    stars = np.where(rng.uniform(size=(height, width)) > 0.995, rng.uniform(20, 255, (height, width)), 0)
    light = {
        "noise": rng.uniform(0, 40, (height, width)),
        "flat": np.full((height, width), 90),
        "black": np.zeros((height, width)),
        "flat box": np.where((abs(y - 0.5) < 0.3) & (abs(x - 0.5) < 0.3), 90, 20),
        "gradient": 255 * y,
        "gradient there and back": 255 * (1 - abs(2 * y - 1)),
        "slow gradient there and back": 40 * (1 - abs(2 * x - 1)),
        "vignette": 120 * np.clip(1 - 2 * ((y - 0.5) ** 2 + (x - 0.5) ** 2) ** 0.5, 0, 1) ** 2,
        "lamp": 255 * np.exp(-60 * ((y - 0.5) ** 2 + (x - 0.4) ** 2)),
        "stars": stars,
        "stars above ground": np.where(y < 0.7, stars, rng.uniform(0, 30, (height, width))),
        "black above": np.where(y < 0.3, 0, rng.uniform(5, 30, (height, width))),
        "black on one side": np.where(x < 0.3, 0, rng.uniform(5, 30, (height, width))),
        "black above, grey below": np.where(
            y < 0.3, 0, np.where(y > 0.7, 30, rng.uniform(5, 60, (height, width)))
        ),
        "thing on white": np.where((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.1, rng.uniform(0, 90, x.shape), 255),
        "stripe": np.where(abs(y - 0.5) < 0.1, rng.uniform(0, 90, x.shape), 255),
        "page": np.where(
            (abs(x - 0.5) < 0.46) & (abs(y % 0.3 - 0.15) < 0.1), rng.uniform(30, 90, x.shape), 18
        ),
        "one line": np.where((y == 0) | (y == 1), 0, rng.uniform(5, 60, x.shape)),
    }[name]
    return np.repeat(np.rint(light)[..., None], 3, axis=2).astype(np.uint8)


NATURAL = [
    *("noise", "flat", "black", "flat box", "gradient", "gradient there and back", "vignette", "lamp"),
    *("slow gradient there and back", "stars", "stars above ground", "black above", "black on one side"),
    *("black above, grey below", "thing on white", "stripe", "one line", "page"),
]


@pytest.mark.parametrize("name", NATURAL)
@pytest.mark.parametrize("kind", ["bits 8", "bits 16", "jpeg"])
def test_natural_photos_have_no_frame(name: str, kind: str) -> None:
    pixels = natural(name)
    if kind == "bits 16":
        pixels = pixels.astype(np.uint16) * 257
    assert find_frame(as_jpeg(pixels, 90) if kind == "jpeg" else pixels) == NO_FRAME


def test_what_is_transparent_has_no_frame(kept_enhancer: Callable[..., Enhancer]) -> None:
    photo = framed(dark(100, 120), Frame(30, 30, 0, 0))
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    decide = kept_enhancer().decide
    assert decide(Photo(photo, alpha)).frame == Frame(30, 30, 0, 0)
    alpha[0, 0] = 254
    assert decide(Photo(photo, alpha)).frame == NO_FRAME


@given(
    height=st.integers(4, 60),
    width=st.integers(4, 60),
    sides=st.tuples(*[st.integers(0, 12)] * 4),
    deep=st.booleans(),
    seed=st.integers(0, 9),
)
def test_frames_of_any_size_are_found_whole_or_not_at_all(
    height: int, width: int, sides: tuple[int, ...], deep: bool, seed: int
) -> None:
    unit = 257 if deep else 1
    alone = (np.random.default_rng(seed).integers(0, 200, (height, width, 3)) * unit).astype(
        np.uint16 if deep else np.uint8
    )
    photo = framed(alone, Frame(*sides), 250 * unit)
    found = find_frame(photo)
    assert all(got in (0, side) for got, side in zip(found, sides, strict=True))
    whole = [
        min(pair) >= 2 and 4 * length >= length + sum(pair)
        for pair, length in ((sides[:2], height), (sides[2:], width))
    ]
    if all(is_whole or not any(pair) for is_whole, pair in zip(whole, (sides[:2], sides[2:]), strict=True)):
        assert found == sides
    assert find_frame(found.inside(photo)) == NO_FRAME


def test_a_look_with_a_frame_can_be_sent(kept_enhancer: Callable[..., Enhancer]) -> None:
    enhancer, photo = kept_enhancer(), Photo(framed(dark(100, 120), Frame(30, 31, 0, 0)))
    look = enhancer.decide(photo)
    assert look.summary()["frame"] == {"top": 30, "bottom": 31, "left": 0, "right": 0}
    assert "frame 30 px top + 31 px bottom" in str(look)
    sent = Look.from_json(look.to_json())
    assert sent.frame == look.frame
    assert np.array_equal(enhancer.render(photo, sent).rgb_HWC, enhancer.render(photo, look).rgb_HWC)
    with pytest.raises(DataError, match="frame of 30 px top"):
        enhancer.render(Photo(dark(61, 120)), sent)


def test_looks_written_before_there_were_frames_are_read(kept_enhancer: Callable[..., Enhancer]) -> None:
    record = kept_enhancer().decide(Photo(dark())).to_json()
    del record["frame"]
    assert Look.from_json(record).frame == NO_FRAME


@pytest.mark.parametrize(
    "wrong", [None, 3, [], [1, 1], [-1, 1, 0, 0], [1.0, 1, 0, 0], [True, 1, 0, 0], "1100"]
)
def test_what_is_no_frame_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError, match="look"):
        Look.from_json(Look().to_json() | {"frame": wrong})


def test_the_command_line_keeps_frames(relume: Callable[..., Result], tmp_path: Path) -> None:
    frame, alone = Frame(0, 0, 40, 40), dark(100, 80)
    Image.fromarray(framed(alone, frame, 255)).save(tmp_path / "framed.png")
    Image.fromarray(alone).save(tmp_path / "alone.png")
    names = [tmp_path / name for name in ("framed.png", "alone.png")]
    done = relume("enhance", *names, "--exposure", "0.35", "--json", "--explain")
    assert done.code == 0
    assert done.err.count(", frame 40 px left + 40 px right") == done.err.count(", frame ") == 1
    results = [read_photo(name.with_suffix(".relume.png")).rgb_HWC for name in names]
    np.testing.assert_array_equal(frame.inside(results[0]), results[1])
    assert_stays(framed(alone, frame, 255), results[0], frame)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("options", [{}, {"downsample": 2}])
@pytest.mark.parametrize("controls", [{}, {"exposure": 0.4}, {"strength": 1, "colour_guard": 0}])
def test_a_grey_photo_in_three_channels_is_as_in_one(
    kept_enhancer: Callable[..., Enhancer], bits: int, options: dict[str, Any], controls: dict[str, Any]
) -> None:
    grey_HW, enhancer = dark(120, 90, bits)[..., 0], kept_enhancer(**options)
    one, three = (
        enhancer.enhance(each, **controls) for each in (grey_HW, np.repeat(grey_HW[..., None], 3, axis=2))
    )
    assert one.shape == (120, 90)
    assert three.shape == (120, 90, 3)
    np.testing.assert_array_equal(three, np.repeat(one[..., None], 3, axis=2))


@pytest.mark.parametrize("at", [(0, 0), (119, 89), (7, 55)])
def test_one_pixel_in_colour_is_no_grey_photo(kept_enhancer: Callable[..., Enhancer], at: Any) -> None:
    photo = np.repeat(dark(120, 90)[..., :1], 3, axis=2)
    photo[at] = 60, 20, 20
    assert np.ptp(kept_enhancer().enhance(photo)[at].astype(int)) > 10
