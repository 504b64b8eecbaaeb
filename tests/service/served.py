"""A real server on loopback, in a process of its own, for tests and measurements."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SOURCE = Path(__file__).resolve().parents[2] / "src"
SMALL = ("--workers", "1", "--memory", "1500", "--threads", "1")
"""Options of a small service."""


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    address: str

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def metric(self, name: str) -> float:
        """The value of a metric; 0 where it has not been counted yet."""
        with self.client as client:
            lines = client.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
        return found


@contextmanager
def serving(
    *options: object,
    env: dict[str, str] | None = None,
    stopped: int = 0,
    before: Callable[[], None] | None = None,
) -> Iterator[Served]:
    """A service with these options, at a free port; it must stop with this code, and without a word.

    Args:
        env: more of its environment.
        before: called in its process before it begins.
    """
    command = [sys.executable, "-m", "relume", "serve", "--port", "0", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **(env or {})}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=before
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            assert "relume serves at" in line, line + process.stderr.read()
            yield Served(process, line.split()[-1])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                said = process.communicate(timeout=30)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert (process.returncode, said) == (stopped, ""), f"{process.returncode}: {said[-3000:]}"
