"""A real server on loopback, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shared import dark

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

SOURCE = Path(__file__).resolve().parents[2] / "src"
SMALL = ("--workers", "1", "--memory", "1500", "--threads", "1")


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    address: str

    @property
    def client(self) -> Any:
        return httpx.Client(base_url=self.address, timeout=60)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def metric(self, name: str) -> float:
        """The value of a metric; 0 where it has not been counted yet."""
        with self.client as client:
            lines = client.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


@contextmanager
def serving(*options: object, env: dict[str, str] | None = None, stopped: int = 0) -> Iterator[Served]:
    """A service with these options, at a free port; it must stop with this code, and without a word."""
    command = [sys.executable, "-m", "relume", "serve", "--port", "0", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **(env or {})}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
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
    assert (process.returncode, said) == (stopped, "")


@pytest.fixture(scope="session")
def service() -> Iterator[Served]:
    """A service with one worker, which tests share."""
    with serving(*SMALL) as served:
        yield served


@pytest.fixture
def client(service: Served) -> Iterator[Any]:
    with service.client as opened:
        yield opened


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., bytes]:
    """Makes the bytes of a dark photo: `night("JPEG", size=(24, 32))`."""

    def make(form: str = "PNG", *, size: tuple[int, int] = (24, 32), **options: Any) -> bytes:
        path = tmp_path / "night"
        Image.fromarray(dark(*size)).save(path, form, **options)
        return path.read_bytes()

    return make
