"""`relume video`, and `relume evaluate` for clips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from PIL import Image

from relume.errors import ExitCode
from shared import Result, digest
from video.clips import make_clip

Run = Callable[..., Result]


def test_a_clip_gets_a_bright_one_beside_it(tmp_path: Path, relume: Run) -> None:
    clip = make_clip(tmp_path / "night.mp4", audio=1, frames=5)
    before = digest(clip)
    done = relume("video", clip, "--plot", tmp_path / "plot.png", "--json")
    assert done.code == 0, done.err
    (line,) = done.lines
    assert line["output"] == str(tmp_path / "night.relume.mp4")
    assert (line["status"], line["frames"], line["width"], line["height"], line["bits"]) == (
        "ok",
        5,
        64,
        48,
        8,
    )
    assert digest(clip) == before
    assert sorted(os.listdir(tmp_path)) == ["night.mp4", "night.relume.mp4", "plot.png"]  # noqa: PTH208
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.size == (1000, 420)
        assert len(np.unique(np.asarray(plot).reshape(-1, 3), axis=0)) > 10
    assert "pictures" in done.err


def test_folders_are_mirrored_and_results_left_alone(tmp_path: Path, relume: Run) -> None:
    make_clip(tmp_path / "in" / "a.avi", codec="mpeg4", frames=2)
    make_clip(tmp_path / "in" / "deep" / "b.mkv", frames=2)
    (tmp_path / "in" / "notes.txt").write_text("no clip")
    arguments = ("video", tmp_path / "in", "-o", tmp_path / "out", "-r", "--skip-existing", "--smooth", "0")
    first = relume(*arguments, "--json")
    assert first.code == 0, first.err
    assert (tmp_path / "out" / "a.mp4").exists()
    assert (tmp_path / "out" / "deep" / "b.mkv").exists()
    again = relume(*arguments, "--json")
    assert [line["status"] for line in again.lines] == ["skipped", "skipped"]


def test_results_and_previews_of_other_clips_are_left_out_with_a_word(tmp_path: Path, relume: Run) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    for name in ("a.relume.mp4", "a.preview.relume.mp4"):
        make_clip(tmp_path / name, frames=2)
    clips = [tmp_path / name for name in ("a.mp4", "a.relume.mp4", "a.preview.relume.mp4")]
    done = relume("video", *clips, "--json")
    assert done.code == 0, done.err
    assert [line["input"] for line in done.lines] == [str(tmp_path / "a.mp4")]
    assert "a.relume.mp4 and 1 more left out: results of other inputs" in done.err


def test_one_file_takes_no_second_clip(tmp_path: Path, relume: Run) -> None:
    clips = [make_clip(tmp_path / name, frames=2) for name in ("a.mp4", "a.relume.mp4", "b.mp4")]
    for others in (clips[1:2], clips[2:]):
        refused = relume("video", clips[0], *others, "-o", tmp_path / "one.mp4")
        assert refused.code == ExitCode.USAGE
        assert refused.err.count("\n") == 1
        assert "this is a file's name" in refused.err
    assert not (tmp_path / "one.mp4").exists()
    twice = relume("video", clips[0], tmp_path / "." / "a.mp4", "-o", tmp_path / "one.mp4", "--json")
    assert twice.code == 0, twice.err
    assert len(twice.lines) == 1


def test_a_preview_is_short_and_has_a_name_of_its_own(tmp_path: Path, relume: Run) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    done = relume("video", clip, "--preview", "0.5", "--start", "0.3", "--json", "-q")
    assert done.code == 0, done.err
    (line,) = done.lines
    assert (line["frames"], line["output"]) == (5, str(tmp_path / "a.preview.relume.mp4"))
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preview", "5", "--duration", "3"], "--preview"),
        (["--smooth", "-1"], "smooth"),
        (["--average", "-1"], "average"),
        (["--start", "-1"], "start"),
        (["--duration", "0"], "duration"),
        (["--codec", "h266"], "h266"),
        (["--crf", "99"], "crf"),
        (["--format", "avi"], "avi"),
        (["--plot", "plot.pdf"], ".png"),
        (["--downsample", "7"], "downsample"),
        (["-o", ""], "empty"),
    ],
)
def test_options_that_make_no_sense_are_told(
    tmp_path: Path, relume: Run, arguments: list[str], said: str
) -> None:
    done = relume("video", make_clip(tmp_path / "a.mp4", frames=1), *arguments)
    assert done.code == ExitCode.USAGE
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_one_broken_clip_does_not_stop_the_others(tmp_path: Path, relume: Run) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip at all")
    make_clip(tmp_path / "b.mp4", frames=2)
    done = relume("video", tmp_path, "--json", "--smooth", "0")
    assert done.code == ExitCode.BATCH_PARTLY_FAILED
    assert [line["status"] for line in done.lines] == ["failed", "ok"]
    assert done.lines[0]["error"]["code"] == ExitCode.INPUT_INVALID
    assert "a.mp4" in done.err


def test_an_input_is_never_overwritten(tmp_path: Path, relume: Run) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=1)
    before = digest(clip)
    done = relume("video", clip, "-o", clip)
    assert done.code == ExitCode.OUTPUT_EXISTS
    assert digest(clip) == before


@pytest.mark.parametrize("way", ["a link as output", "a link as input"])
def test_an_input_is_not_overwritten_through_a_link(tmp_path: Path, relume: Run, way: str) -> None:
    clip, link = make_clip(tmp_path / "a.mp4", frames=1), tmp_path / "link.mp4"
    link.symlink_to(clip)
    before = digest(clip)
    source, target = (clip, link) if way == "a link as output" else (link, clip)
    assert relume("video", source, "-o", target).code == ExitCode.OUTPUT_EXISTS
    assert digest(clip) == before


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("x.gif", ExitCode.USAGE, "relume writes no .gif clips"),
        ("x.avi", ExitCode.USAGE, "relume writes no .avi clips"),
        ("x.txt", ExitCode.USAGE, "relume writes no .txt clips"),
        ("a.mp4/x.mp4", ExitCode.OUTPUT_UNWRITABLE, "there is a file of that name"),
    ],
)
def test_an_output_that_cannot_be_is_one_error(
    tmp_path: Path, relume: Run, output: str, code: ExitCode, said: str
) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=1)
    done = relume("video", clip, "-o", tmp_path / output)
    assert (done.code, len(done.err.splitlines())) == (code, 1), done.err
    assert said in done.err
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_two_clips_are_not_written_into_one(tmp_path: Path, relume: Run) -> None:
    clips = [make_clip(tmp_path / name, frames=1) for name in ("a.mp4", "b.mp4")]
    done = relume("video", *clips, "-o", tmp_path / "c.mp4")
    assert done.code == ExitCode.USAGE
    assert "the results need a folder" in done.err
    assert not (tmp_path / "c.mp4").exists()


@pytest.mark.parametrize("output", ["2026.11", "results"])
def test_a_name_without_the_ending_of_a_file_is_a_folder(tmp_path: Path, relume: Run, output: str) -> None:
    done = relume("video", make_clip(tmp_path / "a.mp4", frames=1), "-o", tmp_path / output)
    assert done.code == 0, done.err
    assert (tmp_path / output / "a.mp4").is_file()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that takes no files, as Linux has it")
def test_a_folder_that_takes_no_files_is_told(tmp_path: Path, relume: Run) -> None:
    done = relume("video", make_clip(tmp_path / "a.mp4", frames=1), "-o", "/proc/x.mp4")
    assert done.code == ExitCode.OUTPUT_UNWRITABLE
    assert "the folder /proc takes no files" in done.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_no_clip_and_is_not_waited_for(tmp_path: Path, relume: Run) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    done = relume("video", tmp_path / "pipe.mp4", "-o", tmp_path / "x.mp4")
    assert done.code == ExitCode.INPUT_UNREADABLE
    assert "this is a pipe or a device, not a clip" in done.err


def test_without_its_extra_the_remedy_is_told(
    tmp_path: Path, relume: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    done = relume("video", tmp_path)
    assert done.code == ExitCode.MISSING_EXTRA
    assert ".[video]" in done.err


BEGUN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a script's background has it ignored
from relume.cli import main
from relume.video.encode import Writer

def picture(writer, *arguments, encode=Writer.picture):
    print("begun", flush=True)
    Writer.picture = encode
    encode(writer, *arguments)

Writer.picture = picture
main()
"""
"""The command line, which says when it has its first picture."""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(tmp_path: Path, number: int) -> None:
    clip = make_clip(tmp_path / "in" / "a.mp4", frames=400, audio=1)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", BEGUN, "video", str(clip), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, said
    assert said.strip().endswith("relume: interrupted.")
    assert list((tmp_path / "out").iterdir()) == []


