"""A clip opened: its facts, its pictures in order of time, and the packets of everything else."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable, UsageError
from relume.files import no_file
from relume.video.coding import Coding, coding_of, tags_of

MAX_PIXELS = 36_000_000
"""Most pixels of a picture: a little more than 8K."""

_MAX_STREAMS = 100
_BLOCK = 128
_PICTURES = ("image2", "_pipe")
_OTHER_FILES = ("hls", "dash", "concat", "sdp", "rtsp", "imf")
"""Demuxers that read other files or the network."""

_OWN_CLOCKS = ("mpegts", "mpeg", "mxf")
"""Demuxers of recordings whose time does not begin with them."""

_SALVAGE = "Add --salvage to write what can be decoded."

_FASTEST = 10_000
"""Most pictures per second; what FFmpeg says of DV is its clock."""

_LOST_END = 1.0
"""Seconds that may be missing at the end of what the clip's own header announces."""


@dataclass(frozen=True)
class Span:
    """The part of a clip that is wanted, in seconds from its start; all of it by default.

    Raises:
        UsageError: a negative start, or no duration.
    """

    start: float = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < float("inf"):
            raise UsageError(f"start is {self.start}", "Give seconds from the start of the clip.")
        if self.duration is not None and not self.duration > 0:
            raise UsageError(f"duration is {self.duration}", "Give a number of seconds above 0.")

    @property
    def end(self) -> float:
        return float("inf") if self.duration is None else self.start + self.duration

    def holds(self, seconds: float) -> bool:
        """Whether a time is in it; from the clip's start on, so is what decoders need before."""
        return (not self.start or self.start <= seconds) and seconds < self.end


WHOLE = Span()


@dataclass(frozen=True, eq=False)
class Moment:
    """A picture of a clip.

    Attributes:
        frame: as it was decoded; its time stamp rises from picture to picture.
        seconds: since the start of the clip.
    """

    frame: VideoFrame
    seconds: float


Item: TypeAlias = "Moment | Packet[Any]"
"""A picture, or a packet of another stream."""


