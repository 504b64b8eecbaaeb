"""Broken input: every kind gives one short error of relume's own, quickly, and stays untouched."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from relume.errors import InputTooLarge, InputUnreadable, RelumeError
from relume.photo import FORMATS, encode_photo, read_photo

from .broken import broken_files, sound


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return broken_files(tmp_path_factory.mktemp("broken"))


def _names() -> list[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return sorted(broken_files(Path(folder)))


NAMES = _names()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if _is_file(path) else ""


def test_there_are_many_kinds() -> None:
    assert len(NAMES) >= 100


@pytest.mark.parametrize("name", NAMES)
def test_broken_input(name: str, files: dict[str, Path]) -> None:
    path = files[name]
    before = _digest(path)
    start = time.monotonic()
    with pytest.raises(RelumeError) as caught:
        read_photo(path)
    assert time.monotonic() - start < 5
    error = caught.value
    assert error.reason
    assert error.remedy
    assert str(error.path) == str(path)
    assert "\n" not in str(error)
    assert len(error.reason) < 180
    assert _digest(path) == before
    if name.startswith("bomb") and name != "bomb-canvas.webp":
        assert isinstance(error, InputTooLarge)
    if not _is_file(path):
        assert isinstance(error, InputUnreadable)


def test_names_that_no_system_takes() -> None:
    for name in ("nul\0.jpg", "", "x" * 5000):
        with pytest.raises(InputUnreadable):
            read_photo(name)


def test_nothing_is_printed_and_little_memory_used(files: dict[str, Path]) -> None:
    script = (
        "import resource, sys\n"
        "from relume.errors import RelumeError\n"
        "from relume.photo import read_photo\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read_photo(path)\n"
        "    except RelumeError:\n"
        "        pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    paths = [str(path) for path in files.values()]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert int(done.stdout) < 200


@pytest.mark.parametrize("name", FORMATS)
def test_random_damage_never_escapes(name: str) -> None:
    rng = np.random.default_rng(11)
    data, said = sound(name), []
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            changed[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        try:
            photo = read_photo(bytes(changed))
            encode_photo(photo, format="tiff")
        except RelumeError as error:
            said.append(str(error))
    assert not any("\n" in one for one in said)


@pytest.mark.parametrize("name", FORMATS)
def test_every_truncation_is_an_error(name: str) -> None:
    data = sound(name)
    # The last bytes may hold no pixels (PNG's end chunk, padding).
    for size in np.linspace(1, len(data) - 24, 40).astype(int):
        with pytest.raises(RelumeError):
            read_photo(data[:size])
