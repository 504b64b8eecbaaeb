"""Small clips made for the tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 10
BASE = Fraction(1, 10_000)

Tags = tuple[int, int, int, int]
"""Range, matrix, primaries, transfer, as FFmpeg numbers them."""

LIMITED_709: Tags = (1, 1, 1, 1)


@dataclass(frozen=True)
class Recipe:
    """What a test clip is like."""

    frames: int = 12
    size: tuple[int, int] = (64, 48)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    tags: Tags | None = None
    audio: int = 0
    subtitles: bool = False
    rotation: int = 0
    aspect: Fraction | None = None
    rate: int = RATE
    seconds: Callable[[int], float] = lambda index: index / RATE
    metadata: tuple[tuple[str, str], ...] = ()
    chapters: bool = False
    light: Callable[[int], float] = lambda index: 0.1
    seed: Callable[[int], int] = lambda index: 0


def scene(size: tuple[int, int], light: float, seed: int = 0, noise: int | None = None) -> np.ndarray:
    """A picture of blurred blobs, H x W x 3 in [0, 1], its mean near `light`."""
    width, height = size
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    picture = np.full((height, width, 3), 0.4)
    for _ in range(6):
        centre_x, centre_y, spread = random.random(), random.random(), random.uniform(0.05, 0.2)
        blob = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / spread**2)
        picture += blob[..., None] * random.uniform(-0.3, 0.8, 3)
    picture = np.clip(picture, 0.05, 1.5) * (light / 0.5)
    if noise is not None:
        picture += np.random.default_rng(noise).normal(0, 0.01, picture.shape)
    return np.clip(picture, 0, 1)


def make_clip(path: Path, **options: Any) -> Path:
    """Write a clip after a `Recipe`."""
    recipe = Recipe(**options)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="adts" if path.suffix == ".aac" else None) as out:
        out.metadata.update(dict(recipe.metadata))
        if recipe.chapters:
            halves = (0, 500, 1000)
            out.set_chapters(
                [
                    {
                        "id": n,
                        "start": a,
                        "end": b,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": f"part {n}"},
                    }
                    for n, (a, b) in enumerate(itertools.pairwise(halves), 1)
                ]
            )
        video = _video_stream(out, recipe)
        tracks = [_audio_stream(out, number) for number in range(recipe.audio)]
        _sound(out, tracks, max(recipe.frames, 1) / RATE)
        for index in range(recipe.frames):
            out.mux(video.encode(_frame(recipe, index)))
        out.mux(video.encode(None))
    return path


def _base(recipe: Recipe) -> Fraction:
    """Of time stamps: fine, except for codecs that count pictures."""
    return Fraction(1, recipe.rate) if recipe.codec in ("mpeg4", "mjpeg", "dvvideo") else BASE


def _video_stream(out: Any, recipe: Recipe) -> Any:
    video = out.add_stream(recipe.codec, rate=recipe.rate)
    video.width, video.height = recipe.size
    video.pix_fmt = recipe.pixel_format
    video.codec_context.time_base = _base(recipe)
    if recipe.codec in ("libx264", "libx265"):
        video.options = {"crf": "10", "preset": "veryfast"}
        if recipe.codec == "libx265":
            video.options["x265-params"] = "log-level=none"
    if recipe.tags is not None:
        context = video.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = recipe.tags
    if recipe.rotation:
        video.set_display_rotation(recipe.rotation)
    if recipe.aspect is not None:
        video.codec_context.sample_aspect_ratio = recipe.aspect
    return video


def _audio_stream(out: Any, number: int) -> Any:
    track = out.add_stream("aac", rate=48_000, layout="mono")
    track.metadata["language"] = ("eng", "deu")[number]
    return track


def _sound(out: Any, tracks: Sequence[Any], seconds: float) -> None:
    for number, track in enumerate(tracks):
        time = np.arange(int(seconds * 48_000)) / 48_000
        samples = (0.3 * np.sin(2 * np.pi * (440 + 110 * number) * time)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate, frame.pts = 48_000, 0
        out.mux(track.encode(frame))
        out.mux(track.encode(None))


def _frame(recipe: Recipe, index: int) -> Any:
    rgb = scene(recipe.size, recipe.light(index), recipe.seed(index), noise=index)
    frame = av.VideoFrame.from_ndarray(np.rint(rgb * 255).astype(np.uint8), format="rgb24")
    kwargs: dict[str, Any] = {}
    if recipe.tags is not None:
        kwargs = {"dst_color_range": recipe.tags[0]}
    frame = frame.reformat(format=recipe.pixel_format, **kwargs)
    base = _base(recipe)
    frame.pts = round(recipe.seconds(index) * RATE / recipe.rate / base)
    frame.time_base = base
    return frame
