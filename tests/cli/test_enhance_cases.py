"""`relume enhance` with small files of kinds that once went wrong: each gives what it should."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photo import samples
from photo.broken import chunk, tiff
from photo.test_read import items, jpeg_with, png_with, xmp
from photo.test_read import segment as segment_of
from relume.errors import ExitCode
from relume.photo import read_photo
from relume.photo.codecs import segments
from shared import CASES, Result, dark, digest

Run = Callable[..., Result]
UPRIGHT = (150, 100, 3)


@pytest.fixture
def case(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a case."""

    def copy(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes((CASES / name).read_bytes())
        return path

    return copy


def segment(path: Path, start: bytes) -> bytes:
    """The content of the JPEG segment that starts so."""
    data = path.read_bytes()
    listed = segments.parts(lambda at, size: data[at : at + size])
    contents = (data[part.at : part.at + part.size] for part in listed)
    return next(content for content in contents if content.startswith(start))


def trailer(path: Path) -> bytes:
    data = path.read_bytes()
    *_, end = segments.parts(lambda at, size: data[at : at + size])
    assert end.marker == segments.END
    return data[end.at :]


def exif(path: Path) -> Image.Exif:
    with Image.open(path) as image:
        image.load()
        return image.getexif()


def test_samsungs_scan_parameters(relume: Run, case: Callable[[str], Path], tmp_path: Path) -> None:
    result = relume("enhance", case("samsung_sos.jpg"), "-o", tmp_path / "new.png")
    assert result.code == 0, result.err
    data = (CASES / "samsung_sos.jpg").read_bytes()
    scan = data.index(b"\xff\xda") + 2
    at = scan + int.from_bytes(data[scan : scan + 2], "big") - 3
    plain = read_photo(data[:at] + b"\0\x3f\0" + data[at + 3 :])
    np.testing.assert_array_equal(read_photo(data).rgb_HWC, plain.rgb_HWC)
    assert relume("enhance", tmp_path / "samsung_sos.jpg", "--in-place").code == 0


@pytest.mark.parametrize(
    ("name", "part", "title"),
    [
        ("trailer_mp4_samsung.jpg", trailer, "data behind the photo"),
        ("flir_like.jpg", lambda path: segment(path, b"FLIR\0"), "segment APP1 'FLIR'"),
    ],
)
def test_what_stands_beside_a_jpeg_stays(
    relume: Run,
    case: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    part: Callable[[Path], bytes],
    title: str,
) -> None:
    path = case(name)
    before = part(path)
    assert len(before) > 4000
    beside = relume("enhance", path, "-o", tmp_path / "new.jpg")
    assert (beside.code, "dropped" in beside.err) == (0, False)
    assert part(tmp_path / "new.jpg") == before
    assert relume("enhance", path, "--in-place").code == 0
    assert part(path) == before
    elsewhere = relume("enhance", path, "-o", tmp_path / "new.png")
    assert f"{title} dropped: PNG has no place for it" in elsewhere.err


def test_content_credentials_are_never_lost_in_silence(
    relume: Run, case: Callable[[str], Path], tmp_path: Path
) -> None:
    path = case("c2pa.jpg")
    before = digest(path)
    alone = relume("enhance", path, "--in-place")
    assert alone.code == ExitCode.OUTPUT_UNWRITABLE
    assert "C2PA" in alone.err
    assert digest(path) == before
    elsewhere = relume("enhance", path, "-o", tmp_path / "new.jpg")
    assert elsewhere.code == 0
    assert "C2PA" in elsewhere.err
    assert b"jumb" not in (tmp_path / "new.jpg").read_bytes()


def test_tags_of_a_tiff_stay(relume: Run, case: Callable[[str], Path], tmp_path: Path) -> None:
    path = case("geotiff.tif")

    def tags() -> dict[int, object]:
        with Image.open(path) as image:
            known = (269, 270, 285, 305, 316, 33550, 33922, 34377, 34735, 42113, 50000)
            return {tag: image.tag_v2[tag] for tag in known}  # type: ignore[attr-defined]

    before, pixels = tags(), read_photo(path).rgb_HWC
    assert relume("enhance", path, "--in-place").err.count("dropped") == 0
    assert tags() == before
    assert read_photo(path).rgb_HWC.mean() > pixels.mean()
    result = relume("enhance", path, "-o", tmp_path / "new.jpg")
    assert result.code == 0
    assert "TIFF tag 269" in result.err
    assert "dropped: JPEG has no place for it" in result.err


@pytest.mark.parametrize("name", ["exif_after_idat.png", "exif_double_prefix.jpg"])
def test_exif_is_found_and_the_photo_upright(
    relume: Run, case: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = case(name)
    result = relume("enhance", path, "--in-place")
    assert (result.code, "dropped" in result.err) == (0, False)
    assert read_photo(path).rgb_HWC.shape == UPRIGHT
    assert exif(path).get(0x010F) == "Canon"
    assert exif(path).get(0x0112, 1) == 1
    with Image.open(path) as image:
        assert image.size == (100, 150)


def test_xmp_behind_the_pixels_stays(relume: Run, case: Callable[[str], Path], tmp_path: Path) -> None:
    path, target = case("xmp_after_idat.png"), tmp_path / "new.png"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        before = image.info["XML:com.adobe.xmp"]
    assert relume("enhance", path, "-o", target).code == 0
    with Image.open(target) as image:
        image.load()
        assert image.info["XML:com.adobe.xmp"] == before
    assert relume("enhance", path, "--in-place").code == 0
    body = before[: before.rindex("</rdf:RDF>")]
    assert body.encode() in path.read_bytes()


def test_a_damaged_profile_is_noted(relume: Run, case: Callable[[str], Path], tmp_path: Path) -> None:
    result = relume("enhance", case("iccp_bad.png"), "-o", tmp_path / "new.png")
    assert result.code == 0
    assert "damaged colour profile ignored" in result.err


def unkeepable() -> dict[str, bytes]:
    """Files that hold something that relume cannot keep, each something else."""

    def several(form: str, **options: object) -> bytes:
        stream = io.BytesIO()
        pages = [Image.fromarray(dark(seed=seed)) for seed in range(2)]
        pages[0].save(stream, form, save_all=True, append_images=pages[1:], **options)
        return stream.getvalue()

    def one(form: str, **options: object) -> bytes:
        return samples.pillow_file(dark(), form, **options)

    def said(properties: bytes, inside: bytes = b"") -> bytes:
        return segment_of(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(properties, inside))

    webp = one("WEBP") + b"C2PA\x04\0\0\0jumb"
    ends = png_with(chunk(b"acTL", bytes(8)))
    return {
        "credentials.jpg": (CASES / "c2pa.jpg").read_bytes(),
        "credentials.png": png_with(chunk(b"caBX", b"jumb")),
        "credentials.webp": webp[:4] + (len(webp) - 8).to_bytes(4, "little") + webp[8:],
        "pictures.jpg": several("MPO"),
        "pages.tif": several("TIFF"),
        "moving.png": several("PNG"),
        "moving.webp": several("WEBP"),
        "claims.png": ends,
        "gain.jpg": jpeg_with(segment_of(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))),
        "gain-xmp.jpg": jpeg_with(said(b' hdrgm:Version="1.0"')),
        "depth.jpg": jpeg_with(said(b"", items(b"Primary", b"Depth"))),
        "lost-video.jpg": jpeg_with(said(b' GCamera:MotionPhoto="1"')),
        "wide-pixels.png": png_with(chunk(b"pHYs", b"\0\0\0\1\0\0\0\2\0")),
        "video.avif": one("AVIF") + b"\0\0\0\x18mpvd" + bytes(range(16)),
        "two-exif.jpg": jpeg_with(*[segment_of(0xE1, samples.exif())] * 2),
        "bad-exif.jpg": jpeg_with(segment_of(0xE1, b"Exif\0\0nonsense")),
        "bad-resources.jpg": jpeg_with(segment_of(0xED, b"Photoshop 3.0\x008BIM\x07\xd0\0\0\0\0\0\x40")),
        "preview.png": png_with(chunk(b"prVW", b"as it was")),
        "raw-profile.png": png_with(chunk(b"zTXt", b"Raw profile type exif\0\0junk")),
        "layers.tif": one("TIFF", tiffinfo={37724: b"layers"}),
        "turned-place.tif": one("TIFF", tiffinfo={33550: (1.0, 1.0, 0.0), 274: 6}),
        "channel.tif": tiff(2, 2, channels=4, extra=0, data=bytes(range(16))),
    }


def test_files_that_hold_something_that_cannot_be_kept(relume: Run, tmp_path: Path) -> None:
    files = unkeepable()
    assert len(set(files.values())) > 20
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    result = relume("enhance", folder, "--in-place", "--strength", "1", "--json")
    assert result.code == ExitCode.BATCH_PARTLY_FAILED
    assert {line["input"]: line.get("error", {}).get("code") for line in result.lines} == dict.fromkeys(
        (str(folder / name) for name in files), ExitCode.OUTPUT_UNWRITABLE
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    elsewhere = relume("enhance", folder, "-o", tmp_path / "out", "--strength", "1", "--json")
    assert elsewhere.code == 0
    assert all(line["notes"] for line in elsewhere.lines)
