"""`relume enhance --in-place`: what a replaced photo keeps, and which photos are not replaced."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from photo import samples
from relume.errors import ExitCode
from relume.photo import FORMATS, Metadata, Photo, read_photo, write_photo
from shared import Result, dark, digest

Run = Callable[..., Result]
Make = Callable[..., Path]
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("permissions", [0o600, 0o664, 0o444])
def test_permissions_stay(
    relume: Run,
    photo: Make,
    umask: None,
    monkeypatch: pytest.MonkeyPatch,
    permissions: int,
    nameless: bool,
) -> None:
    if not nameless:
        monkeypatch.setattr("relume.files._nameless_file", lambda _: None)
    path = photo("night.png")
    path.chmod(permissions)
    assert relume("enhance", path, "--in-place").code == 0
    assert read_photo(path).rgb_HWC.mean() > dark().mean()
    assert mode(path) == permissions


@posix
def test_an_owner_that_cannot_be_kept_is_no_failure(
    relume: Run, photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    path = photo("night.png")
    path.chmod(0o600)
    assert relume("enhance", path, "--in-place").code == 0
    assert mode(path) == 0o600


@posix
def test_a_new_file_has_the_usual_permissions(relume: Run, photo: Make, umask: None, tmp_path: Path) -> None:
    path = photo("night.png")
    path.chmod(0o600)
    assert relume("enhance", path).code == 0
    assert relume("enhance", path, "--strength", 0, "-o", tmp_path / "out").code == 0
    assert mode(tmp_path / "night.relume.png") == mode(tmp_path / "out" / "night.png") == 0o644


@pytest.mark.parametrize("outright", [True, False])
def test_a_link_stays_and_its_photo_is_replaced(
    relume: Run, photo: Make, tmp_path: Path, outright: bool
) -> None:
    path, link = photo("kept/night.png"), tmp_path / "in" / "link.png"
    link.parent.mkdir()
    link.symlink_to(Path("..", "kept", "night.png"))
    assert relume("enhance", link if outright else link.parent, "--in-place").code == 0
    assert link.readlink() == Path("..", "kept", "night.png")
    assert read_photo(path).rgb_HWC.mean() > dark().mean()
    assert [file.name for file in path.parent.iterdir()] == ["night.png"]
    assert [file.name for file in link.parent.iterdir()] == ["link.png"]


@pytest.mark.parametrize("nameless", [True, False])
def test_the_new_photo_is_on_the_disk_before_the_old_one_goes(
    relume: Run, photo: Make, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    if not nameless:
        monkeypatch.setattr("relume.files._nameless_file", lambda folder: None)
    path, steps = photo("night.png"), []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("replaced")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    assert relume("enhance", path, "--in-place").code == 0
    assert steps == [path.stat().st_size, "folder", "replaced", "folder"]


@pytest.mark.parametrize("name", ["pages.tif", "moving.webp", "moving.png"])
def test_a_file_of_several_pictures_is_not_replaced(
    relume: Run, photo: Make, tmp_path: Path, name: str
) -> None:
    more: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(dark(seed=5))]}
    path, other = photo(f"in/{name}", **more), photo("in/night.png")
    before = digest(path), digest(other)
    alone = relume("enhance", path, "--in-place")
    assert alone.code == ExitCode.OUTPUT_UNWRITABLE
    assert "picture" in alone.err
    assert "-o" in alone.err
    assert relume("enhance", path.parent, "--in-place").code == ExitCode.BATCH_PARTLY_FAILED
    assert digest(path) == before[0]
    assert digest(other) != before[1]
    assert relume("enhance", path, "-o", tmp_path / "out").code == 0


def test_a_motion_photo_is_not_replaced(relume: Run, photo: Make, tmp_path: Path) -> None:
    said = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" GCamera:MotionPhoto="1"></x:xmpmeta>'
    path = photo("motion.jpg", xmp=said)
    before = digest(path)
    alone = relume("enhance", path, "--in-place")
    assert alone.code == ExitCode.OUTPUT_UNWRITABLE
    assert "video" in alone.err
    assert digest(path) == before


@pytest.mark.parametrize("said", [b' hdrgm:Version="1.0"', b' xmpNote:HasExtendedXMP="0"'])
def test_what_cannot_be_written_again_is_not_lost(relume: Run, photo: Make, said: bytes) -> None:
    path = photo("more.jpg", xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"%b></x:xmpmeta>' % said)
    before = digest(path)
    alone = relume("enhance", path, "--in-place")
    assert alone.code == ExitCode.OUTPUT_UNWRITABLE
    assert "dropped" in alone.err
    assert digest(path) == before
    assert relume("enhance", path).code == 0


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes here")
def test_extended_attributes_stay(relume: Run, photo: Make) -> None:
    path = photo("night.png")
    try:
        os.setxattr(path, "user.tags", b"evening")
    except OSError:
        pytest.skip("this disk has no extended attributes")
    assert relume("enhance", path, "--in-place").code == 0
    assert os.getxattr(path, "user.tags") == b"evening"


@pytest.mark.parametrize("name", ["a.dng", "b.HEIC"])
def test_a_photo_of_a_read_only_format_fails_alone(relume: Run, photo: Make, name: str) -> None:
    path = photo("in/night.png")
    odd = path.with_name(name)
    odd.write_bytes(b"raw")
    before = digest(path)
    result = relume("enhance", path.parent, "--in-place", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert [line["status"] for line in result.lines] == ["failed", "ok"]
    assert result.lines[0]["error"]["code"] == ExitCode.OUTPUT_UNWRITABLE
    assert "Leave out --in-place" in result.lines[0]["error"]["message"]
    assert odd.read_bytes() == b"raw"
    assert digest(path) != before
    assert relume("enhance", odd, "--in-place").code == ExitCode.OUTPUT_UNWRITABLE


def test_a_read_only_format_is_told_by_content(relume: Run, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pytest.importorskip("pi_heif")
    path = tmp_path / "night.heic"
    pillow_heif.from_pillow(Image.fromarray(dark())).save(path)
    path = path.rename(tmp_path / "night.jpg")
    before = digest(path)
    assert relume("enhance", path, "--in-place").code == ExitCode.OUTPUT_UNWRITABLE
    assert digest(path) == before


def test_it_excludes_skip_existing(relume: Run, photo: Make) -> None:
    path = photo("night.png")
    before = digest(path)
    result = relume("enhance", path, "--in-place", "--skip-existing")
    assert result.code == ExitCode.USAGE
    assert "--skip-existing" in result.err
    assert digest(path) == before


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("xmp", [b"", samples.XMP % 1], ids=["none", "some"])
def test_a_second_run_leaves_what_the_first_wrote(relume: Run, tmp_path: Path, name: str, xmp: bytes) -> None:
    path = tmp_path / f"night{FORMATS[name].suffixes[0]}"
    write_photo(Photo(dark(), metadata=Metadata(xmp=xmp or None)), path)
    assert relume("enhance", path, "--in-place").code == 0
    once = path.read_bytes()
    assert read_photo(path).rgb_HWC.mean() > dark().mean() + 5
    again = relume("enhance", path, "--in-place", "--json")
    assert path.read_bytes() == once
    assert again.code == 0
    assert "enhanced in place before" in again.lines[0]["notes"][0]
    assert relume("enhance", path, "--in-place", "--quality", 50).code == 0
    assert path.read_bytes() == once
    kept = read_photo(path).metadata.xmp or b""
    assert b"relume:Enhanced" in kept
    if xmp:
        assert b"tiff:Orientation" in kept
    relume("enhance", path, "--in-place", "--strength", 1)
    assert path.read_bytes() != once


SAYS = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Make="me"%b'


@pytest.mark.parametrize(
    "xmp",
    [
        SAYS % b"/>",
        SAYS % b"></x:xmpmeta>",
        SAYS % b'><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>',
        SAYS % b'><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></r:RDF ></x:xmpmeta>',
        SAYS % b"></x:xmpmeta>" + b" " * 65_300 + b"<?xpacket end='w'?>",
        (SAYS % b"></x:xmpmeta>").decode().encode("utf-16"),
    ],
    ids=["empty", "no list", "empty list", "other prefix", "full of spaces", "utf-16"],
)
def test_every_packet_takes_the_mark(relume: Run, tmp_path: Path, xmp: bytes) -> None:
    path = tmp_path / "night.jpg"
    write_photo(Photo(dark(), metadata=Metadata(xmp=xmp)), path)
    assert relume("enhance", path, "--in-place").code == 0
    once = path.read_bytes()
    kept = read_photo(path).metadata.xmp or b""
    said = kept.decode("utf-16" if xmp[0] > 127 else "utf-8")
    words = ElementTree.fromstring(said.partition("<?xpacket end")[0])  # noqa: S314 - our own
    assert words.attrib == {"{http://ns.adobe.com/tiff/1.0/}Make": "me"}
    (mark,) = words.findall("{*}RDF/{*}Description")
    assert "{urn:relume:1.0:}Enhanced" in mark.attrib
    assert relume("enhance", path, "--in-place").code == 0
    assert path.read_bytes() == once


@pytest.mark.parametrize("name", FORMATS)
def test_strip_in_place_leaves_the_mark_alone(relume: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"night{FORMATS[name].suffixes[0]}"
    block = samples.exif().removeprefix(b"Exif\0\0")
    write_photo(Photo(dark(), metadata=Metadata(exif=block, xmp=samples.XMP % 1)), path)
    assert relume("enhance", path, "--in-place").code == 0
    bright = read_photo(path).rgb_HWC
    stripped = relume("enhance", path, "--in-place", "--strip", "--json")
    assert stripped.lines[0]["notes"] == ["pixels left as they are"]
    once, read = path.read_bytes(), read_photo(path)
    assert abs(read.rgb_HWC.mean() - bright.mean()) < 0.5
    assert read.metadata.exif is None
    assert b"tiff:Orientation" not in (read.metadata.xmp or b"")
    for options in ([], ["--strip"], ["--strip", "--quality", 50]):
        assert relume("enhance", path, "--in-place", *options).code == 0
        assert path.read_bytes() == once


@pytest.mark.parametrize("strip", [[], ["--strip"]])
def test_what_is_written_in_place_without_a_change_is_marked(
    relume: Run, photo: Make, strip: list[str]
) -> None:
    path = photo("light.jpg")
    Image.new("RGB", (32, 24), (200, 190, 180)).save(path, exif=samples.exif())
    assert relume("enhance", path, "--in-place", "--quality", 60, *strip).code == 0
    once = path.read_bytes()
    assert (b"Maker" in once) == (not strip)
    assert relume("enhance", path, "--in-place", "--quality", 60, *strip).code == 0
    assert path.read_bytes() == once


def test_a_photo_left_alone_in_place_is_not_touched(relume: Run, photo: Make) -> None:
    path = photo("light.png")
    Image.new("RGB", (32, 24), (200, 190, 180)).save(path)
    before = digest(path), path.stat().st_mtime_ns
    assert relume("enhance", path, "--in-place").code == 0
    assert (digest(path), path.stat().st_mtime_ns) == before


def test_a_link_to_a_photo_of_the_folder_is_no_second_photo(relume: Run, photo: Make, tmp_path: Path) -> None:
    path, other = photo("in/night.jpg", seed=1), photo("in/other.jpg", seed=2)
    for name in ("a-link.jpg", "z-link.jpg"):
        (tmp_path / "in" / name).symlink_to("night.jpg")
    before = digest(path), digest(other)
    result = relume("enhance", tmp_path / "in", "--in-place", "--json")
    assert result.code == 0
    assert [Path(line["input"]).name for line in result.lines] == ["night.jpg", "other.jpg"]
    assert digest(path) != before[0]
    assert digest(other) != before[1]
    assert (tmp_path / "in" / "a-link.jpg").is_symlink()
