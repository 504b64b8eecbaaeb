"""Clips darkened by the laboratory's physical model, enhanced picture by picture and smoothed over time.

    python benchmarks/video.py DATA/video            # into results/video.csv
    python benchmarks/video.py DATA/video --denoise  # into results/video_denoise.csv
    python benchmarks/video.py DATA/video --speed    # into results/video_speed.csv
    python benchmarks/video.py DATA/video --keeps    # into results/video_keeps.csv

The first says what flickers, and how near each clip comes to its bright original; the second, what pictures
averaged over time where nothing moves would gain, before and after the network; the third, what a picture of
1080p costs and on what; the fourth, that a clip of ten seconds of 1080p keeps its times, sound, turning and
tags, and how long it takes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import machine
import numpy as np

from relume.enhancer import Enhancer
from relume.evaluate.clips import ClipScores, measure_clip
from relume.lab.darkness import Degradation
from relume.lab.data.clips import LIGHTS, darken_pictures
from relume.options import Controls
from relume.photo import Photo
from relume.video.average import Averager
from relume.video.clip import ClipOptions, automatic_factor, enhance_clip, pictures, sights
from relume.video.coding import Converter
from relume.video.frames import Moment, open_clip
from relume.video.smooth import DEFAULT_SECONDS, Smoother

NIGHT = Degradation(
    exposure=1 / 12,
    shot=1 / 6_000,
    read=(2 / 6_000) ** 2,
    gains=(2.0, 1.0, 1.6),
    saturation=1.2,
    noise_seed=7,
)
"""A dark evening: a twelfth of the light, 500 electrons of a white pixel, read noise of two electrons."""

NIGHTS = {"evening": NIGHT, "night": replace(NIGHT, exposure=1 / 48)}
"""The same, and two stops darker: 125 electrons, which no brightness of the result can make up for."""

DARKER = 0.4
"""How much less light the second scene of a cut has."""

WAYS = {"picture by picture": 0.0, "smoothed": DEFAULT_SECONDS}

Timed = list[tuple[float, np.ndarray]]


def bright(path: Path, seconds: float, width: int) -> Timed:
    """The first seconds of a clip, reduced."""
    timed: Timed = []
    with open_clip(path) as source:
        height = round(width * source.height / source.width / 2) * 2
        for item in source.items():
            if isinstance(item, Moment):
                if item.seconds >= seconds:
                    break
                small = item.frame.reformat(width, height, format="rgb24", interpolation="AREA")
                timed.append((item.seconds, small.to_ndarray()))
    return timed


def darkened(timed: Timed, how: Degradation, light: str) -> Timed:
    dark = darken_pictures(timed, how, LIGHTS[light])
    return [(seconds, rgb) for (seconds, _), rgb in zip(timed, dark, strict=True)]


def joined(how: Degradation, first: Timed, second: Timed) -> tuple[Timed, Timed]:
    """A cut from one scene to another, which is darker still: dark, and bright original."""
    end = first[-1][0] + 0.1
    later = [(end + seconds, rgb) for seconds, rgb in second]
    darker = replace(how, exposure=how.exposure * DARKER, noise_seed=10_007)
    dark = list(darken_pictures(second, darker))
    return (
        [*darkened(first, how, "steady"), *((at, rgb) for (at, _), rgb in zip(later, dark, strict=True))],
        [*first, *later],
    )


def keep(path: Path, timed: Timed) -> None:
    """Write pictures without loss."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("ffv1", rate=30)
        video.height, video.width = timed[0][1].shape[:2]
        video.pix_fmt = "bgr0"
        video.codec_context.time_base = Fraction(1, 1000)
        for seconds, rgb in timed:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def enhanced(path: Path, enhancer: Enhancer, smooth: float) -> Iterator[np.ndarray]:
    with open_clip(path) as source:
        seen = sights(source, enhancer, Controls())
        for item in pictures(seen, Smoother(smooth), enhancer, Converter(source.coding)):
            if isinstance(item, tuple):
                yield item[2].rgb_HWC


def scenes(how: Degradation, clips: dict[str, Timed]) -> Iterator[tuple[str, str, Timed, Timed]]:
    """Name, light, dark clip and its bright original."""
    for (name, timed), light in itertools.product(clips.items(), LIGHTS):
        yield name, light, darkened(timed, how, light), timed
    (first, one), (second, other), *_ = clips.items()
    half = len(one) // 2, len(other) // 2
    yield f"{first} + {second}", "cut", *joined(how, one[: half[0]], other[: half[1]])


def followed(means: dict[str, list[float]], cut: int) -> int:
    """Pictures after a cut until the smoothed clip is as bright as the other, within 2 % of the range."""
    for late, (one, other) in enumerate(zip(*(each[cut:] for each in means.values()), strict=True)):
        if abs(one - other) < 0.02:
            return late
    return -1


