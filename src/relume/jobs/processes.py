"""A worker process and the talk with it: orders there, replies back, and what became of one that dies.

Both ends speak JSON and plain bytes, so that a process that a file has taken over can say nothing that would
run here.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Lock, Timer
from typing import Any

from relume.errors import OutOfResources, as_failure, error_of, parts_of

START_SECONDS = 60.0
"""Longest time for a worker to load its model."""

Reply = tuple[dict[str, Any], bytes]


class Died(Exception):
    """A worker has ended before it answered.

    Attributes:
        late: it took longer than it may, and was killed.
        code: what it ended with; a negative one is a signal's.
    """

    def __init__(self, late: bool, code: int | None) -> None:
        super().__init__(late, code)
        self.late, self.code = late, code

    @property
    def reason(self) -> str:
        """What it was, without a full stop."""
        return f"the process that had the photo ended ({_name_of(self.code)})"


def _name_of(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # Python names no real-time signals between the first and the last
        return f"signal {-code}"


class WorkerProcess:
    """One process, started when it is needed; a thread at a time talks with it.

    Args:
        main: what it runs, given its end of the connection and `setup`; see `answer_orders`.
        setup: what pickles.
        longest: bytes of the first part of a reply, at most.
    """

    def __init__(self, main: Callable[[Connection, Any], None], setup: Any, longest: int) -> None:
        self._main, self._setup, self._longest = main, setup, longest
        self._process: Any = None
        self._connection: Any = None
        self._late = False
        self._lock = Lock()

    @property
    def alive(self) -> bool:
        process = self._process
        return process is not None and process.is_alive()

    def start(self) -> None:
        """Start it if it does not run, and wait until it is ready.

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
        self._process = context.Process(target=self._main, args=(theirs, self._setup), daemon=True)
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
                "a worker does not start", "Give it more memory, or check the messages above."
            ) from error
        if "error" in reply:
            self.kill()
            raise error_of(**reply["error"])

    def exchange(self, order: Sequence[bytes | bytearray], seconds: float | None = None) -> Reply:
        """Send the parts of an order and wait for the reply.

        Args:
            seconds: longest time that it may take; None sets no limit.

        Raises:
            Died: the process has ended before.
            RelumeError: it cannot be started.
        """
        with self._lock:
            self._start()
            try:
                return self._within(seconds, lambda: self._exchange(order))
            except (EOFError, OSError, ValueError) as error:
                raise Died(self._late, self.kill()) from error

    def _exchange(self, order: Sequence[bytes | bytearray]) -> Reply:
        for part in order:
            self._connection.send_bytes(part)
        return self._receive()

    def _receive(self) -> Reply:
        return json.loads(self._connection.recv_bytes(self._longest)), self._connection.recv_bytes()

    def _within(self, seconds: float | None, work: Callable[[], Reply]) -> Reply:
        """Kill the process where something takes longer, which ends the wait for it."""
        self._late = False
        if seconds is None:
            return work()

        def end() -> None:
            self._late = True
            self._signal()

        timer = Timer(seconds, end)
        timer.start()
        try:
            return work()
        finally:
            timer.cancel()

    def terminate(self) -> None:
        """Ask it to tidy up and end, whatever it does."""
        process = self._process
        if process is not None:
            process.terminate()

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


def answer_orders(
    connection: Connection, prepare: Callable[[], Callable[..., Reply]], longest: Sequence[int]
) -> None:
    """What a worker does: make ready, then answer orders until the other end closes.

    Args:
        connection: to the process that started this one.
        prepare: loads what is needed and returns what answers the parts of an order.
        longest: bytes of each part of an order, at most.
    """
    _stand_apart()
    try:
        answer = prepare()
    except Exception as error:  # noqa: BLE001 - the other end tells it
        _send(connection, {"error": parts_of(as_failure(error, None))})
        return
    _send(connection, {"ready": True})
    with suppress(EOFError, OSError):  # the other end has gone
        while True:
            _send(connection, *answer(*[connection.recv_bytes(most) for most in longest]))


def _send(connection: Connection, reply: dict[str, Any], result: bytes = b"") -> None:
    connection.send_bytes(json.dumps({**reply, "size": len(result)}).encode())
    connection.send_bytes(result)


def _stand_apart() -> None:
    """A group of its own, so that it ends with all that it started; signals are for the first process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
