"""One clip made bright: decoding, looking, rendering and encoding, each ahead of the next."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from av import Packet, VideoFrame

from relume.arrays import Floats
from relume.colour import luma
from relume.look.look import Look
from relume.options import Controls
from relume.photo import Photo
from relume.steps.thumbnail import thumbnail
from relume.video.ahead import ahead
from relume.video.average import Averager
from relume.video.coding import Converter
from relume.video.encode import Encoding, Writer, write_clip
from relume.video.frames import MAX_PIXELS, WHOLE, Moment, Source, Span, open_clip
from relume.video.smooth import DEFAULT_SECONDS, SIDE, Settled, Sight, Smoother, Trimmer, shifted

_OVERVIEW = 512
"""Longer side of the picture that a look is decided on, in pixels; models see still smaller ones."""

_KEEPS_PACE = 1_000_000
"""Pixels that the network sees of each picture at most, as far as a factor of 4 allows it."""

_READY = 3
"""Pictures between two stages at most; each may take 6 MB at 1080p."""

_BETWEEN = 8
"""Every so many rows and columns are enough to tell how bright a picture is."""

Progress: TypeAlias = Callable[[int, int | None], object]
"""Takes pictures done, and about how many there will be."""

Rendered: TypeAlias = "tuple[Moment, VideoFrame] | Packet[Any]"


class Enhances(Protocol):
    """What a clip asks of an enhancer; `relume.Enhancer` is one."""

    def decide(self, photo: Photo, controls: Controls = ..., *, framed: bool = ...) -> Look: ...

    def render(self, photo: Photo, look: Look) -> Photo: ...


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is read, smoothed and written.

    Attributes:
        smooth: seconds ahead over which looks are averaged, and three times as many back; 0 takes each
            picture on its own.
        average: seconds over which results are averaged where nothing moves; 0 for none.
        span: the part that is wanted.
        beside: put each picture beside its result.
        salvage: pass over damage.
        max_pixels: refuse larger pictures.
        encoding: of the result.
        threads: of decoder and encoder, 0 for all.
    """

    smooth: float = DEFAULT_SECONDS
    average: float = 0.0
    span: Span = WHOLE
    beside: bool = False
    salvage: bool = False
    max_pixels: int = MAX_PIXELS
    encoding: Encoding = field(default_factory=Encoding)
    threads: int = 0


@dataclass
class Brightness:
    """Mean brightness of each picture, as luma in [0, 1].

    Attributes:
        seconds: times.
        before, after: of the picture and of its result.
        cuts: times at which a new scene begins.
    """

    seconds: array[float] = field(default_factory=lambda: array("f"))
    before: array[float] = field(default_factory=lambda: array("f"))
    after: array[float] = field(default_factory=lambda: array("f"))
    cuts: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Made:
    """What became of a clip.

    Attributes:
        width, height, bits: of its pictures.
        frames: how many were written.
        notes: what had to be left out or passed over.
        brightness: over time.
    """

    width: int
    height: int
    bits: int
    frames: int
    notes: tuple[str, ...]
    brightness: Brightness


def automatic_factor(width: int, height: int) -> int:
    """By how much the network sees pictures reduced, so that it keeps pace: 2 for 1080p, 3 for 4K."""
    return next((factor for factor in (1, 2, 3) if width * height <= factor**2 * _KEEPS_PACE), 4)


