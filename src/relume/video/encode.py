"""A clip written: its pictures encoded anew, everything else copied packet by packet."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import Packet, VideoFrame
from av.container import OutputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Stream
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from relume.errors import OutputUnwritable, UsageError
from relume.files import path_of, replacing
from relume.video.coding import Tags
from relume.video.frames import WHOLE, Source

CONTAINERS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Suffixes of clips that are written, and FFmpeg's name of their container."""

_NOT_KEPT = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "DURATION"})
"""What a container says of itself rather than of its clip."""


@dataclass(frozen=True)
class Encoder:
    """One of FFmpeg's encoders.

    Attributes:
        name: FFmpeg's.
        crf: quality by default: smaller is better; None for one that has no such number.
        preset: by default, and the option that takes it.
        formats: pixel formats by depth: 8 and 10 bits.
        whole: the same without subsampled chroma.
        containers: that hold it and that players expect it in.
        options: always given.
    """

    name: str
    crf: int | None
    preset: str
    preset_option: str
    formats: tuple[str, str]
    whole: tuple[str, str] | None
    containers: frozenset[str]
    options: Mapping[str, str] = field(default_factory=dict[str, str])


_ISO = frozenset({"mp4", "mov", "matroska"})
_ALL = frozenset({*_ISO, "webm"})
_PLAIN = ("yuv420p", "yuv420p10le")
_WHOLE = ("yuv444p", "yuv444p10le")

ENCODERS: Mapping[str, Encoder] = {
    "h264": Encoder("libx264", 18, "medium", "preset", _PLAIN, _WHOLE, _ISO),
    "hevc": Encoder(
        "libx265", 20, "medium", "preset", _PLAIN, _WHOLE, _ISO, {"x265-params": "log-level=error"}
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        24,
        "4",
        "cpu-used",
        ("yuv420p", "yuv420p"),
        None,
        _ALL - {"mov"},
        {"b": "0", "row-mt": "1", "deadline": "good"},
    ),
    "av1": Encoder("libsvtav1", 26, "8", "preset", _PLAIN, None, _ALL - {"mov"}),
    "prores": Encoder(
        "prores_ks",
        None,
        "3",
        "profile",
        ("yuv422p10le", "yuv422p10le"),
        None,
        frozenset({"mov", "matroska"}),
    ),
    "ffv1": Encoder("ffv1", None, "3", "level", _WHOLE, None, frozenset({"matroska"})),
}
"""Encoders by the codec that `--codec` names."""

_FAMILIES = {"libdav1d": "av1", "vp8": "vp9"}
"""Codecs of inputs that have another name, or a successor."""


@dataclass(frozen=True)
class Encoding:
    """How results are encoded; options of the command.

    Attributes:
        codec: one of `ENCODERS`; "" for that of the input where it is one of them, else H.264.
        crf: quality, None for the encoder's own.
        preset: speed, "" for the encoder's own.

    Raises:
        UsageError: no such codec, or a quality out of range.
    """

    codec: str = ""
    crf: int | None = None
    preset: str = ""

    def __post_init__(self) -> None:
        if self.codec and self.codec not in ENCODERS:
            raise UsageError(f"no codec is called '{self.codec}'", f"Choose from: {', '.join(ENCODERS)}.")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"crf is {self.crf}", "Give a number from 0 (best) to 63.")

    def encoder(self, codec: str, container: str, *, deep: bool) -> Encoder:
        """The encoder for a clip.

        Args:
            codec: of the input.
            container: FFmpeg's name of the result's.
            deep: more than 8 bits.

        Raises:
            UsageError: the codec that was asked for does not go into this container.
        """
        if self.codec:
            chosen = ENCODERS[self.codec]
            if container not in chosen.containers:
                raise UsageError(
                    f"--codec {self.codec} does not go into a {container} file",
                    f"Choose one of {', '.join(sorted(chosen.containers))} with --format.",
                )
            return chosen
        family = _FAMILIES.get(codec, codec)
        if family == "vp9" and deep:
            family = "av1"  # the encoder at hand writes 8 bits only
        if family in ENCODERS and container in ENCODERS[family].containers:
            return ENCODERS[family]
        if container != "webm":
            return ENCODERS["h264"]
        return ENCODERS["av1" if deep else "vp9"]


