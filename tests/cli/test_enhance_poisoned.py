"""Batches with poisoned files: the rest is done, each is named, and nothing is lost in place."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from photo.broken import broken_files
from photo.samples import exif
from relume.errors import ExitCode
from relume.photo import Metadata, Photo, encode_photo, read_photo
from shared import CASES, Result, dark, digest

Run = Callable[..., Result]
POISONED = (
    *("jpeg-cut-half.jpeg", "png-bad-data.png", "webp-frame-damaged.webp", "tiff-float.tif", "bomb.png"),
    *("empty.jpg", "zeros.jpg", "picture.heic", "raw-camera.dng"),
)


def test_ten_poisoned_files_of_a_hundred(relume: Run, tmp_path: Path) -> None:
    """One of them breaks libvips' own messages; those after it are read all the same."""
    folder, everything = tmp_path / "in", tmp_path / "broken"
    folder.mkdir()
    everything.mkdir()
    made = broken_files(everything)
    for number in range(90):
        Image.fromarray(dark(seed=number)).save(
            folder / f"photo-{number:02}.{('png', 'jpg', 'webp')[number % 3]}"
        )
    poisoned = [folder / f"photo-{8 * place:02}-{name}" for place, name in enumerate(POISONED)]
    for path, name in zip(poisoned, POISONED, strict=True):
        shutil.copy(made[name], path)
    poisoned.append(folder / "photo-00-unicode.avif")
    shutil.copy(CASES / "unicode_error.avif", poisoned[-1])
    result = relume("enhance", folder, "-o", tmp_path / "out", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    failed = [line for line in result.lines if line["status"] == "failed"]
    assert sorted(line["input"] for line in failed) == sorted(map(str, poisoned))
    assert {line["error"]["code"] for line in failed} == {ExitCode.INPUT_INVALID, ExitCode.INPUT_TOO_LARGE}
    results = list((tmp_path / "out").iterdir())
    assert len(results) == 90
    assert all(read_photo(path).rgb_HWC.mean() > 30 for path in results)
    *lines, summary = result.err.splitlines()
    assert len(lines) == 100
    assert summary.startswith("90 done, 0 left alone, 10 failed, 0 skipped; ")
    for path in poisoned:
        assert sum(line.startswith(f"relume: {path}: ") for line in lines) == 1


# Files that hold what cannot be written again


def xmp(said: bytes) -> bytes:
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"%b></x:xmpmeta>' % said


def written(form: str, said: bytes) -> bytes:
    """A dark photo with this in its XMP."""
    return encode_photo(Photo(dark(), metadata=Metadata(xmp=xmp(said))), format=form)[0]


def saved(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(dark()).save(stream, form, **options)
    return stream.getvalue()


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG file with further segments behind its start."""
    data = saved("JPEG")
    return data[:2] + b"".join(struct.pack(">BBH", 255, n, len(s) + 2) + s for n, s in segments) + data[2:]


def with_chunk(name: bytes, content: bytes) -> bytes:
    data, check = saved("PNG"), struct.pack(">I", zlib.crc32(name + content))
    return data[:33] + struct.pack(">I", len(content)) + name + content + check + data[33:]


def unkeepable() -> dict[str, bytes]:
    more = {"save_all": True, "append_images": [Image.fromarray(dark(seed=5))]}
    gain_map, extended = b' hdrgm:Version="1.0"', b' xmpNote:HasExtendedXMP="0"'
    two_exif, two_xmp = (0xE1, exif()), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(b""))
    files = {
        "content-credentials.jpg": (CASES / "c2pa.jpg").read_bytes(),
        "pages.tif": saved("TIFF", **more),
        "moving.webp": saved("WEBP", **more),
        "moving.png": saved("PNG", **more),
        "moving.avif": saved("AVIF", **more),
        "two-pictures.jpg": saved("MPO", **more),
        "two-exif.jpg": with_segments(two_exif, (0xE1, exif(3))),
        "two-xmp.jpg": with_segments(two_xmp, two_xmp),
        "damaged-exif.jpg": with_segments((0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")),
        "damaged-photoshop.jpg": with_segments((0xED, b"Photoshop 3.0\x008BIM\x04\x0c\0\0\0\0\xff\xff")),
        "chunk.png": with_chunk(b"prVT", b"not safe to copy"),
        "raw.dng": saved("TIFF", tiffinfo={50706: b"\x01\x04\0\0"}),
    }
    for form, suffix in (
        ("jpeg", "jpg"),
        ("png", "png"),
        ("webp", "webp"),
        ("tiff", "tif"),
        ("avif", "avif"),
    ):
        files[f"gain-map.{suffix}"] = written(form, gain_map)
    for form in ("jpeg", "png", "webp"):
        files[f"extended-xmp.{form}"] = written(form, extended)
    return files


def test_twenty_files_that_would_lose_something_in_place_stay(relume: Run, tmp_path: Path) -> None:
    files = unkeepable()
    assert len(files) == 20
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    before = {path: digest(path) for path in tmp_path.iterdir()}
    result = relume("enhance", tmp_path, "--in-place", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert {line["input"]: line["status"] for line in result.lines} == dict.fromkeys(
        map(str, before), "failed"
    )
    assert {path: digest(path) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", [name for name in unkeepable() if name != "raw.dng"])
def test_elsewhere_the_loss_is_a_note(relume: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(unkeepable()[name])
    result = relume("enhance", path, "-o", tmp_path / f"new{path.suffix}", "--json")
    assert result.code == 0
    assert [note for note in result.lines[0]["notes"] if "dropped" in note or "only the" in note]
