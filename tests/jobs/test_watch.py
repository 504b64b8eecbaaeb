"""A folder that photos come into: when each is due."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relume.errors import InputUnreadable, OutputExists
from relume.jobs.plan import Job, Output, plan
from relume.jobs.watch import Arrivals, arriving

Photo = Callable[..., Path]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_photo_is_due_when_it_has_stayed_the_same(tmp_path: Path) -> None:
    clock = Clock()
    arrivals = Arrivals(2.0, clock)
    job = Job(tmp_path / "a.jpg", tmp_path / "out/a.jpg")
    assert arrivals.due([job]) == []
    job.source.write_bytes(b"half")
    assert arrivals.due([job]) == []
    clock.now = 1.9
    job.source.write_bytes(b"half and half")
    assert arrivals.due([job]) == []
    clock.now = 3.8
    assert arrivals.due([job]) == []
    assert arrivals.waiting
    clock.now = 4.0
    assert arrivals.due([job]) == [job]
    clock.now = 100.0
    assert arrivals.due([job]) == []
    assert not arrivals.waiting


def test_a_photo_that_changes_or_comes_back_is_due_again(tmp_path: Path) -> None:
    clock = Clock()
    arrivals = Arrivals(1.0, clock)
    job = Job(tmp_path / "a.jpg", tmp_path / "out/a.jpg")

    def wait() -> list[Job]:
        arrivals.due([job])
        clock.now += 1
        return arrivals.due([job])

    job.source.write_bytes(b"one")
    assert wait() == [job]
    assert wait() == []
    job.source.write_bytes(b"another")
    assert wait() == [job]
    job.source.unlink()
    assert wait() == []
    job.source.write_bytes(b"another")
    assert wait() == [job]


def test_what_failed_by_no_fault_of_its_own_is_tried_again_ever_later(tmp_path: Path) -> None:
    clock = Clock()
    arrivals = Arrivals(1.0, clock)
    job = Job(tmp_path / "a.jpg", tmp_path / "out/a.jpg")
    job.source.write_bytes(b"one")
    arrivals.due([job])
    tried: list[int] = []
    for second in range(1, 1000):
        clock.now = second
        if arrivals.due([job]):
            tried.append(second)
            arrivals.again(job)
            assert not arrivals.waiting  # a folder is not looked through all the time for it
    assert tried == [1, 61, 181, 421, 901]
    job.source.write_bytes(b"another")
    arrivals.due([job])
    clock.now += 1
    assert arrivals.due([job]) == [job]


def test_what_has_a_newer_result_is_not_due(tmp_path: Path) -> None:
    clock = Clock()
    jobs = [Job(tmp_path / f"{name}.jpg", tmp_path / f"{name}.out") for name in ("older", "newer", "same")]
    for number, job in enumerate(jobs):
        job.source.write_bytes(b"photo")
        job.target.write_bytes(b"result")
        os.utime(job.source, (1000, 1000))
        os.utime(job.target, (999 + (number > 0) + (number == 1),) * 2)
    arrivals = Arrivals(1.0, clock)
    arrivals.due(jobs)
    clock.now = 1.0
    assert arrivals.due(jobs) == jobs[:1]


def test_results_that_would_collide_are_told_and_the_rest_goes_on(photo: Photo, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    first, second, third = (photo(f"in/{name}") for name in ("a.jpg", "a.png", "b.png"))
    output = Output(path=tmp_path / "out", folder=True, format="webp")
    told: list[Exception] = []
    steps = arriving(
        folder, output, iter([True] * 3), recursive=False, arrivals=Arrivals(0.0), on_error=told.append
    )
    jobs = [job for some in steps for job in some]
    assert [job.source for job in jobs] == [first, third]
    assert len(told) == 1
    assert isinstance(told[0], OutputExists)
    assert str(second) in str(told[0])
    with pytest.raises(OutputExists):
        plan([(first, folder), (second, folder)], output)


def test_results_inside_the_folder_are_not_photos(photo: Photo, tmp_path: Path) -> None:
    photo("in/a.jpg")
    photo("in/out/b.jpg")
    photo("in/.hidden.jpg")
    output = Output(path=tmp_path / "in/out", folder=True)
    steps = arriving(
        tmp_path / "in", output, iter([True] * 2), recursive=True, arrivals=Arrivals(0.0), on_error=print
    )
    assert [job.source.name for some in steps for job in some] == ["a.jpg"]


def test_an_empty_folder_is_no_error_and_one_that_is_gone_is(tmp_path: Path) -> None:
    told: list[Exception] = []
    folder = tmp_path / "in"
    folder.mkdir()
    output = Output(path=tmp_path / "out", folder=True)
    steps = arriving(
        folder, output, iter([True] * 2), recursive=False, arrivals=Arrivals(0.0), on_error=told.append
    )
    assert next(steps) == []
    assert told == []
    folder.rmdir()
    with pytest.raises(InputUnreadable, match="gone"):
        next(steps)