def test_clips_are_measured(tmp_path: Path, relume: Run) -> None:
    pytest.importorskip("cv2")
    dark = make_clip(tmp_path / "dark.mkv", codec="ffv1", pixel_format="bgr0", frames=6, light=lambda n: 0.08)
    bright = make_clip(
        tmp_path / "bright.mkv", codec="ffv1", pixel_format="bgr0", frames=6, light=lambda n: 0.4
    )
    done = relume("evaluate", dark, bright, "--strength", "auto", "--json")
    assert done.code == 0, done.err
    scores = json.loads(done.out)
    assert set(scores) == {"input", "photo"}
    assert scores["photo"]["psnr"] > scores["input"]["psnr"] + 5
    assert scores["photo"]["frames"] == 6
    assert scores["photo"]["warping"] > 0
    table = relume("evaluate", dark, "--pred", bright)
    assert table.code == 0, table.err
    assert "flicker" in table.out.decode()


def test_clips_of_two_lengths_are_not_compared(tmp_path: Path, relume: Run) -> None:
    pytest.importorskip("cv2")
    three, five = (make_clip(tmp_path / f"{n}.mp4", frames=n) for n in (3, 5))
    for first, second in ((three, five), (five, three)):
        done = relume("evaluate", first, second, "--pred", first)
        assert done.code == ExitCode.DATA
        assert "pictures than the result" in done.err
