"""Many photos in several processes: one that dies costs a photo at most, and the rest continues."""

from __future__ import annotations

import json
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import count
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from relume.errors import Fault, RelumeError, error_of, parts_of
from relume.jobs.batch import Outcome, run_batch
from relume.jobs.places import location, named
from relume.jobs.plan import Job, Output
from relume.jobs.processes import Died, Reply, WorkerProcess, answer_orders
from relume.photo import Photo

TRIES = 2
"""How often a photo is tried whose worker died: the system may have ended one for want of memory that
another photo took, while a file that kills each worker must not be tried for ever."""

_LONGEST = 16 << 20
"""Bytes of what is told of a photo, at most."""

_GRACE = 3.0
"""Seconds in which a worker that is asked to end may tidy up."""

_SENT = tuple(each.name for each in fields(Outcome) if each.name not in ("job", "error"))

Say: TypeAlias = Callable[[str], object]
Begin: TypeAlias = Callable[[Say], Callable[[Photo], Photo]]
"""Makes what enhances photos, in the process that will do it, given what takes lines for the user."""


@dataclass(frozen=True)
class Setup:
    """How a worker works; it pickles.

    Attributes:
        begin: a function of a module, or a partial of one.
        output: as for `run_batch`.
    """

    begin: Begin
    output: Output


def run_in_processes(
    jobs: Sequence[Job], output: Output, begin: Begin, workers: int, say: Say
) -> Generator[Outcome]:
    """Like `run_batch` in several processes; outcomes come as photos are done.

    A worker has one photo at a time, and leaves a result whole or not at all. Where one dies, another takes
    its place, and its photo is tried again when the others have been begun, `TRIES` times in all.

    Args:
        jobs: from `plan`.
        output: as for `plan`.
        begin: makes what each worker does with photos.
        workers: how many, at least 1.
        say: takes the lines that workers have for the user, before the outcome of their photo.

    Raises:
        RelumeError: a worker cannot be started, or what it fails with before its first photo.
    """
    crew = [
        WorkerProcess(_main, Setup(begin, output), _LONGEST) for _ in range(max(1, min(workers, len(jobs))))
    ]
    todo = deque((job, 1) for job in jobs)
    done: SimpleQueue[tuple[list[str], Outcome] | RelumeError] = SimpleQueue()
    threads = [Thread(target=_tend, args=(each, todo, done), daemon=True) for each in crew]
    try:
        for thread in threads if jobs else ():
            thread.start()
        for _ in jobs:
            told = done.get()
            if isinstance(told, RelumeError):
                raise told
            for line in told[0]:
                say(line)
            yield told[1]
        for thread in threads if jobs else ():
            thread.join()
    finally:
        todo.clear()
        _end(crew, threads)


def _end(crew: Sequence[WorkerProcess], threads: Sequence[Thread]) -> None:
    """Have all workers tidy up and end, those that are at work too."""
    busy = [(each, thread) for each, thread in zip(crew, threads, strict=True) if thread.is_alive()]
    for each, _ in busy:
        each.terminate()
    until = time.monotonic() + _GRACE
    for each, thread in busy:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            each.kill()


def _tend(
    worker: WorkerProcess,
    todo: deque[tuple[Job, int]],
    done: SimpleQueue[tuple[list[str], Outcome] | RelumeError],
) -> None:
    """Give a worker photo after photo, until there is none left."""
    try:
        worker.start()
    except RelumeError as error:
        done.put(error)
        return
    while True:
        try:
            job, tries = todo.popleft()
        except IndexError:
            break
        started = time.perf_counter()
        try:
            reply, _ = worker.exchange([_order(job)])
            done.put((reply["said"], outcome_of(job, reply)))
        except Died as death:
            if tries < TRIES:
                todo.append((job, tries + 1))
                continue
            done.put(([], failed(job, _blamed(death, tries), started)))
        except RelumeError as error:  # no other worker can be started in place of one that died
            done.put(([], failed(job, error, started)))
    worker.close()


class Hand:
    """One worker process for one photo after another; where it dies, the photo is tried again at once."""

    def __init__(self, setup: Setup) -> None:
        self._worker = WorkerProcess(_main, setup, _LONGEST)

    def do(self, job: Job) -> dict[str, Any]:
        """What became of a photo, for `outcome_of`; or, as `ended`, why no worker can begin."""
        started = time.perf_counter()
        try:
            self._worker.start()
        except RelumeError as error:
            return {"ended": parts_of(error)}
        for tries in count(1):
            try:
                return self._worker.exchange([_order(job)])[0]
            except Died as death:
                if tries >= TRIES:
                    return told_of(failed(job, _blamed(death, tries), started))
            except RelumeError as error:
                return told_of(failed(job, error, started))
        raise AssertionError

    def close(self) -> None:
        """Let it end."""
        self._worker.close()


def failed(job: Job, error: RelumeError, started: float | None = None) -> Outcome:
    """A photo that its worker could not tell about.

    Args:
        started: when it was begun, by the counter of performance.
    """
    error.path = error.path or named(job.source)
    return Outcome(job, "failed", 0.0 if started is None else time.perf_counter() - started, error=error)


def _blamed(death: Died, tries: int) -> Fault:
    return Fault(
        f"{death.reason}, {tries} times",
        "Please report it with the photo; where memory is scarce, take fewer --workers or a smaller --tile.",
    )


def _order(job: Job) -> bytes:
    return json.dumps([str(job.source), str(job.target)]).encode()


def _main(connection: Connection, setup: Setup) -> None:
    """What a worker runs."""

    def prepare() -> Callable[[bytes], Reply]:
        said: list[str] = []
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        enhance = setup.begin(said.append)

        def answer(order: bytes) -> Reply:
            said.clear()
            job = Job(*map(location, json.loads(order)))
            outcome = next(run_batch([job], setup.output, enhance))
            return told_of(outcome, said), b""

        return answer

    with suppress(KeyboardInterrupt):
        answer_orders(connection, prepare, [_LONGEST])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already


def told_of(outcome: Outcome, said: Sequence[str] = ()) -> dict[str, Any]:
    """What is told of a photo, JSON-ready, with lines for the user; `outcome_of` reads it."""
    error = outcome.error
    told: dict[str, Any] = {"said": said, **{name: getattr(outcome, name) for name in _SENT}}
    if error is not None:
        cause = error.__cause__
        told["error"] = parts_of(error) | {"path": None if error.path is None else str(error.path)}
        told["where"] = cause and "".join(traceback.format_exception(cause))
    return told


class _Elsewhere(Exception):
    """Stands for an exception of a worker; its text is what that process would have shown of it."""

    def __str__(self) -> str:
        return f"in a worker:\n{self.args[0]}"


def outcome_of(job: Job, told: dict[str, Any]) -> Outcome:
    """What a worker has told; its words are a stranger's where a photo has taken it over.

    Raises:
        Fault: they make no sense.
    """
    try:
        error = error_of(**told["error"]) if "error" in told else None
        if error is not None and told["where"]:
            error.__cause__ = _Elsewhere(told["where"])
        known: dict[str, Any] = {name: told[name] for name in _SENT}
        known["notes"] = tuple(known["notes"])
        return Outcome(job, **known, error=error)
    except (KeyError, TypeError, ValueError) as error:
        raise Fault("a worker told something that makes no sense", "Please report it.") from error