@dataclass
class Source:
    """An open clip.

    Attributes:
        path: its file.
        container, stream: PyAV's, the stream being that of the pictures.
        others: streams that are copied.
        coding: how the pictures hold their colours.
        first: the first picture.
        span: the part that is read.
        salvage: whether damage is passed over.
        notes: what had to be left out.
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    others: list[Stream]
    span: Span
    salvage: bool
    notes: list[str] = field(default_factory=list[str])
    _head: list[Item] = field(default_factory=list[Item])
    _rest: Iterator[Item] = field(default_factory=lambda: iter(()))
    _damage: int = 0
    _awaited: set[int] = field(default_factory=set[int])
    _last_pts: int | None = None
    _end: float = 0.0

    @property
    def width(self) -> int:
        return self.first.width

    @property
    def height(self) -> int:
        return self.first.height

    @property
    def first(self) -> VideoFrame:
        last = self._head[-1]
        assert isinstance(last, Moment)  # noqa: S101 - what `begin` makes sure of
        return last.frame

    @property
    def coding(self) -> Coding:
        return self._coding

    @property
    def rate(self) -> Fraction | None:
        """Pictures per second, on average; None where nobody knows."""
        rates = (self.stream.average_rate, self.stream.guessed_rate)
        return next((rate for rate in rates if rate and rate <= _FASTEST), None)

    @property
    def expected(self) -> int | None:
        """How many pictures there will be, about; None where nobody knows."""
        seconds = None if self.container.duration is None else self.container.duration / av.time_base
        if seconds is None or not self.rate:
            return self.stream.frames or None
        wanted = min(seconds, self.span.end) - self.span.start
        return max(1, round(wanted * self.rate))

    @property
    def shift(self) -> Fraction:
        """Seconds that are taken off every time stamp, so that a part of a clip begins at 0.

        So does a recording of a stream, whose clock may have run for hours: other containers would show
        nothing for as long.
        """
        own_clock = self.container.format.name in _OWN_CLOCKS and self._origin > 0
        return self._origin + Fraction(self.span.start) if self.span.start or own_clock else Fraction(0)

    @property
    def _origin(self) -> Fraction:
        """The clip's start, in seconds."""
        return Fraction(self.container.start_time or 0, av.time_base)

    def begin(self) -> None:
        """Read up to the first picture.

        Raises:
            InputInvalid: there is none, or it holds its colours in a way that relume does not read.
        """
        told = tags_of(self.stream.codec_context)  # which decoding overwrites
        self._rest = self._items()
        for item in self._rest:
            self._head.append(item)
            if isinstance(item, Moment):
                self._coding = coding_of(item.frame, told)
                return
        part = " in the part that is wanted" if self.span != WHOLE else ""
        raise InputInvalid(f"the clip holds no picture that can be decoded{part}", "Check the clip.")

    def items(self) -> Iterator[Item]:
        """Pictures and packets in order, once.

        Raises:
            InputInvalid: damage, unless it is to be salvaged; or pictures that change their size.
        """
        for item in itertools.chain(self._head, self._rest):
            if isinstance(item, Moment) and (item.frame.width, item.frame.height) != (
                self.width,
                self.height,
            ):
                raise InputInvalid(
                    f"the size of its pictures changes at {item.seconds:.1f} s",
                    "Cut the clip there, with --start and --duration.",
                )
            yield item
        if self._damage:
            self.notes.append(f"damaged: {self._damage} packets could not be decoded")

    def _items(self) -> Iterator[Item]:
        if self.span.start:
            self.container.seek(round((self._origin + Fraction(self.span.start)) * av.time_base))
        streams = [self.stream, *self.others]
        self._awaited = {stream.index for stream in streams if stream.type in ("video", "audio")}
        for packet in self._packets(streams):
            # The packet that ends a stream is empty, and has no number but its stream's.
            if packet.stream.index == self.stream.index:
                yield from self._wanted_moments(packet)
            elif packet.size and self._is_wanted(packet):
                yield packet
            if not self._awaited:
                return
        self._check_end()

    def _is_wanted(self, packet: Packet[Any]) -> bool:
        """Whether a packet that is copied lies in the part that is read."""
        seconds = self._seconds(packet.pts, packet.time_base)
        if seconds is None:
            return False
        self._end = max(self._end, seconds + float((packet.duration or 0) * packet.time_base))
        if seconds >= self.span.end:
            self._awaited.discard(packet.stream_index)
        return self.span.holds(seconds)

    def _wanted_moments(self, packet: Packet[Any]) -> Iterator[Moment]:
        """The pictures that come with a packet, as far as they lie in the part that is read."""
        for frame in self._decoded(packet):
            moment = self._moment(frame)
            self._end = max(self._end, moment.seconds + float((frame.duration or 0) * (frame.time_base or 0)))
            if moment.seconds >= self.span.end:
                self._awaited.discard(self.stream.index)
            if self.span.holds(moment.seconds):
                yield moment

    def _seconds(self, pts: int | None, base: Fraction | None) -> float | None:
        if pts is None or base is None:
            return None
        return float(pts * base - self._origin)

    def _moment(self, frame: VideoFrame) -> Moment:
        """The picture with a time stamp after that of the last one; where it has none, it gets one."""
        base = frame.time_base or self.stream.time_base or Fraction(1, 90_000)
        last = self._last_pts
        if frame.pts is None:
            step = 1 if not self.rate else max(1, round(1 / (self.rate * base)))
            frame.pts = 0 if last is None else last + step
        elif last is not None and frame.pts <= last:
            frame.pts = last + 1
        frame.time_base, self._last_pts = base, frame.pts
        return Moment(frame, float(frame.pts * base - self._origin))

    def _packets(self, streams: list[Any]) -> Iterator[Packet[Any]]:
        packets = self.container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self._damaged(error)
                # What was decoded so far is still to come out of the decoder.
                packet = None
                yield from self._flushed()
            if packet is None:
                return
            if packet.is_corrupt:
                self._damaged(None)
            yield packet

    def _flushed(self) -> Iterator[Packet[Any]]:
        packet: Packet[Any] = Packet()
        packet.stream = self.stream
        yield packet

    def _decoded(self, packet: Packet[Any]) -> list[VideoFrame]:
        try:
            stream: Any = self.stream
            return list(stream.decode(packet if packet.size else None))
        except EOFError:
            return []
        except FFmpegError as error:
            self._damaged(error)
            return []

    def _damaged(self, error: FFmpegError | None) -> None:
        """Go on past damage where that is wanted.

        Raises:
            InputInvalid: it is not.
        """
        if not self.salvage:
            said = "" if error is None else f" ({error.strerror})"
            raise InputInvalid(f"the clip is damaged or cut short{said}", _SALVAGE) from error
        self._damage += 1

    def _check_end(self) -> None:
        """Matroska and AVI say how long a clip is, and its end may be missing without a fault anywhere."""
        announced = self._announced
        if announced is not None and self._end < announced - max(_LOST_END, 0.02 * announced):
            self._damaged(None)

    @property
    def _announced(self) -> float | None:
        """Seconds from the clip's start that its header announces; None of others than Matroska and AVI."""
        name = self.container.format.name
        if "matroska" in name and self.container.duration is not None:
            # Where time does not begin with the clip, some programs write its end there, others its length.
            return self.container.duration / av.time_base - float(max(self._origin, 0))
        if name == "avi" and self.stream.frames and self.stream.time_base:
            return float(self.stream.frames * self.stream.time_base)  # the container's is made of its size
        return None


