"""`relume enhance` with photos that need nothing: the file itself is the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photo import samples
from relume.photo import FORMATS, Photo, encode_photo, read_photo
from shared import Result, dark

Run = Callable[..., Result]
Make = Callable[..., Path]
LEFT_ALONE = "left as it is"


@pytest.fixture
def day(tmp_path: Path) -> Make:
    """Makes a well-lit photo whose file relume would write otherwise: wide colours, another quality."""

    def make(name: str = "day.jpg", **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        icc = samples.icc_profile(*samples.ADOBE_RGB)
        Image.fromarray(dark() * 8).save(path, icc_profile=icc, quality=70, **options)
        return path

    return make


@pytest.mark.parametrize("name", ["day.jpg", "day.PNG", "day.webp", "day.tif", "day"])
def test_the_result_is_the_file(relume: Run, day: Make, name: str) -> None:
    path = day(name, format=None if "." in name else "png")
    data = path.read_bytes()
    (line,) = relume("enhance", path, "--json").lines
    assert (line["status"], line["width"], line["notes"]) == ("ok", 32, [LEFT_ALONE])
    assert path.with_stem("day.relume").read_bytes() == path.read_bytes() == data


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (["-o", "out/in"], "out/in/day.jpg"),
        (["-o", "new.jpeg"], "new.jpeg"),
        (["--format", "jpg"], "day.relume.jpg"),
    ],
)
def test_wherever_it_goes(
    relume: Run, day: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = relume("enhance", day().name, *options)
    assert result.err.endswith(f"; {LEFT_ALONE}\n")
    assert Path(target).read_bytes() == Path("day.jpg").read_bytes()


def test_through_a_pipe(relume: Run, day: Make, tmp_path: Path) -> None:
    data = day().read_bytes()
    result = relume("enhance", "-", "-o", "-", stdin=data)
    assert (result.out, result.err) == (data, f"{LEFT_ALONE}\n")
    result = relume("enhance", "-", "-o", tmp_path / "new.jpg", stdin=data)
    assert result.err == f"{LEFT_ALONE}\n"
    assert (tmp_path / "new.jpg").read_bytes() == data


def test_in_place_writes_nothing(relume: Run, day: Make, tmp_path: Path) -> None:
    path = day()
    before = path.stat()
    (line,) = relume("enhance", path, "--in-place", "--json").lines
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (line["status"], line["output"], line["notes"]) == ("ok", str(path), [LEFT_ALONE])


def test_further_pictures_stay(relume: Run, day: Make, tmp_path: Path) -> None:
    path = day("day.tif", save_all=True, append_images=[Image.fromarray(dark())])
    data = path.read_bytes()
    assert relume("enhance", path, "--in-place").code == 0
    assert relume("enhance", path).code == 0
    assert path.read_bytes() == path.with_stem("day.relume").read_bytes() == data


@pytest.mark.parametrize("options", [["--strip"], ["--quality", 40], ["--format", "png"], ["-o", "new.png"]])
def test_what_is_asked_for_is_done(
    relume: Run,
    day: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[object],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = day()
    (line,) = relume("enhance", path, *options, "--json").lines
    clipped = ["colours outside sRGB clipped: the profile is left out"] if options == ["--strip"] else []
    assert line["notes"] == ["pixels left as they are", *clipped]
    written = Path(line["output"])
    assert written.read_bytes() != path.read_bytes()
    assert read_photo(written).format == ("png" if "png" in str(options[-1]) else "jpeg")
    with Image.open(written) as image:
        assert ("icc_profile" in image.info) == (options != ["--strip"])
    piped = relume("enhance", "-", *options[:2], stdin=path.read_bytes())
    assert (piped.out or written.read_bytes()) != path.read_bytes()


def test_a_photo_of_a_read_only_format_is_written(relume: Run, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pytest.importorskip("pi_heif")
    path = tmp_path / "day.heic"
    pillow_heif.from_pillow(Image.fromarray(dark() * 8)).save(path)
    assert relume("enhance", path).code == 0
    assert read_photo(tmp_path / "day.relume.jpg").stored == "jpeg"


@pytest.mark.parametrize("name", FORMATS)
def test_strength_0_leaves_a_dark_photo_alone(relume: Run, name: str) -> None:
    data = encode_photo(Photo(dark()), format=name, quality=30)[0]
    assert relume("enhance", "-", "--strength", 0, stdin=data).out == data
