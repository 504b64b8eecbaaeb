"""A service that tests share, and photos for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from service.served import SMALL, Served, serving
from shared import dark


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