@contextmanager
def open_clip(
    path: Path,
    *,
    span: Span = WHOLE,
    salvage: bool = False,
    max_pixels: int = MAX_PIXELS,
    threads: int = 0,
) -> Generator[Source]:
    """Open a clip, and close it when the block ends; nothing but this file is read.

    Args:
        span: the part to read.
        salvage: pass over damage.
        max_pixels: refuse larger pictures.
        threads: of the decoder, 0 for all.

    Raises:
        InputUnreadable: missing, or may not be read.
        InputInvalid: no clip, no picture in it, damage, or colours that relume does not read.
        InputTooLarge: pictures beyond the limit.
    """
    _check_file(path)
    with ExitStack() as stack:
        with _telling(path):
            options = {"protocol_whitelist": "file"}
            opened = stack.enter_context(av.open(_url(path), "r", options=options, metadata_errors="replace"))
            source = _source(path, opened, span, salvage, max_pixels, threads)
            source.begin()
        if source.coding.alpha:
            source.notes.append("opacity left out")
        yield source


def _source(
    path: Path, opened: InputContainer, span: Span, salvage: bool, max_pixels: int, threads: int
) -> Source:
    stream = _pictures(opened)
    size = stream.codec_context.width * stream.codec_context.height
    if size > max_pixels:
        raise InputTooLarge(
            f"its pictures have {size} pixels, more than the limit of {max_pixels}",
            "Raise --max-pixels if you trust the clip.",
        )
    # Pictures may grow within the clip: the decoder refuses before it takes memory for them. What it decodes
    # is larger than what is shown, by up to a block at each side.
    stream.codec_context.options = {"max_pixels": str(2 * max_pixels + _BLOCK**2)}
    stream.thread_type = "AUTO"
    stream.thread_count = threads
    others = [each for each in opened.streams if each.index != stream.index]
    return Source(path, opened, stream, [each for each in others if _is_copied(each)], span, salvage)


@contextmanager
def _telling(path: Path) -> Generator[None]:
    """Turn FFmpeg's errors into one that names the clip."""
    try:
        yield
    except (InputInvalid, InputTooLarge) as error:
        error.path = error.path or path
        raise
    except FFmpegError as error:
        said = " ".join(str(error.strerror).split())
        raise InputInvalid(
            f"this is not a clip that relume reads ({said})", "Check that it plays.", path=path
        ) from error


def _check_file(path: Path) -> None:
    try:
        what = no_file(path.stat().st_mode)
        if what:  # which might be waited for without an end
            raise InputUnreadable(f"this is {what}, not a clip", "Name a file that holds a clip.", path=path)
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "the name is not a valid file name"
        raise InputUnreadable(f"cannot be read ({said})", "Check the name.", path=path) from error


def _url(path: Path) -> str:
    """The file's name such that FFmpeg takes it for nothing else."""
    return f"file:{path.absolute()}"


def _pictures(container: InputContainer) -> VideoStream:
    """The stream of pictures.

    Raises:
        InputInvalid: there is none, or the file is a picture or a list of other files.
    """
    names = container.format.name.split(",")
    if any(name.startswith(_OTHER_FILES) for name in names):
        raise InputInvalid("this is a list of other files", "Name the clip itself.")
    if any(name.endswith(_PICTURES) for name in names):
        raise InputInvalid("this is a picture", "Use relume enhance for pictures.")
    if len(container.streams) > _MAX_STREAMS:
        raise InputInvalid(f"holds {len(container.streams)} streams", f"relume reads up to {_MAX_STREAMS}.")
    streams = [each for each in container.streams.video if not _is_cover(each)]
    if not streams:
        raise InputInvalid("holds no moving picture", "Name a clip.")
    best = max(streams, key=lambda each: (Disposition.default in each.disposition, -each.index))
    if getattr(best, "codec_context", None) is None:
        raise InputInvalid(
            "its pictures are in a format that relume does not read", "Convert the clip first."
        )
    return best


def _is_cover(stream: Stream) -> bool:
    return Disposition.attached_pic in stream.disposition


def _is_copied(stream: Stream) -> bool:
    """Sound, subtitles, covers and fonts are; data is not, as players do not know it."""
    return stream.type != "data"
