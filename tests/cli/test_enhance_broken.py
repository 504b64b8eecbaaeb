"""`relume enhance` with every kind of broken input: one line, an exit code, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from photo.broken import broken_files
from photo.samples import grey_profile
from relume.errors import ExitCode
from relume.photo import read_photo
from shared import CASES, Result, dark, digest

Run = Callable[..., Result]
CODES = (ExitCode.INPUT_UNREADABLE, ExitCode.INPUT_INVALID, ExitCode.INPUT_TOO_LARGE)
NO_FILES = ("missing.jpg", "loop.jpg", "inside-a-file.jpg", "name-too-long.jpg", "pipe.jpg")
NO_PHOTOS = (
    *("empty.jpg", "text.jpg", "psd-as.jpg", "random.jpg", "picture.heic", "raw-camera.dng"),
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
    *lines, summary = result.err.splitlines()
    assert summary.startswith(f"1 done, 0 left alone, {len(paths) - 1} failed, 0 skipped; ")
    for path, told in zip(paths, lines, strict=True):
        assert told.startswith(f"{path} -> " if path.name == "good.jpg" else f"relume: {path}: ")
    assert digests(tmp_path / "broken") == before


def test_words_that_are_no_text_spoil_nothing(
    relume: Run, photo: Callable[..., Path], tmp_path: Path
) -> None:
    broken, cut = tmp_path / "broken.avif", photo("cut.jpg")
    broken.write_bytes((CASES / "unicode_error.avif").read_bytes())
    cut.write_bytes(cut.read_bytes()[:-200])
    good = [photo(f"good.{name}") for name in ("jpg", "png", "avif", "tif", "webp")]
    for _ in range(2):
        result = relume("enhance", broken, cut, *good, "-o", tmp_path / "out", "--json")
        assert result.code == ExitCode.BATCH_PARTLY_FAILED
        failed = [line for line in result.lines if "error" in line]
        assert [line["input"] for line in failed] == [str(broken), str(cut)]
        assert [line["error"]["code"] for line in failed] == [ExitCode.INPUT_INVALID] * 2
        assert "cut off" in failed[1]["error"]["message"]
    assert relume("enhance", broken).code == ExitCode.INPUT_INVALID
    assert relume("enhance", good[0]).code == 0


def test_a_damaged_grey_profile_fails_nothing(relume: Run, tmp_path: Path) -> None:
    path = tmp_path / "grey.tif"
    icc = grey_profile()
    count = int.from_bytes(icc[128:132], "big")
    table = bytearray(icc)
    for at in range(132, 132 + 12 * count, 12):
        table[at : at + 4] = b"junk"  # sound by its structure, but without a curve
    Image.fromarray(dark()[..., 0]).save(path, icc_profile=bytes(table))
    for form in ("webp", "avif", "png"):
        result = relume("enhance", path, "--format", form)
        assert result.code == 0, result.err
        assert "damaged colour profile ignored" in result.err


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