@dataclass
class Writer:
    """A clip that is being written.

    Attributes:
        container: PyAV's.
        video: the stream of pictures.
        pixel_format: of the pictures to write.
        full: whether their levels span the whole range.
        tags: of their colours.
        copies: streams that packets are copied into, by the number of the one they come from.
        shift: seconds taken off every time stamp.
    """

    container: Any  # whose methods, as those of its streams, have few types
    video: Any
    pixel_format: str
    full: bool
    tags: Tags
    copies: dict[int, Stream]
    shift: Fraction
    _durations: dict[int, int] = field(default_factory=dict[int, int])

    def picture(self, frame: VideoFrame, like: VideoFrame) -> None:
        """Encode a picture at the time of another."""
        base = like.time_base or self.video.codec_context.time_base
        frame.time_base = base
        frame.pts = (like.pts or 0) - round(self.shift / base)
        frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc = self.tags
        frame.pict_type = 0  # or the encoder would take over which pictures are key ones
        if like.duration:
            self._durations[frame.pts] = like.duration
        self._mux(self.video.encode(frame))

    def packet(self, packet: Packet[Any]) -> None:
        """Copy a packet of another stream."""
        stream = self.copies.get(packet.stream_index)
        if stream is None:
            return
        if self.shift:
            ticks = round(self.shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        packet.stream = stream
        self.container.mux(packet)

    def finish(self) -> None:
        """Encode what is still on its way."""
        self._mux(self.video.encode(None))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration)
            self.container.mux(packet)


@contextmanager
def write_clip(
    target: Path, source: Source, encoding: Encoding, *, size: tuple[int, int], threads: int = 0
) -> Generator[Writer]:
    """Write a clip in the place of `target`, completely or not at all.

    Args:
        target: a file whose suffix is one of `CONTAINERS`.
        source: the clip that it is made of; what cannot be kept is added to its notes.
        encoding: how pictures are encoded.
        size: width and height of the pictures to write.
        threads: of the encoder, 0 for all.

    Raises:
        OutputUnwritable: no place, no such container, or one that does not hold the clip's sound.
        UsageError: options that the encoder refuses.
    """
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise OutputUnwritable(
            "relume does not write such clips", f"Choose one of {', '.join(CONTAINERS)}.", path=target
        )
    # SVT-AV1 tells its settings on stderr otherwise.
    os.environ.setdefault("SVT_LOG", "1")
    with replacing(target) as file:
        writer = _begin(f"file:{path_of(file)}", target, container, source, encoding, size, threads)
        try:
            yield writer
            writer.finish()
            writer.container.close()
        except FFmpegError as error:
            raise _refused(error, target) from error
        finally:
            _abandon(writer.container)


def _begin(
    url: str,
    target: Path,
    container: str,
    source: Source,
    encoding: Encoding,
    size: tuple[int, int],
    threads: int,
) -> Writer:
    encoder = encoding.encoder(source.stream.codec_context.name, container, deep=source.coding.deep)
    opened = av.open(url, "w", format=container, options=_container_options(container, source))
    try:
        video = _add_pictures(opened, source, encoder, size)
        _set_quality(video, encoder, encoding, threads)
        copies = _add_copies(opened, source, container)
        _describe(opened, source)
        opened.start_encoding()
    except (FFmpegError, ValueError) as error:
        _abandon(opened)
        raise _refused(error, target) from error
    except BaseException:
        _abandon(opened)
        raise
    tags = source.coding.tags
    full = tags[0] == ColorRange.JPEG
    return Writer(opened, video, video.codec_context.pix_fmt or "", full, tags, copies, source.shift)


