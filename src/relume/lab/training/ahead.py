"""The next batches are prepared while the current one is learnt from."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from relume.errors import RelumeError
from relume.lab.data.batch import Batch, Parcel
from relume.lab.data.draws import Plan
from relume.lab.data.paired import PairedCrops
from relume.lab.ranks import own_threads
from relume.lab.recipe import Phase

_FEWEST_THREADS = 4
_EACH_AHEAD = 3
"""Batches that every process keeps ready."""


def pick_workers(device: torch.device, wanted: int | None = None) -> tuple[int, torch.device]:
    """How many processes make batches for a device, and where the images then live.

    A batch is thousands of small operations. A GPU spends more time on starting them than it takes to learn
    from the batch: there all cores but one cut the batches. On a CPU the cores have enough to do.

    Args:
        device: where batches are wanted.
        wanted: how many; None leaves it to this function.
    """
    if wanted is None:
        threads = own_threads()
        forks = "fork" in multiprocessing.get_all_start_methods()
        wanted = threads - 1 if device.type == "cuda" and forks and threads >= _FEWEST_THREADS else 0
    return wanted, torch.device("cpu") if wanted else device


class Ahead:
    """Batches by number, as `PairedCrops` makes them; those after each are begun at once, by others.

    With workers, that many processes cut batches on the CPU, sharing the images' memory, and a thread takes
    what they made. Without, the thread makes the next batch: on a CPU all of it. Another device cuts batches
    between its steps anyway: there the thread makes the plan alone, and nothing but the caller talks to the
    device.

    Args:
        data: what makes the batches; with workers it lives on the CPU.
        device: where batches are wanted; the data's own if None.
        workers: processes, 0 for the thread.
    """

    def __init__(self, data: PairedCrops, device: torch.device | None = None, workers: int = 0) -> None:
        self.data = data
        self.device = device or data.device
        self.workers = workers
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._stream: Iterator[Any] | None = None
        self._next: tuple[int, Phase, Future[Any]] | None = None

    def batch(self, index: int, phase: Phase) -> Batch:
        """The batch with that number.

        Raises:
            DataError: as `PairedCrops.batch`.
        """
        ready = self._next
        if ready is None or ready[:2] != (index, phase):
            self._restart(index, phase)
            # By the thread too: draws remember the pass they are in.
            ready = (index, phase, self._pool.submit(self._make, index, phase))
        made = ready[2].result()
        self._next = (index + 1, phase, self._pool.submit(self._make, index + 1, phase))
        if isinstance(made, RelumeError):
            raise made
        return (self.data.cut(made) if isinstance(made, Plan) else made).to(self.device)

    def close(self) -> None:
        """Let thread and processes end."""
        self._pool.shutdown(cancel_futures=True)
        self._stream = None

    def _restart(self, index: int, phase: Phase) -> None:
        """Let workers continue from this batch; the old ones end first."""
        if not self.workers:
            return
        if self._next is not None:
            wait([self._next[2]])
        self._stream = None
        loader = DataLoader(
            _Numbered(self.data, phase),
            batch_size=None,
            sampler=count(index),  # pyright: ignore[reportArgumentType]  # any iterable serves
            num_workers=self.workers,
            prefetch_factor=_EACH_AHEAD,
            multiprocessing_context="fork",
        )
        self._stream = iter(loader)

    def _make(self, index: int, phase: Phase) -> Batch | Parcel | Plan | RelumeError:
        if self._stream is not None:
            made = next(self._stream)
            return made.pin_memory() if self.device.type == "cuda" and isinstance(made, Parcel) else made
        if self.data.device.type == "cpu":
            return self.data.batch(index, phase)
        return self.data.draws.plan(index, phase)


class _Numbered(Dataset[Any]):
    """Batches of a phase by number, for processes; what cannot be made comes as its error."""

    def __init__(self, data: PairedCrops, phase: Phase) -> None:
        self.data, self.phase = data, phase

    def __getitem__(self, index: int) -> Parcel | RelumeError:
        try:
            return Parcel.of(self.data.batch(index, self.phase))
        except RelumeError as error:
            return error
