"""Colours of a clip come out as its matrix and range say, and go back unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

from av import VideoFrame

from relume.errors import InputInvalid
from relume.photo import Photo
from relume.video.coding import Converter, coding_of, from_rgb, to_rgb

# Levels of 8 bits as ITU-R BT.601, BT.709 and BT.2020 define them: RGB, matrix number, range, YCbCr.
KNOWN = [
    ((255, 0, 0), 6, 1, (81, 90, 240)),
    ((255, 0, 0), 1, 1, (63, 102, 240)),
    ((255, 0, 0), 9, 1, (74, 97, 240)),
    ((0, 255, 0), 6, 1, (145, 54, 34)),
    ((0, 255, 0), 1, 1, (173, 42, 26)),
    ((0, 0, 255), 1, 1, (32, 240, 118)),
    ((0, 0, 255), 6, 2, (29, 255, 107)),
    ((255, 255, 255), 1, 1, (235, 128, 128)),
    ((255, 255, 255), 1, 2, (255, 128, 128)),
    ((0, 0, 0), 1, 1, (16, 128, 128)),
]


def frame_of(levels: tuple[int, int, int], pixel_format: str = "yuv444p", **tags: int) -> VideoFrame:
    frame = VideoFrame(16, 16, pixel_format)
    sample = np.uint16 if "10" in pixel_format else np.uint8
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size // np.dtype(sample).itemsize, level, sample).tobytes())
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame


@pytest.mark.parametrize(("rgb", "matrix", "range_", "levels"), KNOWN)
@pytest.mark.parametrize("bits", [8, 10])
def test_levels_are_those_of_the_standards(
    rgb: tuple[int, ...], matrix: int, range_: int, levels: tuple[int, int, int], bits: int
) -> None:
    step = 1 if bits == 8 else 4
    wide = tuple(level * step + (3 if range_ == 2 and level == 255 and bits == 10 else 0) for level in levels)
    form = "yuv444p" if bits == 8 else "yuv444p10le"
    frame = frame_of(wide, form, colorspace=matrix, color_range=range_)
    photo = Converter(coding_of(frame)).photo(frame)
    assert photo.bits == (8 if bits == 8 else 16)
    found = photo.rgb_HWC[8, 8] / np.iinfo(photo.rgb_HWC.dtype).max * 255
    assert np.abs(found - rgb).max() < 2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["BT.601", "BT.709", "SMPTE 240M", "BT.2020"])
def test_rgb_comes_back_from_ten_bits(full: bool, matrix: str) -> None:
    rgb = np.random.default_rng(1).integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    back = to_rgb(from_rgb(rgb, matrix, full=full, bits=10), matrix, full=full).astype(int)
    assert np.abs(back - rgb).max() < 65535 / 876 * 2.2


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le"])
def test_a_picture_goes_through_rgb_and_back_without_a_tint(pixel_format: str, full: bool) -> None:
    random = np.random.default_rng(0)
    step = 4 if "10" in pixel_format else 1
    sample = np.uint16 if step == 4 else np.uint8
    frame = VideoFrame(16, 16, pixel_format)
    for plane, (low, high) in zip(frame.planes, ((40, 120), (118, 138), (118, 138)), strict=True):
        rows = np.zeros((16, plane.line_size // np.dtype(sample).itemsize), sample)
        rows[:, :16] = random.integers(low * step, high * step, (16, 16))
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = 1, 2 if full else 1
    converter = Converter(coding_of(frame))
    back = converter.frame(converter.photo(frame), pixel_format, full)
    for before, after in zip(frame.planes, back.planes, strict=True):
        levels = [
            np.frombuffer(bytes(each), sample).reshape(16, -1)[:, :16].astype(int) for each in (before, after)
        ]
        assert np.array_equal(*levels)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (8, "linear")])
def test_what_is_no_standard_range_is_refused_by_name(transfer: int, name: str) -> None:
    with pytest.raises(InputInvalid, match=name):
        coding_of(frame_of((100, 128, 128), color_trc=transfer))


def test_a_matrix_without_a_rule_is_refused() -> None:
    with pytest.raises(InputInvalid, match="matrix"):
        coding_of(frame_of((100, 128, 128), colorspace=8))


@pytest.mark.parametrize(
    ("size", "matrix"), [((640, 480), "BT.601"), ((1280, 720), "BT.709"), ((720, 1280), "BT.709")]
)
def test_a_clip_that_names_no_matrix_is_judged_by_its_size(size: tuple[int, int], matrix: str) -> None:
    assert coding_of(VideoFrame(*size, "yuv420p")).matrix == matrix


@pytest.mark.parametrize(
    ("pixel_format", "grey", "rgb", "alpha", "deep"),
    [
        ("gray", True, False, False, False),
        ("gray10le", True, False, False, True),
        ("rgb24", False, True, False, False),
        ("pal8", False, True, True, False),
        ("yuva420p", False, False, True, False),
        ("yuv422p10le", False, False, False, True),
        ("nv12", False, False, False, False),
    ],
)
def test_formats_are_told_apart(pixel_format: str, grey: bool, rgb: bool, alpha: bool, deep: bool) -> None:
    coding = coding_of(VideoFrame(16, 16, pixel_format))
    assert (coding.grey, coding.rgb, coding.alpha, coding.deep) == (grey, rgb, alpha, deep)


def test_grey_of_limited_range_is_spread() -> None:
    frame = VideoFrame(16, 16, "gray")
    frame.planes[0].update(np.full(frame.planes[0].buffer_size, 235, np.uint8).tobytes())
    frame.color_range = 1
    assert Converter(coding_of(frame)).photo(frame).rgb_HWC.min() == 255


def test_an_overview_is_small_and_of_the_same_colour() -> None:
    frame = frame_of_size((1000, 500), (81, 90, 240))
    small = Converter(coding_of(frame)).overview(frame, 100)
    assert (small.width, small.height) == (100, 50)
    assert np.abs(small.rgb_HWC.reshape(-1, 3).mean(0) - (255, 0, 0)).max() < 3


def frame_of_size(size: tuple[int, int], levels: tuple[int, int, int]) -> VideoFrame:
    frame = VideoFrame(*size, "yuv444p")
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size, level, np.uint8).tobytes())
    frame.colorspace, frame.color_range = 6, 1
    return frame


def test_a_photo_of_16_bits_becomes_a_picture_of_8() -> None:
    frame = frame_of((100, 128, 128), colorspace=1, color_range=1)
    photo: Any = Photo(np.full((16, 16, 3), 32768, np.uint16))
    made = Converter(coding_of(frame)).frame(photo, "yuv420p", False)
    assert abs(bytes(made.planes[0])[0] - (16 + 219 / 2)) <= 1