def _abandon(container: OutputContainer) -> None:
    """Close it whatever state it is in; closing twice does nothing."""
    with suppress(FFmpegError, ValueError):  # what it was to say has been said
        container.close()


def _container_options(container: str, source: Source) -> dict[str, str]:
    if container not in ("mp4", "mov"):
        return {}
    # Players read the common tags in their old place; those of phones have names of their own.
    own = any(name.startswith("com.") for name in source.container.metadata)
    return {"movflags": "+faststart" + ("+use_metadata_tags" if own else "")}


def _add_pictures(opened: Any, source: Source, encoder: Encoder, size: tuple[int, int]) -> VideoStream:
    stream, coding = source.stream, source.coding
    video = opened.add_stream(encoder.name, rate=source.rate or 25)
    context = video.codec_context
    context.width, context.height = size
    context.pix_fmt = _pixel_format(encoder, size, coding.deep)
    context.time_base = stream.time_base or Fraction(1, 90_000)
    video.time_base = context.time_base
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = coding.tags
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    if encoder.name == "libx265":
        context.codec_tag = "hvc1"  # the one that Apple's players know
    matrix = _display_matrix(source.first)
    if matrix is not None:
        video.set_display_matrix(matrix)
    _copy_facts(stream, video)
    return video


def _pixel_format(encoder: Encoder, size: tuple[int, int], deep: bool) -> str:
    """Subsampled chroma, as players expect, except where an odd side allows none."""
    odd = size[0] % 2 or size[1] % 2
    return (encoder.whole if odd and encoder.whole else encoder.formats)[int(deep)]


def _display_matrix(frame: VideoFrame) -> list[int] | None:
    """How players turn the picture, as the clip says it."""
    data: Any = frame.side_data
    for number in range(len(data)):
        if data[number].type == SideDataType.DISPLAYMATRIX:
            return np.frombuffer(bytes(data[number])[:36], np.int32).tolist()
    return None


def _set_quality(video: VideoStream, encoder: Encoder, encoding: Encoding, threads: int) -> None:
    options = dict(encoder.options)
    options[encoder.preset_option] = encoding.preset or encoder.preset
    if encoder.crf is not None:
        options["crf"] = str(encoder.crf if encoding.crf is None else encoding.crf)
    video.codec_context.options = options
    video.codec_context.thread_count = threads


def _add_copies(opened: Any, source: Source, container: str) -> dict[int, Stream]:
    """A stream for every one that is copied.

    Raises:
        OutputUnwritable: the container does not hold the clip's sound.
    """
    copies: dict[int, Stream] = {}
    for stream in source.others:
        name = getattr(stream.codec_context, "name", "unknown")  # attachments have none
        try:
            if stream.type == "attachment" and container != "matroska":
                raise ValueError("attachments are Matroska's")  # FFmpeg would say so too late
            copy = opened.add_stream_from_template(stream, opaque=True)
        except (ValueError, FFmpegError) as error:
            if stream.type == "audio":
                raise OutputUnwritable(
                    f"a {container} file does not hold the clip's sound ({name})",
                    "Add --format mkv, which holds every kind.",
                ) from error
            source.notes.append(f"left out, as a {container} file does not hold it: {stream.type} ({name})")
            continue
        _copy_facts(stream, copy)
        copies[stream.index] = copy
    return copies


def _copy_facts(stream: Stream, copy: Stream) -> None:
    copy.metadata.update({key: said for key, said in stream.metadata.items() if key not in _NOT_KEPT})
    copy.disposition = stream.disposition


def _describe(opened: OutputContainer, source: Source) -> None:
    """Metadata and chapters."""
    said = source.container.metadata
    opened.metadata.update({key: text for key, text in said.items() if key not in _NOT_KEPT})
    if source.span == WHOLE:
        opened.set_chapters(source.container.chapters())


def _refused(error: Exception, target: Path) -> OutputUnwritable:
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    return OutputUnwritable(
        f"the clip cannot be encoded so ({said})",
        "Check --codec, --crf and --preset, and the disk's free space.",
        path=target,
    )
