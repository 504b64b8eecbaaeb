"""Many photos in several processes: the same results, and what a worker that dies costs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from relume.errors import ExitCode, Fault, InputInvalid, ModelError, error_of, parts_of
from relume.jobs.batch import Outcome, run_batch
from relume.jobs.crew import TRIES, Say, run_in_processes
from relume.jobs.plan import Job, Output
from relume.jobs.processes import Died
from relume.photo import Photo
from shared import Result, digest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers end by signals")
Run = Callable[..., Result]
Make = Callable[..., Path]


def inverted(photo: Photo) -> Photo:
    return replace(photo, rgb_HWC=255 - photo.rgb_HWC)


def begin(say: Say) -> Callable[[Photo], Photo]:
    """What workers do: invert, and say so; a photo of 13 columns kills its worker, one of 14 is refused."""

    def work(photo: Photo) -> Photo:
        say(f"{photo.width} columns")
        if photo.width == 13:
            os.kill(os.getpid(), signal.SIGSEGV)
        if photo.width == 14:
            raise InputInvalid("has 14 columns", "Take another.")
        return inverted(photo)

    return work


def begin_counting(record: Path, say: Say) -> Callable[[Photo], Photo]:
    """The same, and each attempt is recorded."""
    work = begin(say)

    def recorded(photo: Photo) -> Photo:
        with record.open("a") as file:
            file.write(f"{photo.width}\n")
        return work(photo)

    return recorded


def begin_falling_once(mark: Path, say: Say) -> Callable[[Photo], Photo]:
    """The first photo of all kills its worker, as a want of memory might; nothing does so again."""

    def work(photo: Photo) -> Photo:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return inverted(photo)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    return work


def begin_slowly(say: Say) -> Callable[[Photo], Photo]:
    def work(photo: Photo) -> Photo:
        time.sleep(60)
        return photo

    return work


def begin_badly(say: Say) -> Callable[[Photo], Photo]:
    raise ModelError("the model is damaged", "Take another.")


@pytest.fixture
def jobs(photo: Make, tmp_path: Path) -> list[Job]:
    return [
        Job(
            photo(f"in/{number}.png", size=(24, 30 + number), seed=number), tmp_path / "out" / f"{number}.png"
        )
        for number in range(6)
    ]


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({each.job.source for each in outcomes}) == len(outcomes)
    return {each.job.source.stem: each for each in outcomes}


def test_processes_write_what_one_writes(jobs: list[Job], tmp_path: Path) -> None:
    alone = [replace(job, target=tmp_path / "alone" / job.target.name) for job in jobs]
    expected = by_name(list(run_batch(alone, Output(), inverted)))
    said: list[str] = []
    found = by_name(list(run_in_processes(jobs, Output(), begin, 2, said.append)))
    assert sorted(said) == sorted(f"{30 + number} columns" for number in range(6))
    for name, outcome in found.items():
        assert replace(outcome, job=expected[name].job, seconds=0) == replace(expected[name], seconds=0)
        assert outcome.seconds > 0
        assert digest(outcome.job.target) == digest(expected[name].job.target)


def test_a_photo_that_kills_its_worker_fails_alone_and_not_for_ever(
    jobs: list[Job], photo: Make, tmp_path: Path
) -> None:
    poison = Job(photo("in/poison.png", size=(24, 13)), tmp_path / "out" / "poison.png")
    record = tmp_path / "attempts"
    begun = partial(begin_counting, record)
    found = by_name(list(run_in_processes([poison, *jobs], Output(), begun, 2, print)))
    error = found.pop("poison").error
    assert isinstance(error, Fault)
    assert error.path == poison.source
    assert "SIGSEGV" in str(error)
    assert not poison.target.exists()
    assert record.read_text().split().count("13") == TRIES
    assert {each.status for each in found.values()} == {"ok"}
    assert all(job.target.exists() for job in jobs)


def test_a_photo_whose_worker_was_killed_is_tried_again(jobs: list[Job], tmp_path: Path) -> None:
    begun = partial(begin_falling_once, tmp_path / "mark")
    outcomes = list(run_in_processes(jobs, Output(), begun, 2, print))
    assert [each.status for each in outcomes] == ["ok"] * len(jobs)


def test_what_ended_a_process_is_named_whatever_it_was() -> None:
    assert "(SIGKILL)" in Died(False, -signal.SIGKILL).reason
    between = signal.SIGRTMIN + 3  # a signal without a name in Python
    assert f"(signal {between})" in Died(False, -between).reason
    assert "(exit code 3)" in Died(False, 3).reason


def test_an_error_keeps_its_kind_and_where_it_arose(photo: Make, tmp_path: Path) -> None:
    refused = Job(photo("in/a.png", size=(24, 14)), tmp_path / "a.png")
    broken = Job(tmp_path / "b.png", tmp_path / "c.png")
    broken.source.write_bytes(b"\x89PNG\r\n\x1a\n")
    found = by_name(list(run_in_processes([refused, broken], Output(), begin, 1, print)))
    assert isinstance(found["a"].error, InputInvalid)
    assert str(found["a"].error) == f"{refused.source}: has 14 columns. Take another."
    assert found["b"].error is not None
    assert "Traceback" in str(found["b"].error.__cause__)


def test_what_exists_is_skipped(jobs: list[Job]) -> None:
    first = list(run_in_processes(jobs[:2], Output(), begin, 2, print))
    again = by_name(list(run_in_processes(jobs, Output(skip_existing=True), begin, 2, print)))
    assert len(first) == 2
    assert [again[str(number)].status for number in range(6)] == ["skipped"] * 2 + ["ok"] * 4


def test_a_model_that_does_not_load_ends_the_batch(jobs: list[Job]) -> None:
    with pytest.raises(ModelError, match="the model is damaged"):
        list(run_in_processes(jobs, Output(), begin_badly, 2, print))


def test_an_end_before_its_time_leaves_no_process(jobs: list[Job]) -> None:
    started = time.monotonic()
    outcomes = run_in_processes([*jobs[:1], *jobs[:1]], Output(), begin, 1, print)
    next(outcomes)
    outcomes.close()
    slow = run_in_processes(jobs, Output(), begin_slowly, 2, print)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(slow)
    assert time.monotonic() - started < 40
    assert not list(jobs[1].target.parent.glob(".*"))


def _interrupted(outcomes: object) -> None:
    """Ask for the next outcome, which never comes, until an interrupt does."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(5)
    try:
        list(outcomes)  # type: ignore[call-overload]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_no_photos_no_processes() -> None:
    assert list(run_in_processes([], Output(), begin_badly, 2, print)) == []


