"""Clips: every picture, packet and time comes out again; formats of all kinds; damage; nothing half-done."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

import av

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable, OutputUnwritable, UsageError
from relume.look.look import Look
from relume.options import Controls
from relume.photo import Photo
from relume.steps.controls import Adjustment
from relume.video.clip import ClipOptions, Made, automatic_factor, enhance_clip
from relume.video.encode import Encoding
from relume.video.frames import Moment, Span, open_clip
from video.clips import LIMITED_709, RATE, make_clip


@dataclass
class Doubler:
    """Stands for an enhancer: doubles what is dark."""

    dark_below: float = 1.0
    rendered: list[int] = field(default_factory=list)

    def decide(self, photo: Photo, controls: Controls = Controls(), *, framed: bool = True) -> Look:  # noqa: B008
        mean = photo.rgb_HWC.mean() / np.iinfo(photo.rgb_HWC.dtype).max
        return Look({}, Adjustment(1.0, 1.0, 0.0, np.full(3, 2.0))) if mean < self.dark_below else Look()

    def render(self, photo: Photo, look: Look) -> Photo:
        if look.adjustment is None:
            return photo
        self.rendered.append(photo.bits)
        top = np.iinfo(photo.rgb_HWC.dtype).max
        doubled = np.minimum(photo.rgb_HWC.astype(np.int64) * 2, top).astype(photo.rgb_HWC.dtype)
        return photo.with_pixels(doubled)


@dataclass(frozen=True)
class Facts:
    """What a player sees of a clip, beside its pixels."""

    times: list[Fraction]
    durations: list[Fraction]
    tags: tuple[int, int, int, int]
    rotation: int
    aspect: Fraction | None
    pixel_format: str
    codec: str
    size: tuple[int, int]
    seconds: int | None
    packets: list[tuple[int, Fraction, bytes]]
    streams: list[tuple[str, str | None, int]]
    metadata: dict[str, str]
    chapters: list[Any]
    means: list[float]


def facts(path: Path) -> Facts:
    with av.open(str(path)) as clip:
        packets = sorted(
            (packet.stream_index, packet.pts * packet.time_base, bytes(packet))
            for packet in clip.demux([each for each in clip.streams if each.type in ("audio", "subtitle")])
            if packet.dts is not None and packet.pts is not None
        )
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        frames = list(clip.decode(stream))
        first = frames[0]
        return Facts(
            times=[frame.pts * frame.time_base for frame in frames],
            durations=[frame.duration * frame.time_base for frame in frames],
            tags=(first.color_range, first.colorspace, first.color_primaries, first.color_trc),
            rotation=first.rotation,
            aspect=stream.sample_aspect_ratio,
            pixel_format=first.format.name,
            codec=stream.codec_context.name,
            size=(first.width, first.height),
            seconds=clip.duration,
            packets=packets,
            streams=[
                (each.type, each.metadata.get("language"), int(each.disposition))
                for each in clip.streams
                if each.type != "data"
            ],
            metadata=clip.metadata,
            chapters=clip.chapters(),
            means=[float(frame.to_ndarray(format="rgb24").mean()) for frame in frames],
        )


def enhance(path: Path, target: Path, enhancer: Any = None, **options: Any) -> Made:
    stub = enhancer or Doubler()
    return enhance_clip(path, target, lambda factor: stub, Controls(), ClipOptions(**options))


def test_a_clip_keeps_its_times_sound_turn_aspect_tags_chapters_and_words(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.mp4",
        audio=2,
        rotation=90,
        aspect=Fraction(4, 3),
        tags=LIMITED_709,
        chapters=True,
        metadata=(("title", "night"), ("comment", "dark")),
    )
    made = enhance(path, tmp_path / "b.mp4")
    before, after = facts(path), facts(tmp_path / "b.mp4")
    assert made.frames == len(before.times) == 12
    for name in (
        "times",
        "durations",
        "seconds",
        "tags",
        "rotation",
        "aspect",
        "size",
        "streams",
        "chapters",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert len(before.packets) > 100
    assert after.packets == before.packets  # bit for bit
    assert (after.metadata["title"], after.metadata["comment"]) == ("night", "dark")
    assert made.notes == ()
    assert np.mean(after.means) == pytest.approx(2 * np.mean(before.means), rel=0.05)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_every_turn_is_kept(tmp_path: Path, degrees: int) -> None:
    path = make_clip(tmp_path / "a.mp4", rotation=degrees, frames=2)
    enhance(path, tmp_path / "b.mp4")
    assert facts(tmp_path / "b.mp4").rotation == facts(path).rotation != 0


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format", "tags", "to_codec", "to_format"),
    [
        (".mp4", "libx264", "yuv420p", LIMITED_709, "h264", "yuv420p"),
        (".mp4", "libx264", "yuv420p", (2, 6, 6, 6), "h264", "yuvj420p"),
        (".mp4", "libx264", "yuv420p", (1, 9, 9, 14), "h264", "yuv420p"),
        (".mp4", "libx264", "yuv422p", LIMITED_709, "h264", "yuv420p"),
        (".mp4", "libx264", "yuv444p", LIMITED_709, "h264", "yuv420p"),
        (".mp4", "libx264", "yuv420p10le", LIMITED_709, "h264", "yuv420p10le"),
        (".mp4", "libx265", "yuv420p10le", (1, 9, 9, 14), "hevc", "yuv420p10le"),
        (".mkv", "ffv1", "gray", None, "ffv1", "yuv444p"),
        (".mkv", "ffv1", "gray10le", None, "ffv1", "yuv444p10le"),
        (".mkv", "ffv1", "bgr0", None, "ffv1", "yuv444p"),
        (".mov", "prores_ks", "yuv422p10le", LIMITED_709, "prores", "yuv422p10le"),
        (".webm", "libvpx-vp9", "yuv420p", LIMITED_709, "vp9", "yuv420p"),
        (".avi", "mpeg4", "yuv420p", None, "h264", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p", None, "h264", "yuvj420p"),
        (".gif", "gif", "rgb8", None, "h264", "yuv420p"),
    ],
)
def test_formats(
    tmp_path: Path, suffix: str, codec: str, pixel_format: str, tags: Any, to_codec: str, to_format: str
) -> None:
    path = make_clip(tmp_path / f"a{suffix}", codec=codec, pixel_format=pixel_format, tags=tags, frames=3)
    target = tmp_path / ("b" + (suffix if suffix in (".mkv", ".mov", ".webm") else ".mp4"))
    made = enhance(path, target, smooth=0.0)
    before, after = facts(path), facts(target)
    assert (after.codec, after.pixel_format, after.size) == (to_codec, to_format, before.size)
    assert after.times == before.times
    if tags is not None:
        assert after.tags == tags
    assert made.bits == (10 if "10" in to_format else 8)
    assert np.mean(after.means) == pytest.approx(2 * np.mean(before.means), rel=0.06)


@pytest.mark.parametrize(
    ("suffix", "codec", "pixel_format"), [(".mp4", "libx264", "yuv444p"), (".webm", "libvpx-vp9", "yuv420p")]
)
def test_odd_sizes_stay(tmp_path: Path, suffix: str, codec: str, pixel_format: str) -> None:
    path = make_clip(tmp_path / f"a{suffix}", size=(63, 47), codec=codec, pixel_format=pixel_format, frames=3)
    enhance(path, tmp_path / f"b{suffix}")
    assert facts(tmp_path / f"b{suffix}").size == (63, 47)


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", seconds=lambda n: (n * n + 3) / 50, audio=1)
    enhance(path, tmp_path / "b.mp4")
    before, after = facts(path), facts(tmp_path / "b.mp4")
    assert (after.times, after.durations, after.packets) == (before.times, before.durations, before.packets)
    assert len(set(before.durations)) > 5


def test_a_recording_of_a_stream_begins_at_zero_and_keeps_its_distances(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", audio=1)
    enhance(path, tmp_path / "b.mp4")
    before, after = facts(path), facts(tmp_path / "b.mp4")
    begin = min(before.times[0], before.packets[0][1])
    assert begin > 0.1
    assert np.array(after.times, float) == pytest.approx(
        np.array(before.times, float) - float(begin), abs=1e-3
    )
    assert after.packets[0][1] == pytest.approx(0, abs=1e-3)
    assert len(after.packets) == len(before.packets)


def test_one_picture_is_a_clip_and_none_is_not(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.mp4", frames=1)
    assert enhance(one, tmp_path / "b.mp4").frames == 1
    none = make_clip(tmp_path / "none.mp4", frames=0, audio=1)
    with pytest.raises(InputInvalid, match="no moving picture"):
        enhance(none, tmp_path / "c.mp4")
    header = make_clip(tmp_path / "cut.mkv", frames=12)
    header.write_bytes(header.read_bytes()[:700])
    with pytest.raises(InputInvalid):
        enhance(header, tmp_path / "d.mkv", salvage=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.mp4", "cut.mkv", "none.mp4", "one.mp4"]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(tmp_path: Path, transfer: int, name: str) -> None:
    path = make_clip(
        tmp_path / "a.mp4", codec="libx264", pixel_format="yuv420p10le", tags=(1, 9, 9, transfer), frames=2
    )
    with pytest.raises(InputInvalid, match=name):
        enhance(path, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_pictures_left_alone_are_not_touched(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", codec="ffv1", pixel_format="yuv444p", light=lambda n: 0.5, frames=4)
    enhance(path, tmp_path / "b.mkv", Doubler(dark_below=0.0))
    assert facts(tmp_path / "b.mkv").means == facts(path).means


def test_grain_is_averaged_where_that_is_asked_for(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", codec="ffv1", pixel_format="bgr0", frames=10)
    grain = {}
    for average in (0.0, 0.3):
        enhance(path, tmp_path / "b.mkv", smooth=0.0, average=average)
        with av.open(str(tmp_path / "b.mkv")) as clip:
            pictures = [frame.to_ndarray(format="gray") for frame in clip.decode(video=0)]
        grain[average] = np.std(pictures[4:], axis=0).mean()
    assert grain[0.3] < 0.5 * grain[0.0]


def test_a_part_begins_at_zero_and_has_its_sound(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", audio=1, frames=30)
    made = enhance(path, tmp_path / "b.mp4", span=Span(1.0, 1.5))
    before, after = facts(path), facts(tmp_path / "b.mp4")
    assert made.frames == 15
    assert after.times == [Fraction(n, RATE) for n in range(15)]
    wanted = [data for _, at, data in before.packets if 1 <= at < 2.5]
    assert [data for _, _, data in after.packets] == wanted
    assert abs(after.packets[0][1]) < 0.03


def test_a_part_beyond_the_end_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputInvalid, match="in the part that is wanted"):
        enhance(make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4", span=Span(60.0))


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (128, 48)), (90, (64, 96)), (180, (128, 48)), (270, (64, 96))]
)
def test_before_is_on_the_left_as_players_show_it(
    tmp_path: Path, rotation: int, size: tuple[int, int]
) -> None:
    path = make_clip(tmp_path / "a.mp4", rotation=rotation, frames=3)
    enhance(path, tmp_path / "b.mp4", beside=True)
    with av.open(str(tmp_path / "b.mp4")) as clip:
        frame = next(clip.decode(video=0))
    assert (frame.width, frame.height) == size
    shown = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    left, right = np.split(shown, 2, axis=1)
    assert right.mean() > 1.8 * left.mean()


def cut_short(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def faststart(path: Path) -> Path:
    """The clip with its index in front, so that what is missing is pictures."""
    enhance(path, path.with_name(f"fast-{path.name}"), Doubler(dark_below=0.0))
    return path.with_name(f"fast-{path.name}")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_clip_cut_short_is_one_error_or_what_can_be_saved(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    path = make_clip(tmp_path / f"a{suffix}", codec=codec, frames=60)
    path = cut_short(faststart(path) if suffix == ".mp4" else path, 0.6)
    target = tmp_path / f"b{suffix}"
    with pytest.raises(InputInvalid, match="damaged or cut short") as raised:
        enhance(path, target)
    assert "--salvage" in str(raised.value)
    assert not target.exists()
    made = enhance(path, target, salvage=True)
    assert 10 < made.frames < 60
    assert any("damaged" in note for note in made.notes)
    assert len(facts(target).times) == made.frames


def test_an_avi_that_ends_between_two_pictures_is_cut_short(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.avi", codec="mjpeg", pixel_format="yuvj420p", frames=60)
    with av.open(str(path)) as clip:
        begins = [packet.pos for packet in clip.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: begins[30]])
    with pytest.raises(InputInvalid, match="cut short"):
        enhance(path, tmp_path / "b.mp4", smooth=0.0)
    assert enhance(path, tmp_path / "b.mp4", smooth=0.0, salvage=True).frames == 30


def test_a_clip_whose_time_begins_late_is_whole(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", seconds=lambda n: 7 + n / RATE, frames=20)
    enhance(path, tmp_path / "b.mkv")
    assert facts(tmp_path / "b.mkv").times == facts(path).times
    with pytest.raises(InputInvalid, match="cut short"):
        enhance(cut_short(path, 0.4), tmp_path / "c.mkv")


def test_a_tape_of_dv_has_pictures_as_it_has_them_per_second(tmp_path: Path) -> None:
    """FFmpeg gives the clock of DV for its rate, which no encoder takes."""
    path = make_clip(tmp_path / "a.dv", codec="dvvideo", size=(720, 576), frames=2, rate=25)
    enhance(path, tmp_path / "b.mp4", smooth=0.0)
    assert facts(tmp_path / "b.mp4").times == [Fraction(0), Fraction(1, 25)]


def test_damage_in_the_middle_is_one_error_or_passed_over(tmp_path: Path) -> None:
    path = faststart(make_clip(tmp_path / "a.mp4", frames=60))
    data = bytearray(path.read_bytes())
    begin = data.find(b"mdat")
    third = (len(data) - begin) // 3
    data[begin + third : begin + 2 * third] = bytes(third)  # whole packets are gone
    path.write_bytes(data)
    with pytest.raises(InputInvalid, match="damaged"):
        enhance(path, tmp_path / "b.mp4")
    assert enhance(path, tmp_path / "b.mp4", salvage=True).frames > 10


@pytest.mark.parametrize(
    "content", [b"", b"not a clip at all" * 100, b"\x00" * 5000, b"#EXTM3U\n#EXTINF:1,\na.mp4\n"]
)
def test_what_is_no_clip_is_refused(tmp_path: Path, content: bytes) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    path = tmp_path / "b.mp4"
    path.write_bytes(content)
    with pytest.raises(InputInvalid):
        enhance(path, tmp_path / "c.mp4")


def test_a_list_of_other_files_is_not_followed(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    playlist = tmp_path / "list.ffconcat"
    playlist.write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(InputInvalid, match="list of other files"):
        enhance(playlist, tmp_path / "b.mp4")


def test_a_picture_is_none(tmp_path: Path, photo: Callable[..., Path]) -> None:
    with pytest.raises(InputInvalid, match="picture"):
        enhance(photo("a.png"), tmp_path / "b.mp4")


def test_a_missing_clip_and_a_large_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable):
        enhance(tmp_path / "none.mp4", tmp_path / "b.mp4")
    with pytest.raises(InputTooLarge, match="3072"):
        enhance(make_clip(tmp_path / "a.mp4", frames=2), tmp_path / "b.mp4", max_pixels=3000)


def test_pictures_that_grow_beyond_the_limit_are_never_decoded(tmp_path: Path) -> None:
    small, large = (make_clip(tmp_path / f"{side}.h264", size=(side, side), frames=4) for side in (32, 256))
    path = tmp_path / "a.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(InputInvalid, match="size of its pictures changes"):
        enhance(path, tmp_path / "b.mp4")
    with pytest.raises(InputInvalid, match="damaged"):
        enhance(path, tmp_path / "b.mp4", max_pixels=10_000)
    with open_clip(path, max_pixels=10_000, salvage=True) as source:
        assert {item.frame.width for item in source.items() if isinstance(item, Moment)} == {32}


def test_a_container_that_does_not_hold_the_sound_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", audio=1)
    with pytest.raises(OutputUnwritable, match="sound") as raised:
        enhance(path, tmp_path / "b.webm")
    assert "mkv" in str(raised.value)
    assert enhance(path, tmp_path / "b.mkv").frames == 12
    assert [data for *_, data in facts(tmp_path / "b.mkv").packets] == [
        data for *_, data in facts(path).packets
    ]


def rich(path: Path) -> Path:
    """A clip whose sound comes first, with subtitles and a font."""
    with av.open(str(path.with_suffix(".mp4"))) as clip, av.open(str(path), "w") as out:
        order = [*clip.streams.audio, *clip.streams.video]
        copies = {each.index: out.add_stream_from_template(each, opaque=True) for each in order}
        subtitles: Any = out.add_mux_stream("subrip")
        subtitles.metadata["language"] = "fra"
        out.add_attachment("font.ttf", "application/x-truetype-font", b"no font" * 9)
        for packet in clip.demux(order):
            if packet.size:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
        for number in range(2):
            line: Any = av.Packet(f"line {number}".encode())
            line.stream, line.time_base = subtitles, Fraction(1, 1000)
            line.pts = line.dts = number * 500
            line.duration = 400
            out.mux(line)
    return path


def test_subtitles_and_fonts_are_copied_where_the_container_holds_them(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", audio=1)
    path = rich(tmp_path / "a.mkv")
    made = enhance(path, tmp_path / "b.mkv")
    before, after = facts(path), facts(tmp_path / "b.mkv")
    assert made.notes == ()
    assert made.frames == 12  # also where pictures are not the first stream
    assert sorted(data for *_, data in after.packets) == sorted(data for *_, data in before.packets)
    assert {each[:2] for each in after.streams} == {each[:2] for each in before.streams}
    made = enhance(path, tmp_path / "b.mp4")
    assert [note.partition(": ")[2] for note in made.notes] == ["subtitle (srt)", "attachment (unknown)"]
    assert [data for _, _, data in facts(tmp_path / "b.mp4").packets] == [
        data for number, _, data in before.packets if before.streams[number][0] == "audio"
    ]


def test_words_of_a_phone_are_kept(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mov")
    words = {"title": "night", "com.apple.quicktime.model": "phone", "com.apple.quicktime.make": "maker"}
    with (
        av.open(str(plain)) as clip,
        av.open(str(tmp_path / "a.mov"), "w", options={"movflags": "use_metadata_tags"}) as out,
    ):
        out.metadata.update(words)
        copy = out.add_stream_from_template(clip.streams.video[0], opaque=True)
        for packet in clip.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    enhance(tmp_path / "a.mov", tmp_path / "b.mov")
    found = facts(tmp_path / "b.mov").metadata
    assert {name: found.get(name) for name in words} == words


def test_codec_quality_and_speed_can_be_chosen(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    small = tmp_path / "small.mp4"
    enhance(path, small, encoding=Encoding("hevc", 50, "ultrafast"))
    enhance(path, tmp_path / "large.mp4", encoding=Encoding("hevc", 5, "ultrafast"))
    assert facts(small).codec == "hevc"
    assert small.stat().st_size < (tmp_path / "large.mp4").stat().st_size
    with pytest.raises(OutputUnwritable, match="encoded"):
        enhance(path, tmp_path / "c.mp4", encoding=Encoding("h264", preset="nonsense"))
    with pytest.raises(UsageError, match="h265"):
        Encoding("h265")
    with pytest.raises(UsageError, match="webm"):
        enhance(path, tmp_path / "d.webm", encoding=Encoding("h264"))
    assert not any((tmp_path / name).exists() for name in ("c.mp4", "d.webm"))


def test_an_mp4_begins_with_its_index_so_that_browsers_start_at_once(tmp_path: Path) -> None:
    enhance(make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_what_fails_while_rendering_leaves_nothing_and_no_thread(tmp_path: Path) -> None:
    class Failing(Doubler):
        def render(self, photo: Photo, look: Look) -> Photo:
            if len(self.rendered) == 4:
                raise MemoryError
            return super().render(photo, look)

    path = make_clip(tmp_path / "a.mp4", audio=1, frames=30)
    threads = threading.active_count()
    with pytest.raises(MemoryError):
        enhance(path, tmp_path / "b.mp4", Failing(), smooth=0.0)
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("size", "factor"), [((1280, 720), 1), ((1920, 1080), 2), ((3840, 2160), 3), ((7680, 4320), 4)]
)
def test_large_pictures_are_seen_reduced(size: tuple[int, int], factor: int) -> None:
    assert automatic_factor(*size) == factor


def test_only_pictures_and_streams_that_are_wanted_are_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", audio=2, chapters=True)
    with open_clip(path) as source:
        assert [each.type for each in source.others] == ["audio", "audio"]
        assert source.expected == 12
        assert source.coding.matrix == "BT.601"


NURSERY = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from video.test_clip import enhance
source, target = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(2):  # the first loads what the forked ones have then
    start = time.perf_counter()
    enhance(source, source.with_name("warm.mp4"), smooth=0.2)
print(time.perf_counter() - start, flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        while True:
            enhance(source, target, smooth=0.2)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""
"""Forks a process that writes one clip again and again, and kills it after the seconds that a line names."""


def check_kills(tmp_path: Path, kills: int) -> None:
    """Whatever is there after each kill is whole."""
    path = make_clip(tmp_path / "in" / "a.mp4", audio=1, frames=10)
    target = tmp_path / "out" / "b.mp4"
    target.parent.mkdir()
    random = np.random.default_rng(0)
    script = NURSERY.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", script, str(path), str(target)]
    seen = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        takes = float(nursery.stdout.readline())
        for _ in range(kills):
            print(random.uniform(0, 3 * takes), file=nursery.stdin, flush=True)
            assert nursery.stdout.readline() == "killed\n"
            # A result that replaces another one has a hidden name for a moment, when it is whole.
            for found in target.parent.iterdir():
                seen += found == target
                assert found == target or found.name.startswith(".b.mp4.")
                assert len(facts(found).times) == 10
                found.unlink()
        nursery.stdin.close()
    assert kills < 10 or 0 < seen < kills


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a partial file keeps a hidden name")
def test_a_killed_process_leaves_no_half_clip(tmp_path: Path) -> None:
    check_kills(tmp_path, 8)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a partial file keeps a hidden name")
def test_many_killed_processes_leave_no_half_clip(tmp_path: Path) -> None:
    check_kills(tmp_path, int(os.environ.get("RELUME_KILLS", "60")))


PEAK = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from video.test_clip import enhance
enhance(Path(sys.argv[1]), Path(sys.argv[2]))
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""


def peak(path: Path) -> int:
    """Most KiB of memory of a process that enhances a clip; `ru_maxrss` would count what started it, too."""
    script = PEAK.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", script, str(path), str(path.with_suffix(".out.mp4"))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    short, long = (
        make_clip(tmp_path / f"{seconds}.mp4", size=(160, 120), frames=seconds * RATE, audio=1)
        for seconds in (10, 60)
    )
    peaks = [peak(each) for each in (short, long)]
    assert peaks[1] < 1.05 * peaks[0], peaks
