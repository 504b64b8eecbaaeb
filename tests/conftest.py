"""What the tests share: dark photos, and the command line run inside this process."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for `photo.samples` and `photo.broken`


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.decode().splitlines()]


def dark(height: int = 24, width: int = 32, bits: int = 8, seed: int = 0) -> np.ndarray:
    """A dark picture with some structure and noise, below a sixth of the range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    light = 0.06 + 0.05 * np.sin(5 * x + seed)[..., None] + 0.03 * np.stack([x, y, x * y], axis=-1)
    noisy = light + rng.normal(0, 0.01, (height, width, 3))
    top = 2**bits - 1
    return np.rint(np.clip(noisy, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Makes a dark photo below the test's folder: `photo("in/a.jpg", seed=3, exif=...)`."""

    def make(name: str, *, size: tuple[int, int] = (24, 32), seed: int = 0, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dark(*size, seed=seed)).save(path, **options)
        return path

    return make


@pytest.fixture(scope="session")
def kept_enhancer() -> Callable[..., Any]:
    """`Enhancer`, but each model is loaded once only."""
    from relume.enhancer import Enhancer

    return functools.cache(Enhancer)


@pytest.fixture
def relume(
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    kept_enhancer: Callable[..., Any],
) -> Iterator[Callable[..., Result]]:
    """Runs the command line in this process: `relume("enhance", path, "--json")`."""
    from relume.cli import main

    monkeypatch.setattr("relume.enhancer.Enhancer", kept_enhancer)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["relume", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsysbinary.readouterr()
        return Result(int(stopped.value.code or 0), out, err.decode())

    yield run
    signal.signal(signal.SIGTERM, handler)