def test_parts_of_an_error_make_it_again() -> None:
    error = InputInvalid("is cut off", "Copy it again.")
    again = error_of(**json.loads(json.dumps(parts_of(error))), path="a.jpg")
    assert type(again) is InputInvalid
    assert str(again) == "a.jpg: is cut off. Copy it again."


def test_the_command_line_has_workers(relume: Run, photo: Make, tmp_path: Path) -> None:
    folder = photo("in/a.png").parent
    photo("in/b.png", seed=1)
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff")
    alone = relume("enhance", folder, "-o", tmp_path / "alone", "--json")
    both = relume("enhance", folder, "-o", tmp_path / "both", "--json", "--workers", 2, "--explain")
    assert alone.code == both.code == ExitCode.BATCH_PARTLY_FAILED
    assert both.err.count("look: ") == 2
    assert "c.jpg: " in both.err

    def told(result: Result) -> list[dict[str, object]]:
        lines = sorted((json.loads(line) for line in result.out.splitlines()), key=lambda row: row["input"])
        return [{**line, "seconds": 0, "output": None} for line in lines]

    assert told(alone) == told(both)
    for name in ("a.png", "b.png"):
        assert digest(tmp_path / "alone" / name) == digest(tmp_path / "both" / name)


@pytest.mark.parametrize("given", [-1, 5000])
def test_a_number_of_workers_out_of_range_is_refused(relume: Run, photo: Make, given: int) -> None:
    assert relume("enhance", photo("a.png"), "--workers", given).code == ExitCode.USAGE
