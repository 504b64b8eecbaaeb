"""A batch that is ended in any way goes on from its manifest, and does nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relume.errors import ExitCode, InputInvalid, InputUnreadable, UsageError
from relume.jobs.batch import Outcome
from relume.jobs.manifest import Manifest, settings_of
from relume.jobs.plan import Job
from shared import Result, digest

Make = Callable[..., Path]
Run = Callable[..., Result]
SOURCE = Path(__file__).resolve().parents[2] / "src"


def job(name: str) -> Job:
    return Job(Path("in", name), Path("out", name))


def ok(name: str) -> Outcome:
    return Outcome(job(name), "ok", 0.5, length=3, sha256="ab")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def jobs() -> list[Job]:
    return [job(f"{number}.png") for number in range(4)]


def test_what_is_done_is_left_out(tmp_path: Path, jobs: list[Job]) -> None:
    path = tmp_path / "deep" / "manifest.jsonl"
    manifest = Manifest.open(path, "one")
    assert manifest.keep(jobs, []) == jobs
    manifest.add(ok("0.png"))
    manifest.add(ok("1.png"))
    manifest.add(Outcome(jobs[2], "failed", error=InputUnreadable("is gone", "Look.", path="in/2.png")))
    manifest.close()
    assert [row["code"] for row in lines(path)] == [0, 0, ExitCode.INPUT_UNREADABLE]
    assert lines(path)[2]["error"] == "in/2.png: is gone. Look."
    again = Manifest.open(path, "one")
    left = again.keep(jobs, ["out/0.png", "out/2.png"])  # the result of 1 is gone
    again.close()
    assert left == [jobs[1], jobs[2], jobs[3]]
    assert [row["path"] for row in lines(path)] == ["in/0.png"]


def test_other_settings_and_other_inputs_do_not_count(tmp_path: Path, jobs: list[Job]) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest.open(path, settings_of({"strength": 1}))
    manifest.add(ok("0.png"))
    manifest.close()
    other = Manifest.open(path, settings_of({"strength": 0.5}))
    assert other.others == 1
    assert other.keep(jobs, ["out/0.png"]) == jobs
    other.add(ok("0.png"))
    other.close()
    same = Manifest.open(path, settings_of({"strength": 0.5}))
    moved = Job(Path("elsewhere", "0.png"), jobs[0].target)
    assert same.keep([moved], ["out/0.png"]) == [moved]
    same.close()


@pytest.mark.parametrize("cut", range(2, 60, 7))
def test_a_torn_line_is_only_done_again(tmp_path: Path, jobs: list[Job], cut: int) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest.open(path, "one")
    manifest.keep(jobs, [])
    for name in ("0.png", "1.png"):
        manifest.add(ok(name))
    manifest.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Manifest.open(path, "one")
    assert again.keep(jobs, ["out/0.png", "out/1.png"]) == jobs[1:]
    again.add(ok("1.png"))
    again.close()
    assert [row["path"] for row in lines(path)] == ["in/0.png", "in/1.png"]


@pytest.mark.parametrize("content", [b"a letter\nto a friend\n", b"[1]\n", b'{"path": 1}\n{}\n'])
def test_a_file_that_is_no_manifest_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious.txt"
    path.write_bytes(content)
    with pytest.raises(InputInvalid, match="not a manifest"):
        Manifest.open(path, "one")
    assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_two_batches_do_not_write_one_manifest(tmp_path: Path, jobs: list[Job]) -> None:
    manifest = Manifest.open(tmp_path / "manifest.jsonl", "one")
    for _ in range(2):  # before its lines are gone through, and afterwards
        with pytest.raises(UsageError, match="another batch"):
            Manifest.open(tmp_path / "manifest.jsonl", "one")
        manifest.keep(jobs, [])
    manifest.close()
    Manifest.open(tmp_path / "manifest.jsonl", "one").close()


def test_the_command_goes_on_from_its_manifest(relume: Run, photo: Make, tmp_path: Path) -> None:
    for number in range(3):
        photo(f"in/sub/{number}.png", seed=number)
    (tmp_path / "in/damaged.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "out"
    command = ("batch", tmp_path / "in", out, "-r", "--workers", 2)
    first = relume(*command, "--json")
    assert first.code == ExitCode.BATCH_PARTLY_FAILED
    assert "3 done, 0 left alone, 1 failed" in first.err
    rows = lines(out / "manifest.jsonl")
    assert sorted(row["status"] for row in rows) == ["failed", "ok", "ok", "ok"]
    for row in rows:
        if row["status"] == "ok":
            assert row["size"] == Path(row["output"]).stat().st_size
            assert row["sha256"] == digest(Path(row["output"]))
    alone = tmp_path / "alone"
    relume("enhance", tmp_path / "in", "-o", alone, "-r", "-q")
    for number in range(3):
        assert digest(alone / f"sub/{number}.png") == digest(out / f"sub/{number}.png")
    (out / "sub/1.png").unlink()
    before = (out / "sub/0.png").stat().st_mtime_ns
    again = relume(*command, "--json")
    assert [Path(line["input"]).name for line in again.lines if line["status"] == "ok"] == ["1.png"]
    assert "2 done before, left alone" in again.err
    assert (out / "sub/0.png").stat().st_mtime_ns == before
    other = relume(*command, "--format", "jpg", "-q", "--json")
    assert len([line for line in other.lines if line["status"] == "ok"]) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "spark"], "--engine spark is unknown"),
        (["--address", "auto"], "are Ray's"),
        (["--gpus", "0.5"], "are Ray's"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    relume: Run, photo: Make, tmp_path: Path, options: list[str], said: str
) -> None:
    done = relume("batch", photo("in/a.png").parent, tmp_path / "out", *options)
    assert done.code == ExitCode.USAGE
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_a_batch_into_a_url_needs_a_manifest(relume: Run, photo: Make) -> None:
    pytest.importorskip("fsspec")
    done = relume("batch", photo("in/a.png").parent, "memory://out")
    assert done.code == ExitCode.USAGE
    assert "Add --record" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal")
def test_a_batch_that_is_killed_goes_on_exactly(photo: Make, tmp_path: Path) -> None:
    for number in range(12):
        photo(f"in/{number:02d}.png", size=(300, 400), seed=number)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "relume", "batch", tmp_path / "in", out, "--workers", "1", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    batch = subprocess.Popen(command, env=environment)
    manifest = out / "manifest.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (manifest.exists() and manifest.read_text().count("\n") >= 3):
        time.sleep(0.02)
    batch.send_signal(signal.SIGKILL)
    batch.wait()
    done = {row["output"]: Path(row["output"]).stat().st_mtime_ns for row in lines(manifest)}
    assert 3 <= len(done) < 12
    assert subprocess.run(command, env=environment).returncode == 0
    rows = lines(manifest)
    assert sorted(row["output"] for row in rows) == [str(out / f"{number:02d}.png") for number in range(12)]
    assert all(row["sha256"] == digest(Path(row["output"])) for row in rows)
    assert done == {output: Path(output).stat().st_mtime_ns for output in done}
