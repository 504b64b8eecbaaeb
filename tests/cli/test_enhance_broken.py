"""`relume enhance` with every kind of broken input: one line, an exit code, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from photo.broken import broken_files
from relume.errors import ExitCode
from relume.photo import read_photo
from shared import Result, digest

Run = Callable[..., Result]
CODES = (ExitCode.INPUT_UNREADABLE, ExitCode.INPUT_INVALID, ExitCode.INPUT_TOO_LARGE)
NO_FILES = ("missing.jpg", "loop.jpg", "inside-a-file.jpg", "name-too-long.jpg", "pipe.jpg")
NO_PHOTOS = (
    *("empty.jpg", "text.jpg", "gif-as.jpg", "random.jpg", "picture.heic", "raw-camera.dng"),
    *("jpeg-cut-half.jpeg", "png-bad-data.png", "webp-frame-damaged.webp", "avif-cut-end.avif"),
    *("tiff-cut-half.tiff", "tiff-float.tif"),
)
KINDS = (
    dict.fromkeys(NO_FILES, ExitCode.INPUT_UNREADABLE)
    | dict.fromkeys(NO_PHOTOS, ExitCode.INPUT_INVALID)
    | dict.fromkeys(("bomb.jpg", "bomb.png"), ExitCode.INPUT_TOO_LARGE)
)
"""A broken input or two of each kind, and their exit codes."""


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "broken"
    folder.mkdir()
    return broken_files(folder)


def digests(folder: Path) -> dict[Path, str]:
    return {path: digest(path) for path in folder.iterdir() if path.is_file()}


def test_each_kind_alone(relume: Run, broken: dict[str, Path], tmp_path: Path) -> None:
    before, out = digests(tmp_path / "broken"), tmp_path / "out"
    for name, code in KINDS.items():
        result = relume("enhance", broken[name], "-o", out / "new.png")
        assert result.code == code, name
        assert result.err.startswith(f"relume: {broken[name]}: "), name
        assert result.err.count("\n") == 1, name
        assert result.out == b"", name
        assert not out.exists(), name
    assert digests(tmp_path / "broken") == before


def test_all_together_with_a_good_photo(
    relume: Run, broken: dict[str, Path], photo: Callable[..., Path], tmp_path: Path
) -> None:
    assert len(broken) >= 100
    paths = [path for name, path in broken.items() if name != "folder.jpg"]  # searched for photos instead
    paths.insert(len(paths) // 2, photo("good.jpg"))
    before, out = digests(tmp_path / "broken"), tmp_path / "out"
    result = relume("enhance", *paths, "-o", out, "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert [file.name for file in out.iterdir()] == ["good.jpg"]
    assert read_photo(out / "good.jpg").format == "jpeg"
    assert [line["input"] for line in result.lines] == [str(path) for path in paths]
    assert {line["error"]["code"] for line in result.lines if "error" in line} == set(CODES)
    for path, told in zip(paths, result.err.splitlines(), strict=True):
        assert told.startswith(f"{path} -> " if path.name == "good.jpg" else f"relume: {path}: ")
    assert digests(tmp_path / "broken") == before


def test_a_folder_of_broken_photos(relume: Run, broken: dict[str, Path], tmp_path: Path) -> None:
    result = relume("enhance", tmp_path / "broken", "-r", "-o", tmp_path / "out")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert not (tmp_path / "out").exists()


def test_a_folder_named_like_a_photo_is_searched(relume: Run, broken: dict[str, Path]) -> None:
    result = relume("enhance", broken["folder.jpg"])
    assert result.code == ExitCode.INPUT_UNREADABLE
    assert "holds no photo" in result.err


def test_every_kind_through_a_pipe(relume: Run, broken: dict[str, Path]) -> None:
    for name, path in broken.items():
        if name in ("name-too-long.jpg", "inside-a-file.jpg") or not path.is_file():
            continue
        result = relume("enhance", "-", stdin=path.read_bytes())
        assert result.code in CODES, name
        assert (result.out, result.err.count("\n")) == (b"", 1), name
