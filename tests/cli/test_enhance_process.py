"""`relume enhance` as a process: killed, piped, and with a full disk."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from relume.errors import ExitCode
from relume.files import read_at_most
from relume.photo import read_photo
from shared import digest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
RELUME = [sys.executable, "-c", "from relume.cli import main; main()"]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 photos, the same picture to spare time, each large enough to be met half-way."""
    folder = tmp_path_factory.mktemp("in")
    for number in range(50):
        Image.effect_noise((130, 100), 20).convert("RGB").point(lambda value: value // 5).save(
            folder / f"{number:02}.png"
        )
    return folder


IN_FRONT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
"""Tests that run in the background of a script start with interrupts ignored, and pass that on."""


def start(*arguments: object, before: str = "") -> subprocess.Popen[bytes]:
    command = [*RELUME[:2], IN_FRONT + before + RELUME[2], "enhance", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def stop_after(process: subprocess.Popen[bytes], out: Path, count: int, number: signal.Signals) -> bytes:
    """Send the signal once `count` results are there; returns what was printed."""
    deadline = time.monotonic() + 60
    while not out.is_dir() or len(list(out.glob("[!.]*"))) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    return process.communicate(timeout=60)[1]


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_batch_leaves_whole_files_and_goes_on(
    folder: Path, tmp_path: Path, number: signal.Signals, nameless: bool
) -> None:
    out = tmp_path / "out"
    as_elsewhere = "" if nameless else "import os; vars(os).pop('O_TMPFILE', None);"
    process = start(folder, "-o", out, "--threads", 1, before=as_elsewhere)
    said = stop_after(process, out, 7, number)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else ExitCode.INTERRUPTED)
    assert b"Traceback" not in said
    assert (number == signal.SIGKILL) or said.endswith(b"relume: interrupted.\n")
    done = {path: path.stat().st_mtime_ns for path in out.iterdir() if not path.name.startswith(".")}
    assert 7 <= len(done) < 50
    for path in done:
        assert read_photo(path).width == 130
    hidden = [path for path in out.iterdir() if path not in done]
    if number != signal.SIGKILL or (nameless and hasattr(os, "O_TMPFILE")):
        assert hidden == []

    if not nameless:
        return
    again = start(folder, "-o", out, "--skip-existing", "-q")
    assert (again.communicate(timeout=120)[1], again.returncode) == (b"", 0)
    assert {path.name for path in out.glob("[!.]*")} == {path.name for path in folder.iterdir()}
    for path in out.glob("[!.]*"):
        assert read_photo(path).width == 130
        assert done.get(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns


def test_a_full_disk(photo: Make, tmp_path: Path) -> None:
    paths = [photo(f"{name}.png", size=(60, 70)) for name in "ab"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").write_bytes(b"old")
    before = [digest(path) for path in paths]
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    )
    command = [RELUME[0], "-c", limited + RELUME[2], "enhance"]
    one = subprocess.run(
        [*command, paths[0], "-o", tmp_path / "out" / "new.png"], capture_output=True, text=True
    )
    assert one.returncode == ExitCode.OUTPUT_UNWRITABLE
    assert one.stderr.count("\n") == 1
    assert "new.png" in one.stderr
    many = subprocess.run([*command, *paths, "-o", tmp_path / "out"], capture_output=True, text=True)
    assert many.returncode == ExitCode.BATCH_PARTLY_FAILED
    assert many.stderr.count("\n") == 3  # one a photo, and the summary
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
    assert (tmp_path / "out" / "b.png").read_bytes() == b"old"
    assert [digest(path) for path in paths] == before


def test_a_closed_stdin() -> None:
    command = ["bash", "-c", '"$@" <&-', "bash", *RELUME, "enhance", "-", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == ExitCode.INPUT_UNREADABLE
    assert done.stderr.startswith("relume: stdin: ")


@pytest.mark.parametrize("mebibytes", [120, 300, 540])
def test_a_limit_of_memory_that_no_photo_fits_in(photo: Make, tmp_path: Path, mebibytes: int) -> None:
    script = f'ulimit -v {mebibytes << 10}; "$@"'
    command = ["bash", "-c", script, "bash", *RELUME, "enhance", photo("a.png"), "-o", tmp_path / "b.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (ExitCode.RESOURCES, "")
    assert done.stderr.count("\n") == 1
    assert f"{mebibytes} MiB" in done.stderr
    assert "ulimit -v" in done.stderr


def test_a_current_folder_that_is_gone(photo: Make, tmp_path: Path) -> None:
    path, gone = photo("night.png"), tmp_path / "gone"
    script = f'mkdir "{gone}"; cd "{gone}"; rmdir "{gone}"; "$@"'

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", script, "bash", *RELUME, "enhance", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    relative = run("night.png")
    assert relative.returncode == ExitCode.INPUT_UNREADABLE
    assert relative.stderr == "relume: .: the current folder is gone. Change to one that exists.\n"
    assert run(path, "-o", tmp_path / "new.png").returncode == 0


def test_a_job_in_the_background_takes_no_interrupt(folder: Path, tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    process = start(folder, "-o", tmp_path / "out", "-q", before=deaf)
    stop_after(process, tmp_path / "out", 2, signal.SIGINT)
    assert process.returncode == 0


@needs_full
@pytest.mark.parametrize("arguments", [["-", "-o", "-"], ["PHOTO", "--json", "-q"]])
def test_stdout_that_takes_nothing(photo: Make, arguments: list[str]) -> None:
    path = photo("night.png")
    arguments = [str(path) if argument == "PHOTO" else argument for argument in arguments]
    with path.open("rb") as stdin, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*RELUME, "enhance", *arguments], stdin=stdin, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == ExitCode.OUTPUT_UNWRITABLE
    assert done.stderr.startswith("relume: stdout: ")
    assert done.stderr.count("\n") == 1


@needs_full
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2>&1 | true", "2>&1 >/dev/null | true"])
def test_a_report_that_nobody_reads_stops_nothing(photo: Make, tmp_path: Path, how: str) -> None:
    paths = [photo(name) for name in ("a.png", "b.png")]
    script = f'set -o pipefail; "$@" {how}'
    command = ["bash", "-c", script, "bash", *RELUME, "enhance", *paths, "-o", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    for path in paths:
        assert read_photo(tmp_path / "out" / path.name).rgb_HWC.mean() > read_photo(path).rgb_HWC.mean()


@needs_full
@pytest.mark.parametrize("how", [">&-", ">/dev/full", "| true"])
def test_lines_that_nobody_reads_are_told_at_the_end(photo: Make, tmp_path: Path, how: str) -> None:
    paths = [photo(name) for name in ("a.png", "b.png")]
    script = f'set -o pipefail; "$@" {how}'
    command = [
        "bash",
        "-c",
        script,
        "bash",
        *RELUME,
        "enhance",
        *paths,
        "-o",
        tmp_path / "out",
        "--json",
        "-q",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == ExitCode.OUTPUT_UNWRITABLE
    assert done.stderr.startswith("relume: stdout: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


@needs_full
def test_an_error_that_nobody_reads_keeps_its_code(photo: Make) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*RELUME, "enhance", photo("a.png"), "--quality", "0"], stderr=full)
    assert done.returncode == ExitCode.USAGE


def test_a_reader_that_goes_away(photo: Make) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with photo("night.png").open("rb") as stdin, os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            [*RELUME, "enhance", "-"], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == ExitCode.OUTPUT_UNWRITABLE
    assert done.stderr.startswith("relume: stdout: ")
    assert done.stderr.count("\n") == 1


def test_names_that_are_no_text(photo: Make, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 [bold].jpg")
    try:
        photo("a.jpg").rename(odd)
    except OSError:
        pytest.skip("this file system takes text only")
    done = subprocess.run([*RELUME, "enhance", odd, "--json"], capture_output=True)
    assert done.returncode == 0
    assert read_photo(tmp_path / os.fsdecode(b"caf\xe9 [bold].relume.jpg")).width == 32
    assert subprocess.run([*RELUME, "enhance", f"{odd}.png"]).returncode == ExitCode.INPUT_UNREADABLE


FEW_FILES = """
import os, resource, sys
from relume import read_photo
from relume.errors import OutOfResources
from relume.photo import opened
opened._AT_ONCE = -1  # as with large files
for path in sys.argv[1:]:
    read_photo(path)  # loads what loads late
taken = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for path in sys.argv[1:]:
    try:
        read_photo(path)
        print("read")
    except OutOfResources:
        print("no files")
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of descriptors here")
def test_few_open_files_are_no_damage(photo: Make) -> None:
    """libvips would read from a copy of the descriptor that could not be made, and find the file cut off."""
    paths = [photo(name) for name in ("a.png", "b.webp", "c.tif")]
    done = subprocess.run([sys.executable, "-c", FEW_FILES, *paths], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("no files\n" * 3, "")


def test_a_stream_is_read_by_pieces() -> None:
    """One call would reserve as much memory as the largest photo takes."""
    asked: list[int] = []

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

    data = bytes(range(256)) * 10_000
    for most in (0, 1, 50, len(data), 512 << 20):
        assert read_at_most(Stream(data), most) == data[:most]
    assert min(asked) >= 0
    assert max(asked) <= 1 << 20