def enhance_clip(
    path: Path,
    target: Path,
    enhancer: Callable[[int], Enhances],
    controls: Controls,
    options: ClipOptions,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Make a clip bright and write it, completely or not at all.

    Args:
        path: the clip.
        target: where to write it.
        enhancer: returns what enhances pictures, for the factor that `automatic_factor` finds.
        controls: what the result is to look like.
        options: how to go about it.
        progress: told after each picture.

    Raises:
        RelumeError: what reading, the model or writing refuse.
    """
    with open_clip(
        path,
        span=options.span,
        salvage=options.salvage,
        max_pixels=options.max_pixels,
        threads=options.threads,
    ) as source:
        work = _Work(source, enhancer(automatic_factor(source.width, source.height)), controls, options)
        with write_clip(target, source, options.encoding, size=work.size, threads=options.threads) as writer:
            frames = work.through(writer, progress)
        bits = 10 if "10" in writer.pixel_format else 8
        return Made(source.width, source.height, bits, frames, tuple(source.notes), work.brightness)


def sights(
    source: Source, enhancer: Enhances, controls: Controls
) -> Iterator[Packet[Any] | tuple[Moment, Sight]]:
    """What a clip holds, each picture with what is seen of it."""
    converter = Converter(source.coding)
    for item in source.items():
        if not isinstance(item, Moment):
            yield item
            continue
        small = converter.overview(item.frame, _OVERVIEW)
        yield item, Sight(item.seconds, _small(small), enhancer.decide(small, controls, framed=False))


def pictures(
    seen: Iterable[Packet[Any] | tuple[Moment, Sight]],
    smoother: Smoother[Moment],
    enhancer: Enhances,
    converter: Converter,
    average: float = 0.0,
) -> Iterator[Packet[Any] | tuple[Moment, Photo, Photo]]:
    """Packets as they come, and pictures before and after, as soon as their looks are settled.

    Args:
        seen: from `sights`.
        smoother: of a clip that has not begun.
        enhancer: that of `sights`.
        converter: of the clip, for this thread.
        average: seconds over which results are averaged where nothing moves.
    """

    trimmer, averager = Trimmer(smoother.seconds), Averager(average)

    def render(settled: Settled[Moment]) -> tuple[Moment, Photo, Photo]:
        before = converter.photo(settled.carried.frame)
        if settled.look.adjustment is None:
            averager.forget()
            return settled.carried, before, before
        lit = shifted(before, settled.shift_C) if smoother.seconds else before
        after = enhancer.render(lit, settled.look)
        shift_C = trimmer.shift(settled.seconds, settled.scene, _small(after), settled.shift_C)
        after = shifted(after, shift_C, before.rgb_HWC.dtype)
        return settled.carried, before, averager.mixed(after, settled.seconds, settled.scene)

    for item in seen:
        if isinstance(item, Packet):
            yield item
            continue
        yield from map(render, smoother.add(*item))
    yield from map(render, smoother.finish())


def _small(photo: Photo) -> Floats:
    return thumbnail(np.moveaxis(photo.rgb_HWC, -1, 0), (SIDE, SIDE))


class _Work:
    """The stages of one clip."""

    def __init__(self, source: Source, enhancer: Enhances, controls: Controls, options: ClipOptions) -> None:
        self._source = source
        self._enhancer = enhancer
        self._controls = controls
        self._smoother: Smoother[Moment] = Smoother(options.smooth)
        self._average = options.average
        self._beside = _Beside(source.first.rotation) if options.beside else None
        self.brightness = Brightness(cuts=self._smoother.cuts)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the result."""
        size = self._source.width, self._source.height
        return size if self._beside is None else self._beside.size(*size)

    def through(self, writer: Writer, progress: Progress) -> int:
        """Carry everything through all stages; how many pictures there were."""
        frames, expected = 0, self._source.expected
        with (
            ahead(sights(self._source, self._enhancer, self._controls), _READY) as seen,
            ahead(self._rendered(seen, writer), _READY) as rendered,
        ):
            for item in rendered:
                if isinstance(item, Packet):
                    writer.packet(item)
                    continue
                moment, frame = item
                writer.picture(frame, moment.frame)
                frames += 1
                progress(frames, expected)
        return frames

    def _rendered(self, seen: Iterable[Any], writer: Writer) -> Iterator[Rendered]:
        converter = Converter(self._source.coding)
        for item in pictures(seen, self._smoother, self._enhancer, converter, self._average):
            yield item if isinstance(item, Packet) else (item[0], self._frame(*item, converter, writer))

    def _frame(
        self, moment: Moment, before: Photo, after: Photo, converter: Converter, writer: Writer
    ) -> VideoFrame:
        self.brightness.seconds.append(moment.seconds)
        self.brightness.before.append(_mean(before))
        self.brightness.after.append(_mean(after))
        if self._beside is not None:
            after = self._beside.photo(before, after)
        elif after is before and not (self._source.coding.grey or self._source.coding.rgb):
            return converter.recoded(moment.frame, writer.pixel_format)
        return converter.frame(after, writer.pixel_format, writer.full)


def _mean(photo: Photo) -> float:
    some = np.moveaxis(photo.rgb_HWC[::_BETWEEN, ::_BETWEEN], -1, 0)
    return float(luma(some.astype(np.float32)).mean()) / np.iinfo(photo.rgb_HWC.dtype).max


class _Beside:
    """A picture and its result beside each other as a player shows them, after it has turned them.

    Args:
        rotation: of the clip, in degrees against the clock.
    """

    def __init__(self, rotation: int) -> None:
        quarter = round(rotation / 90) % 4
        self._axis = 0 if quarter % 2 else 1
        # After a quarter against the clock, what is stored on top is shown on the left.
        self._first = quarter in (0, 1)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of both together."""
        return (2 * width, height) if self._axis == 1 else (width, 2 * height)

    def photo(self, before: Photo, after: Photo) -> Photo:
        both: list[Any] = [before.rgb_HWC, after.rgb_HWC]
        both = both if self._first else both[::-1]
        return before.with_pixels(np.concatenate(both, axis=self._axis))
