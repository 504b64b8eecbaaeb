"""The serving process' side of its workers: who is idle, who waits, and what becomes of one that dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from multiprocessing import get_context
from queue import LifoQueue
from threading import Lock, Timer
from typing import Any

from relume.errors import ExitCode, OutOfResources, RelumeError
from relume.service import worker
from relume.service.orders import Order
from relume.service.problems import Problem, retry, told_problem
from relume.service.worker import LONGEST_ORDER, Setup

START_SECONDS = 60.0
"""Longest time for a worker to load its model."""

_SAME = 0.8
"""How much of the usual time for a photo stays with each one more."""

Answer = tuple[dict[str, Any], bytes]


class Worker:
    """One process, started when it is needed; a thread at a time talks with it."""

    def __init__(self, setup: Setup, on_death: Callable[[str], object] = lambda _: None) -> None:
        self._setup = setup
        self._on_death = on_death
        self._process: Any = None
        self._connection: Any = None
        self._late = False
        self._lock = Lock()

    @property
    def alive(self) -> bool:
        process = self._process
        return process is not None and process.is_alive()

    def start(self) -> None:
        """Start it if it does not run, and wait until it has loaded its model.

        Raises:
            RelumeError: what it fails with.
        """
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self.alive:
            return
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=worker.main, args=(theirs, self._setup), daemon=True)
        try:
            self._process.start()
        except OSError as error:
            self._process = None
            raise OutOfResources(f"no worker can be started ({error.strerror})", "Close programs.") from error
        theirs.close()
        try:
            reply, _ = self._within(START_SECONDS, self._receive)
        except (EOFError, OSError) as error:
            self.kill()
            raise OutOfResources(
                "a worker does not start", "Give more --memory, or check the messages above."
            ) from error
        if "error" in reply:
            self.kill()
            raise told_problem(**reply["error"])

    def ask(self, order: Order, photo: bytes | bytearray) -> Answer:
        """Have a photo done.

        Raises:
            Problem: what the worker told, or what became of it.
        """
        with self._lock:
            self._start()
            try:
                reply, result = self._within(self._setup.seconds, lambda: self._exchange(order, photo))
            except (EOFError, OSError, ValueError) as error:
                raise self._death() from error
        if "error" in reply:
            raise told_problem(**reply["error"])
        return reply, result

    def _exchange(self, order: Order, photo: bytes | bytearray) -> Answer:
        self._connection.send_bytes(order.to_bytes())
        self._connection.send_bytes(photo)
        return self._receive()

    def _receive(self) -> Answer:
        return json.loads(self._connection.recv_bytes(LONGEST_ORDER)), self._connection.recv_bytes()

    def _within(self, seconds: float, work: Callable[[], Answer]) -> Answer:
        """Kill the process where something takes longer, which ends the wait for it."""
        self._late = False

        def end() -> None:
            self._late = True
            self._signal()

        timer = Timer(seconds, end)
        timer.start()
        try:
            return work()
        finally:
            timer.cancel()

    def _death(self) -> Problem:
        """What a worker that has died says of the photo that it had."""
        late = self._late
        code = self.kill()
        if late or (os.name == "posix" and code == -signal.SIGXCPU):
            self._on_death("time")
            return Problem(
                HTTPStatus.GATEWAY_TIMEOUT,
                ExitCode.RESOURCES,
                f"the photo took more than {self._setup.seconds:g} s",
                "Send a smaller photo; who runs the service can raise --seconds.",
            )
        self._on_death("crash")
        return told_problem(
            "Fault",
            int(ExitCode.FAULT),
            f"the process that had the photo ended ({_name_of(code)})",
            "Please report it with the photo.",
        )

    def _signal(self) -> None:
        """Have it killed, and all that it started."""
        process = self._process
        if process is None:
            return
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()

    def kill(self) -> int | None:
        """End it, and all that it started; returns what it ended with."""
        self._signal()
        process, self._process = self._process, None
        if process is None:
            return None
        process.join()
        self._connection.close()
        return process.exitcode

    def close(self) -> None:
        """Let it end, as it has nothing more to do."""
        process = self._process
        if process is not None:
            self._connection.close()
            process.join(1)
        self.kill()


def _name_of(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


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

    async def run(self, order: Order, photo: bytes | bytearray) -> Answer:
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

    def _done(self, order: Order, photo: bytes | bytearray) -> Answer:
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
