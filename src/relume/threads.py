"""How many threads of the processor this process may really use, and work that begins in another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def available() -> int:
    """Processors that the scheduler gives this process: its affinity, and its quota if it is in a container.

    `os.cpu_count()` counts the machine's, so that a container with two of 64 would start 64 threads.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not every system has affinities
        count = os.cpu_count() or 1
    return max(1, min([count, *_quotas()]))


def begun(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin work in a thread of its own; returns what waits for its result, or raises what it raised."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result
    finally:
        pool.shutdown(wait=False)


def share(processes: int) -> int:
    """Threads for each of so many processes, at least one."""
    return max(1, available() // processes)


def _quotas() -> Iterator[int]:
    """Processors that each control group above this process allows, rounded up."""
    try:
        lines = _OWN.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = _CGROUPS / controllers  # the second version has no controllers here, and one tree
        inner = Path(path.lstrip("/"))
        # Within a container the path may be that of the host, whose folders are not there; its root is.
        for folder in (mount / inner, *(mount / above for above in inner.parents)):
            with suppress(OSError, ValueError, ZeroDivisionError):
                yield _quota(folder)


def _quota(folder: Path) -> int:
    """Processors that a control group allows.

    Raises:
        OSError: it says nothing about processors.
        ValueError: it sets no limit.
    """
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text().split()
    else:
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    if int(quota) <= 0:  # -1 is no limit in the first version, `max`, no number, in the second
        raise ValueError
    return -(-int(quota) // int(period))
