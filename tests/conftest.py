"""What the tests share: dark photos, and the command line run inside this process."""

from __future__ import annotations

import functools
import io
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from PIL import Image

from relume.private import refuse_telemetry

sys.path.insert(0, str(Path(__file__).parent))  # so that tests find `shared`, `photo.samples`, `photo.broken`

from shared import Result, dark

refuse_telemetry()  # before tests that import ONNX Runtime themselves


# What a test takes here says little: machines are busy, and the first example loads what loads late.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


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
    capfdbinary: pytest.CaptureFixture[bytes],
    kept_enhancer: Callable[..., Any],
) -> Iterator[Callable[..., Result]]:
    """Runs the command line in this process: `relume("enhance", path, "--json")`."""
    from relume.cli import main

    monkeypatch.setattr("relume.enhancer.Enhancer", kept_enhancer)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["relume", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capfdbinary.readouterr()
        return Result(int(stopped.value.code or 0), out, err.decode())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