def flicker(folder: Path, seconds: float, width: int, threads: int) -> None:
    clips = {path.stem: bright(path, seconds, width) for path in sorted(folder.glob("*.mp4"))}
    enhancer = Enhancer(downsample=1, threads=threads)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "dark.mkv"
        for night, how in NIGHTS.items():
            for name, light, dark, original in scenes(how, clips):
                keep(path, dark)
                here = {"clip": name, "darkness": night, "light": light}
                found = list(compared(path, original, enhancer))
                if light == "cut":
                    means = {way: [float(rgb.mean()) / 255 for rgb in results] for way, results, _ in found}
                    here["followed_after"] = followed(means, len(clips[name.split(" + ")[0]]) // 2)
                else:
                    here["followed_after"] = ""
                rows += [{**here, "way": way, **scores.to_json()} for way, _, scores in found]
                print(*rows[-len(WAYS) :], sep="\n", flush=True)
    print(machine.store("video", rows))


MEMORIES = (0.1, 0.25)
"""Seconds of the averages."""

MOVES = 12.0
"""Difference of the bright original to the picture before, in steps of 8 bits, from which on it moves."""


def averaged(timed: Iterable[tuple[float, np.ndarray]], memory: float) -> Iterator[np.ndarray]:
    """Pictures as `relume.video.average` mixes them."""
    averager = Averager(memory)
    for seconds, rgb_HWC in timed:
        yield averager.mixed(Photo(rgb_HWC), seconds, 0).rgb_HWC


def moving_error(results: list[np.ndarray], original: Timed) -> float | None:
    """PSNR in dB over what moves in the original: where an average would leave ghosts."""
    errors: list[np.ndarray] = []
    for result, (_, before), (_, rgb) in zip(results[1:], original, original[1:], strict=False):
        moves_HW = cv2.blur(np.abs(rgb.astype(np.float32) - before).mean(2), (5, 5)) > MOVES
        errors.append(((result.astype(np.float32) - rgb)[moves_HW] ** 2).ravel())
    squares = np.concatenate(errors)
    return round(float(10 * np.log10(255**2 / squares.mean())), 3) if squares.size else None


def denoise(folder: Path, seconds: float, width: int, threads: int) -> None:
    enhancer = Enhancer(downsample=1, threads=threads)
    rows: list[dict[str, Any]] = []
    clips = {path.stem: bright(path, seconds, width) for path in sorted(folder.glob("*.mp4"))}
    for (night, how), (name, original) in itertools.product(NIGHTS.items(), clips.items()):
        times, dark = zip(*darkened(original, how, "steady"), strict=True)
        plain = smoothed(list(zip(times, dark, strict=True)), enhancer)
        for place, memory in [("none", 0.0), *itertools.product(("before", "after"), MEMORIES)]:
            if place == "before":
                means = averaged(zip(times, dark, strict=True), memory)
                results = smoothed(list(zip(times, means, strict=True)), enhancer)
            else:
                results = list(averaged(zip(times, plain, strict=True), memory))
            pairs = zip(times, results, (rgb for _, rgb in original), strict=True)
            scores = measure_clip(pairs, has_target=True).to_json()
            here = {"clip": name, "darkness": night, "place": place, "memory": memory}
            rows.append({**here, "psnr_moving": moving_error(results, original), **scores})
            print(rows[-1], flush=True)
    print(machine.store("video_denoise", rows))


def smoothed(dark: Timed, enhancer: Enhancer) -> list[np.ndarray]:
    """Results of dark pictures by the default way."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "dark.mkv"
        keep(path, dark)
        return list(enhanced(path, enhancer, DEFAULT_SECONDS))


def compared(
    path: Path, original: Timed, enhancer: Enhancer
) -> Iterator[tuple[str, list[np.ndarray], ClipScores]]:
    """Each way, its results and their scores."""
    for way, smooth in WAYS.items():
        results = list(enhanced(path, enhancer, smooth))
        pairs = ((seconds, result, rgb) for result, (seconds, rgb) in zip(results, original, strict=True))
        yield way, results, measure_clip(pairs, has_target=True)


PARTS = ("overview_and_decide", "to_rgb", "render", "average", "to_yuv", "encode")
"""Of the time that a picture takes; `average` only where that is asked for."""


def speed(folder: Path, threads: int, count: int) -> None:
    """Seconds per picture of 1080p, and of its parts, one after another."""
    timed = [(at, rgb) for at, rgb in bright(sorted(folder.glob("*.mp4"))[0], 2.0, 1920)][:count]
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "dark.mkv"
        keep(path, darkened(timed, NIGHT, "steady"))
        with open_clip(path) as source:
            factor = automatic_factor(source.width, source.height)
            enhancer = Enhancer(downsample=factor, threads=threads)
            converter = Converter(source.coding)
            moments = [item for item in source.items() if isinstance(item, Moment)]
        out = av.codec.CodecContext.create("libx264", "w")
        out.width, out.height, out.pix_fmt, out.time_base = (
            1920,
            moments[0].frame.height,
            "yuv420p",
            Fraction(1, 1000),
        )
        out.options, out.thread_count = {"crf": "18", "preset": "medium"}, threads
        spent = dict.fromkeys(PARTS, 0.0)
        averager = Averager(MEMORIES[0])
        for moment in moments:
            start = time.perf_counter()
            small = converter.overview(moment.frame, 512)
            look = enhancer.decide(small, Controls(), framed=False)
            looked = time.perf_counter()
            photo = converter.photo(moment.frame)
            read = time.perf_counter()
            after = enhancer.render(photo, look)
            made = time.perf_counter()
            averager.mixed(after, moment.seconds, 0)
            mixed = time.perf_counter()
            frame = converter.frame(after, "yuv420p", False)
            written = time.perf_counter()
            frame.pts = moment.frame.pts
            out.encode(frame)
            done = time.perf_counter()
            ends = (start, looked, read, made, mixed, written, done)
            for part, (begin, end) in zip(spent, itertools.pairwise(ends), strict=True):
                spent[part] += end - begin
    rows.append(
        {
            "width": 1920,
            "height": moments[0].frame.height,
            "downsample": factor,
            "threads": threads,
            "pictures": len(moments),
            **{part: round(seconds / len(moments), 4) for part, seconds in spent.items()},
        }
    )
    print(rows)
    print(machine.store("video_speed", rows))


def ten_seconds(path: Path, original: Path, rate: int) -> None:
    """A dark clip of 1080p, turned and tagged, with sound."""
    seconds = 10
    timed = bright(original, 6.0, 1920)
    dark = (np.arange(256) * 0.15).astype(np.uint8)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=rate)
        video.height, video.width = timed[0][1].shape[:2]
        context = video.codec_context
        context.time_base = Fraction(1, 90_000)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        video.options = {"preset": "ultrafast", "crf": "16"}
        video.set_display_rotation(90)
        sound: Any = out.add_stream("aac", rate=48_000, layout="stereo")
        noise = np.random.default_rng(0).normal(0, 0.1, (2, seconds * 48_000)).astype(np.float32)
        samples: Any = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        samples.rate, samples.pts = 48_000, 0
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
        for number in range(seconds * rate):
            rgb = dark[timed[number % len(timed)][1]]
            frame: Any = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = number * 90_000 // rate, Fraction(1, 90_000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def facts(path: Path) -> dict[str, Any]:
    """What a clip must keep."""
    with av.open(str(path)) as clip:
        sound = [
            (packet.pts * packet.time_base, bytes(packet)) for packet in clip.demux(audio=0) if packet.size
        ]
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        times, first = [], None
        for frame in clip.decode(stream):
            first = first or (
                frame.rotation,
                frame.color_range,
                frame.colorspace,
                frame.color_primaries,
                frame.color_trc,
            )
            times.append((frame.pts * frame.time_base, frame.duration * frame.time_base))
        return {
            "sound": sound,
            "times": times,
            "pictures": len(times),
            "duration": clip.duration,
            "turning_and_tags": first,
        }


def keeps(folder: Path, rate: int, threads: int) -> None:
    original = sorted(folder.glob("*.mp4"))[0]
    with TemporaryDirectory() as scratch:
        path, target = Path(scratch) / "dark.mp4", Path(scratch) / "bright.mp4"
        ten_seconds(path, original, rate)
        start = time.perf_counter()
        made = enhance_clip(
            path,
            target,
            lambda factor: Enhancer(downsample=factor, threads=threads),
            Controls(),
            ClipOptions(threads=threads),
        )
        seconds = time.perf_counter() - start
        before, after = facts(path), facts(target)
        row = {
            "width": made.width,
            "height": made.height,
            "pictures": made.frames,
            "threads": threads,
            "seconds": round(seconds, 1),
            "pictures_per_second": round(made.frames / seconds, 2),
            **{f"same_{name}": before[name] == after[name] for name in before},
        }
    print(row)
    print(machine.store("video_keeps", [row]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--denoise", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--keeps", action="store_true")
    parser.add_argument("--rate", type=int, default=30, help="pictures per second of --keeps")
    parser.add_argument("--pictures", type=int, default=6)
    given = parser.parse_args()
    if given.speed:
        speed(given.folder, given.threads, given.pictures)
    elif given.denoise:
        denoise(given.folder, given.seconds, given.width, given.threads)
    elif given.keeps:
        keeps(given.folder, given.rate, given.threads)
    else:
        flicker(given.folder, given.seconds, given.width, given.threads)


if __name__ == "__main__":
    main()
