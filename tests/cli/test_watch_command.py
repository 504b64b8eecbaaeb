"""`relume watch`: photos that come into a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relume.jobs.plan import Job
from relume.jobs.watch import Arrivals
from shared import Result, digest

pytest.importorskip("watchfiles")

Photo = Callable[..., Path]
SOURCE = Path(__file__).resolve().parents[2] / "src"


@contextmanager
def watching(
    folder: Path, *options: object, end: int = signal.SIGTERM
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A watch of `folder / "in"` in a process of its own, and what it has said in the end."""
    command = [
        sys.executable,
        "-m",
        "relume",
        "watch",
        folder / "in",
        "-o",
        folder / "out",
        "--settle",
        "0.4",
    ]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*map(str, command), "--threads", "1", *map(str, options)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        said: list[str] = []
        try:
            yield process, said
        finally:
            process.send_signal(end)
            try:
                said += process.communicate(timeout=20)[1].splitlines()
            finally:
                process.kill()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


def test_photos_are_enhanced_when_they_are_complete(
    photo: Photo, relume: Callable[..., Result], tmp_path: Path
) -> None:
    whole = photo("whole.png", size=(60, 80))
    photo("in/there.jpg")
    expected = tmp_path / "expected.png"
    assert relume("enhance", whole, "-o", expected, "--threads", 1).code == 0
    with watching(tmp_path) as (process, said):
        wait_for(tmp_path / "out/there.jpg")
        data = whole.read_bytes()
        with (tmp_path / "in/slow.png").open("wb") as slow:
            for at in range(0, len(data), len(data) // 4):
                slow.write(data[at : at + len(data) // 4])
                slow.flush()
                time.sleep(0.2)
                assert not (tmp_path / "out/slow.png").exists()
        (tmp_path / "in/broken.jpg").write_bytes(b"\xff\xd8\xff broken")
        wait_for(tmp_path / "out/slow.png")
        photo("in/last.jpg")
        wait_for(tmp_path / "out/last.jpg")
    assert process.returncode == 0
    assert digest(tmp_path / "out/slow.png") == digest(expected)
    assert sum("broken.jpg" in line for line in said) == 1
    assert not any("slow.png: " in line for line in said)  # no failure of an incomplete file
    assert said[-1] in ("2 done, 1 failed", "3 done, 1 failed")  # the last is there before it is counted
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["last.jpg", "slow.png", "there.jpg"]


def test_a_watch_that_was_killed_goes_on_where_it_was(photo: Photo, tmp_path: Path) -> None:
    for number in range(4):
        photo(f"in/{number}.jpg", size=(400, 500), seed=number)
    with watching(tmp_path, end=signal.SIGKILL):
        wait_for(tmp_path / "out/0.jpg")
    first = (tmp_path / "out/0.jpg").stat()
    photo("in/new.jpg")
    with watching(tmp_path, "--json") as (process, _):
        for name in ("1", "2", "3", "new"):
            wait_for(tmp_path / f"out/{name}.jpg")
        shutil.copy(tmp_path / "in/1.jpg", tmp_path / "in/new.jpg")
        lines = ""
        while lines.count("new.jpg") < 4:  # input and output, twice
            assert process.stdout is not None
            lines += process.stdout.readline()
    assert (tmp_path / "out/0.jpg").stat().st_mtime_ns == first.st_mtime_ns
    assert '"status": "ok"' in lines
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_text(photo: Photo, tmp_path: Path) -> None:
    photo("in/first.jpg")
    with watching(tmp_path) as (process, _):
        wait_for(tmp_path / "out/first.jpg")
        name = os.fsdecode(b"b\xffd.jpg")
        photo("odd.jpg").rename(tmp_path / "in" / name)
        wait_for(tmp_path / "out" / name)
        photo("in/last.jpg")
        wait_for(tmp_path / "out/last.jpg")
    assert process.returncode == 0


def test_a_watch_needs_two_folders(relume: Callable[..., Result], photo: Photo, tmp_path: Path) -> None:
    file = photo("in/a.jpg")
    assert relume("watch", tmp_path / "in", "-o", tmp_path / "in/").code == 2
    assert relume("watch", file, "-o", tmp_path / "out").code == 3
    assert relume("watch", tmp_path / "in").code == 2


def test_a_place_for_results_that_is_none_is_told_at_once(
    relume: Callable[..., Result], photo: Photo, tmp_path: Path
) -> None:
    """Not when the first photo comes."""
    folder = photo("in/a.jpg").parent
    (folder / "a.jpg").unlink()
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere" / "deep")
    for place in ("file", "file/out", "gone", "/proc/relume"):
        assert relume("watch", folder, "-o", tmp_path / place).code == 7, place


def test_a_system_that_tells_of_no_changes_is_an_error_with_a_remedy(
    relume: Callable[..., Result], photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> Iterator[set[object]]:
        raise OSError(28, "OS file watch limit reached.")
        yield set()

    monkeypatch.setattr("watchfiles.watch", exhausted)
    result = relume("watch", photo("in/a.jpg").parent, "-o", tmp_path / "out")
    assert result.code == 14
    assert "WATCHFILES_FORCE_POLLING" in result.err


def test_a_photo_is_done_when_its_place_is_there_again(
    relume: Callable[..., Result], photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood in the way of a result is gone later, while the photo has not changed."""
    in_the_way = tmp_path / "out" / "a.jpg"
    in_the_way.mkdir(parents=True)

    refused: list[Job] = []
    again = Arrivals.again

    def heard(arrivals: Arrivals, job: Job) -> None:
        refused.append(job)
        again(arrivals, job)

    def quiet(*_: object, **__: object) -> Iterator[set[object]]:
        limit = time.monotonic() + 30
        while not in_the_way.is_file() and time.monotonic() < limit:
            time.sleep(0.05)
            if refused and in_the_way.is_dir():
                in_the_way.rmdir()
            yield set()
        yield set()
        raise KeyboardInterrupt

    monkeypatch.setattr(Arrivals, "again", heard)
    monkeypatch.setattr("watchfiles.watch", quiet)
    monkeypatch.setattr("relume.jobs.watch._AGAIN", 0.3)
    result = relume(
        *("watch", photo("in/a.jpg").parent, "-o", tmp_path / "out", "--settle", 0.1, "--threads", 1)
    )
    assert in_the_way.is_file()
    assert "a folder, not a file" in result.err
    assert "1 done" in result.err
