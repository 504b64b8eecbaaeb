"""A folder that photos come into: which of them are complete and due."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relume.errors import InputUnreadable, OutputExists
from relume.jobs.inputs import find_inputs, without_results
from relume.jobs.places import Location, is_folder, local
from relume.jobs.plan import Job, Output, plan

Signature = tuple[int, int, int]
"""Size, time of the last change and number of a file, which change with its content."""

_AGAIN = 60.0
"""Seconds after which a photo is tried again for the first time; then twice as many each time."""

_LONGEST_WAIT = 3600.0

_RESCAN = 30.0
"""Seconds after which a folder is looked through even where nothing was heard of a change."""


@dataclass
class _Arrival:
    signature: Signature
    since: float
    done: bool
    failed: int = 0


class Arrivals:
    """Which photos are due: complete, and without a result that is newer than they are.

    A photo counts as complete when its file has stayed the same for a while. One that fails is due again when
    its file changes, or later where `again` is told. What is done is known from the results; so nothing is
    lost or done twice when a watch ends and another one begins.

    Args:
        settle: seconds that a file must have stayed the same.
    """

    def __init__(self, settle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle = settle
        self._clock = clock
        self._seen: dict[Location, _Arrival] = {}

    @property
    def waiting(self) -> bool:
        """Whether a photo is not done yet, and is not left for later."""
        now = self._clock()
        return any(not each.done and each.since <= now for each in self._seen.values())

    def again(self, job: Job) -> None:
        """Have a photo due again after a while: it failed, and not by its own fault (a full disk)."""
        arrival = self._seen.get(job.source)
        if arrival is not None:
            wait = min(_AGAIN * 2**arrival.failed, _LONGEST_WAIT)
            arrival.failed += 1
            arrival.done, arrival.since = False, self._clock() + wait - self._settle

    def due(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of all jobs of the folder that are due, and count as done from now on."""
        now = self._clock()
        seen: dict[Location, _Arrival] = {}
        ready: list[Job] = []
        for job in jobs:
            signature = _signature(job.source)
            if signature is None:
                continue
            arrival = self._seen.get(job.source)
            if arrival is None or arrival.signature != signature:
                arrival = _Arrival(signature, now, arrival is None and _has_result(job, signature))
            elif not arrival.done and now - arrival.since >= self._settle:
                arrival.done = True
                ready.append(job)
            seen[job.source] = arrival
        self._seen = seen
        return ready


def _signature(path: Location) -> Signature | None:
    """None for a file that is gone."""
    try:
        status = local(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _has_result(job: Job, signature: Signature) -> bool:
    """Whether the result is there, and not older than the photo."""
    result = _signature(job.target)
    return result is not None and result[1] >= signature[1]


def arriving(
    folder: Path,
    output: Output,
    changes: Iterator[bool],
    *,
    recursive: bool,
    arrivals: Arrivals,
    on_error: Callable[[InputUnreadable | OutputExists], object],
) -> Iterator[list[Job]]:
    """Jobs as they become due, without end.

    Args:
        folder: where photos arrive.
        output: as for `plan`, with the folder of results.
        changes: tells, now and then, whether something has changed in the folder.
        recursive: look into its folders, too.
        arrivals: what is known of the folder.
        on_error: told once of what cannot be read, and of photos whose results would collide.

    Raises:
        InputUnreadable: the folder is gone.
    """
    told: set[str] = set()
    last = float("-inf")

    def tell(error: InputUnreadable | OutputExists) -> None:
        if str(error) not in told and not _is_empty(error):
            told.add(str(error))
            on_error(error)

    for changed in changes:
        if not is_folder(folder):
            raise InputUnreadable("the folder is gone", "Start again when it is there.", path=folder)
        if changed or arrivals.waiting or time.monotonic() - last > _RESCAN:
            last = time.monotonic()
            found = find_inputs([str(folder)], recursive=recursive, results=output.path, on_error=tell)
            inputs, _ = without_results(found)
            yield arrivals.due(plan(inputs, output, on_conflict=lambda _, error: tell(error)))


def _is_empty(error: InputUnreadable | OutputExists) -> bool:
    """Whether an error only tells of a folder without photos, as is to be expected here."""
    path = error.path
    return isinstance(error, InputUnreadable) and path is not None and os.access(path, os.R_OK | os.X_OK)
