"""The serving process' side of its workers: who is idle, who waits, and what becomes of one that dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from queue import LifoQueue

from relume.errors import ExitCode, RelumeError
from relume.jobs.processes import Died, Reply, WorkerProcess
from relume.service import worker
from relume.service.orders import Order
from relume.service.problems import Problem, retry, told_problem
from relume.service.worker import LONGEST_ORDER, Setup

_SAME = 0.8
"""How much of the usual time for a photo stays with each one more."""


class Worker(WorkerProcess):
    """One process, started when it is needed; a thread at a time talks with it."""

    def __init__(self, setup: Setup, on_death: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(worker.main, setup, LONGEST_ORDER)
        self._seconds = setup.seconds
        self._on_death = on_death

    def ask(self, order: Order, photo: bytes | bytearray) -> Reply:
        """Have a photo done.

        Raises:
            Problem: what the worker told, or what became of it.
            RelumeError: it cannot be started.
        """
        try:
            reply, result = self.exchange([order.to_bytes(), photo], self._seconds)
        except Died as death:
            raise self._problem(death) from death
        if "error" in reply:
            raise told_problem(**reply["error"])
        return reply, result

    def drop(self) -> None:
        """End it in the middle of what it does; who waits for it is told that it has died."""
        self._signal()

    def _problem(self, death: Died) -> Problem:
        """What a worker that has died says of the photo that it had."""
        if death.late or (os.name == "posix" and death.code == -signal.SIGXCPU):
            self._on_death("time")
            return Problem(
                HTTPStatus.GATEWAY_TIMEOUT,
                ExitCode.RESOURCES,
                f"the photo took more than {self._seconds:g} s",
                "Send a smaller photo; who runs the service can raise --seconds.",
            )
        self._on_death("crash")
        return told_problem("Fault", int(ExitCode.FAULT), death.reason, "Please report it with the photo.")


class Pool:
    """Workers, and the queue before them.

    Args:
        setup: of the workers.
        workers: how many.
        queue: how many orders may wait.
        on_death: told why a worker died.
    """

    def __init__(
        self, setup: Setup, workers: int, queue: int, on_death: Callable[[str], object] = lambda _: None
    ) -> None:
        self._setup = setup
        self._workers = [Worker(setup, on_death) for _ in range(workers)]
        self._idle: LifoQueue[Worker] = LifoQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._queue = queue
        self._taken = 0
        self._usual = 1.0

    def start(self) -> None:
        """Start all workers, at once.

        Raises:
            RelumeError: what one fails with.
        """
        try:
            list(self._threads.map(Worker.start, self._workers))
        except BaseException:
            self.close()
            raise
        for each in self._workers:
            self._idle.put(each)

    @property
    def alive(self) -> int:
        """Workers that run."""
        return sum(each.alive for each in self._workers)

    @property
    def waiting(self) -> int:
        """Orders that wait for a worker."""
        return max(0, self._taken - len(self._workers))

    @property
    def busy(self) -> int:
        """Orders that a worker has."""
        return min(self._taken, len(self._workers))

    def check_room(self) -> None:
        """Raises Problem (429) where the queue is full."""
        if self._taken >= len(self._workers) + self._queue:
            wait = self._usual * self._taken / len(self._workers)
            raise retry(HTTPStatus.TOO_MANY_REQUESTS, "all workers are busy, and the queue is full", wait)

    async def run(self, order: Order, photo: bytes | bytearray) -> Reply:
        """Have a photo done by the next free worker.

        Cancelled while it waits, it gives up its place; a photo that is being done is done to its end.

        Raises:
            Problem: the queue is full, the wait too long, or what `Worker.ask` raises.
        """
        self.check_room()
        self._taken += 1
        loop = asyncio.get_running_loop()
        done = self._threads.submit(self._done, order, photo)
        done.add_done_callback(lambda _: _call(loop, self._release))
        answer = asyncio.wrap_future(done)
        try:
            await asyncio.wait_for(asyncio.shield(answer), self._setup.seconds)
        except TimeoutError:
            if done.cancel():
                raise retry(
                    HTTPStatus.SERVICE_UNAVAILABLE, "no worker became free in time", self._usual
                ) from None
        except asyncio.CancelledError:
            done.cancel()
            raise
        return await answer

    def _release(self) -> None:
        self._taken -= 1

    def _done(self, order: Order, photo: bytes | bytearray) -> Reply:
        chosen = self._idle.get()
        try:
            reply, result = chosen.ask(order, photo)
            self._usual = _SAME * self._usual + (1 - _SAME) * reply["seconds"]
            return reply, result
        finally:
            self._idle.put(chosen)
            if not chosen.alive:
                with suppress(RuntimeError):  # closing
                    self._threads.submit(_revive, chosen)

    def give_up(self) -> None:
        """End all workers at once, whatever they have; then close."""
        for each in self._workers:
            each.drop()

    def close(self) -> None:
        """End all workers, when they have done what they have."""
        self._threads.shutdown(wait=True)
        for each in self._workers:
            each.close()


def _call(loop: asyncio.AbstractEventLoop, step: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(step)


def _revive(worker: Worker) -> None:
    """Start a worker anew; one that fails is tried again with the next order."""
    with suppress(RelumeError):
        worker.start()
