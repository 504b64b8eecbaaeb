"""Writing: what survives in each format, what is noted as lost, and files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, IptcImagePlugin

from relume.errors import OutputUnwritable, RelumeError, UsageError
from relume.photo import FORMATS, Metadata, Photo, encode_photo, read_photo, write_photo
from relume.photo import write as write_module
from relume.photo.codecs import png as png_module

from . import samples

BLOCK = samples.exif().removeprefix(b"Exif\0\0")
ABOUT = Metadata(exif=BLOCK, xmp=samples.XMP % 1, iptc=samples.IPTC, dpi=(300.0, 300.0))


@st.composite
def photos(draw: st.DrawFn) -> Photo:
    """Any photo of 1..40 x 1..40 pixels: 8 or 16 bits, grey or colour, with or without alpha."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    top = draw(st.sampled_from([1, 40, 255, np.iinfo(kind).max]))
    grey, opaque = draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixels = rng.integers(0, top + 1, (height, width, 4)).astype(kind)
    rgb = np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels[..., :3]
    return Photo(rgb, None if opaque else pixels[..., 3], grey)


@pytest.mark.parametrize("form", ["png", "tiff"])
@settings(max_examples=80, deadline=None)
@given(photo=photos())
def test_lossless_round_trip_is_exact(form: str, photo: Photo) -> None:
    data, notes = encode_photo(photo, format=form)
    again = read_photo(data)
    assert notes == again.notes == ()
    assert again.bits == photo.bits
    assert again.grey == photo.grey
    np.testing.assert_array_equal(again.rgb_HWC, photo.rgb_HWC)
    assert (again.alpha_HW is None) == (photo.alpha_HW is None)
    if again.alpha_HW is not None and photo.alpha_HW is not None:
        np.testing.assert_array_equal(again.alpha_HW, photo.alpha_HW)


@settings(max_examples=30, deadline=None)
@given(photo=photos(), form=st.sampled_from(list(FORMATS)), strip=st.booleans())
def test_every_photo_fits_every_format(photo: Photo, form: str, strip: bool) -> None:
    again = read_photo(encode_photo(photo, format=form, strip=strip)[0])
    assert again.rgb_HWC.shape == photo.rgb_HWC.shape
    assert again.format == form
    assert again.bits == (photo.bits if FORMATS[form].bits > 8 else 8)


# Metadata


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_survives(name: str) -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    photo = Photo(samples.ramp(), metadata=replace(ABOUT, icc=icc))
    data, notes = encode_photo(photo, format=name)
    assert samples.exif_facts(data) == samples.FACTS
    again = read_photo(data)
    assert again.metadata.xmp == ABOUT.xmp
    assert again.metadata.icc == icc
    if name in ("jpeg", "png", "webp"):
        assert again.metadata.exif == BLOCK
    if FORMATS[name].iptc:
        assert again.metadata.iptc == ABOUT.iptc
        assert notes == ()
    else:
        assert notes == (f"IPTC dropped: {FORMATS[name].title} has no place for it",)
    if name in ("jpeg", "png", "tiff"):
        assert again.metadata.dpi == (300, 300)
    third = read_photo(encode_photo(again)[0])
    assert samples.exif_facts(encode_photo(third)[0]) == samples.FACTS


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.iptc])
def test_other_programs_find_the_iptc(name: str) -> None:
    data, _ = encode_photo(Photo(samples.ramp(), metadata=ABOUT), format=name)
    with Image.open(io.BytesIO(data)) as image:
        assert IptcImagePlugin.getiptcinfo(image) == {(2, 5): b"title", (2, 80): b"Me"}


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_exif_survives_a_change_of_format(source: str, target: str) -> None:
    first = encode_photo(Photo(samples.ramp(), metadata=Metadata(exif=BLOCK)), format=source)[0]
    assert samples.exif_facts(encode_photo(read_photo(first), format=target)[0]) == samples.FACTS


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_of_files_with_metadata_open_in_pillow(name: str) -> None:
    alpha = np.full((24, 32), 200, np.uint8)
    photo = Photo(samples.ramp(), alpha if FORMATS[name].alpha else None, metadata=ABOUT)
    data, _ = encode_photo(photo, format=name, quality=100)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (32, 24)
        assert np.abs(np.asarray(image)[..., :3].astype(int) - samples.ramp()).max() < 20
        assert image.mode == ("RGBA" if FORMATS[name].alpha else "RGB")
        assert Image.MIME[str(image.format)] == FORMATS[name].mime


@pytest.mark.parametrize("name", FORMATS)
def test_strip_leaves_nothing(name: str) -> None:
    data, notes = encode_photo(Photo(samples.ramp(), metadata=ABOUT), format=name, strip=True)
    again = read_photo(data).metadata
    assert notes == ()
    assert (again.xmp, again.iptc, again.icc) == (None, None, None)
    assert b"Maker" not in data
    assert b"title" not in data


def test_blocks_too_long_for_jpeg_are_noted() -> None:
    about = Metadata(exif=BLOCK + bytes(70_000), xmp=b"x" * 70_000)
    data, notes = encode_photo(Photo(samples.ramp(), metadata=about), format="jpeg")
    assert notes == ("EXIF dropped: too long for JPEG", "XMP dropped: too long for JPEG")
    assert read_photo(data).metadata.exif is None


@pytest.mark.parametrize("name", FORMATS)
def test_nonsense_exif_does_no_harm(name: str) -> None:
    photo = Photo(samples.ramp(), metadata=Metadata(exif=b"nonsense"))
    data, _ = encode_photo(photo, format=name)
    assert read_photo(data).rgb_HWC.shape == photo.rgb_HWC.shape


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("dpi", [None, (72.0, 72.0), (300.0, 150.0)])
def test_resolution_is_the_files_own(name: str, dpi: tuple[float, float] | None) -> None:
    data, _ = encode_photo(Photo(samples.ramp(), metadata=Metadata(dpi=dpi)), format=name)
    assert read_photo(data).metadata.dpi == (None if dpi is None else pytest.approx(dpi, abs=0.02))
    with Image.open(io.BytesIO(data)) as image:
        stated = image.info.get("dpi")
    assert stated == (None if dpi is None else pytest.approx(dpi, abs=0.1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("strip", [False, True])
def test_comments_and_texts_stay_or_are_noted(name: str, strip: bool) -> None:
    about = Metadata(
        comments=(b"by hand", b"\xff"), texts=((b"tEXt", b"Author\0Jane"), (b"iTXt", b"Title\0\0\0\0\0N"))
    )
    data, notes = encode_photo(Photo(samples.ramp(), metadata=about), format=name, strip=strip)
    again = read_photo(data).metadata
    title = FORMATS[name].title
    assert again.comments == (about.comments if name == "jpeg" and not strip else ())
    assert again.texts == (about.texts if name == "png" and not strip else ())
    assert (f"comment dropped: {title} has no place for it" in notes) == (name != "jpeg" and not strip)
    assert (f"text dropped: {title} has no place for it" in notes) == (name != "png" and not strip)


def test_exif_tells_the_size_that_is_written() -> None:
    block = Image.Exif()
    block.get_ifd(0x8769).update({0xA002: 4000, 0xA003: 70000})
    exif = block.tobytes().removeprefix(b"Exif\0\0")
    data, _ = encode_photo(Photo(samples.ramp(), metadata=Metadata(exif=exif)), format="jpeg")
    with Image.open(io.BytesIO(data)) as image:
        inner = image.getexif().get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (32, 24)
    for size in range(len(exif)):  # cut off anywhere
        encode_photo(Photo(samples.ramp(), metadata=Metadata(exif=exif[:size])), format="png")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("name", "strip"), [("png", True), ("tiff", True), ("webp", False), ("avif", False)])
def test_grey_profile_that_cannot_stay_is_applied(name: str, strip: bool, bits: int) -> None:
    top = 2**bits - 1
    linear = np.full((16, 16, 3), round(0.2 * top), np.uint8 if bits == 8 else np.uint16)
    photo = Photo(linear, grey=True, metadata=Metadata(icc=samples.grey_profile(1.0)))
    data, _ = encode_photo(photo, format=name, strip=strip, quality=100)
    again = read_photo(data)
    assert again.metadata.icc is None
    expected = 1.055 * 0.2 ** (1 / 2.4) - 0.055  # the sRGB curve
    assert again.rgb_HWC / (2**again.bits - 1) == pytest.approx(expected, abs=0.008)


def test_unfitting_profile_is_dropped_with_a_note() -> None:
    photo = Photo(samples.ramp(), metadata=Metadata(icc=samples.grey_profile()))
    data, notes = encode_photo(photo, format="png")
    assert notes == ("colour profile dropped: it does not fit the photo",)
    assert read_photo(data).metadata.icc is None


# What a format cannot hold


def test_16_bits_are_rounded_to_8_correctly() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    photo = Photo(np.repeat(values[..., None], 3, axis=2), values, grey=True)
    image, notes = write_module._image(photo, photo.bits, replace(FORMATS["png"], bits=8), None)
    expected = np.round(values / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(image.numpy()[..., 0], expected)
    np.testing.assert_array_equal(image.numpy()[..., 1], expected)
    assert notes == ["16 bits per channel reduced to 8"]


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_laid_on_white_for_jpeg(bits: int) -> None:
    top = 2**bits - 1
    kind = np.uint8 if bits == 8 else np.uint16
    alpha = np.full((16, 16), top // 2, kind)
    photo = Photo(np.zeros((16, 16, 3), kind), alpha)
    data, notes = encode_photo(photo, format="jpeg")
    assert notes[0] == "transparency laid on white: JPEG holds none"
    assert np.abs(read_photo(data).rgb_HWC.astype(int) - 128).max() <= 2


def test_unequal_channels_of_a_grey_photo_become_luma() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 1] = 200
    again = read_photo(encode_photo(Photo(pixels, grey=True), format="png")[0])
    assert again.grey
    assert int(again.rgb_HWC[0, 0, 0]) == round(200 * 183 / 256)


def test_quality_changes_size_and_is_checked() -> None:
    photo = Photo(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    for name in ("jpeg", "webp", "avif"):
        small, usual, large = (len(encode_photo(photo, format=name, quality=q)[0]) for q in (20, None, 100))
        assert small < usual < large
    for wrong in (0, 101):
        with pytest.raises(UsageError):
            encode_photo(photo, format="jpeg", quality=wrong)


@pytest.mark.parametrize(("name", "quality"), [("jpeg", 95), ("webp", 90), ("avif", 80)])
def test_without_a_quality_the_documented_one_is_taken(name: str, quality: int) -> None:
    photo = Photo(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    assert encode_photo(photo, format=name) == encode_photo(photo, format=name, quality=quality)


def test_too_large_for_the_format() -> None:
    with pytest.raises(OutputUnwritable, match="WebP holds at most 16383"):
        encode_photo(Photo(np.zeros((1, 16384, 3), np.uint8)), format="webp")


@pytest.mark.parametrize(
    "arrays",
    [
        [np.zeros((4, 4), np.uint8)],
        [np.zeros((0, 4, 3), np.uint8)],
        [np.zeros((4, 4, 3), np.float32)],
        [np.zeros((4, 4, 3), np.int64)],
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)],
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)],
    ],
)
def test_wrong_arrays_are_no_photo(arrays: list[np.ndarray]) -> None:
    with pytest.raises(UsageError, match="the photo's"):
        Photo(*arrays)


def test_arrays_need_not_be_contiguous() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    view = pixels[::2, ::-1, :3]
    np.testing.assert_array_equal(read_photo(encode_photo(Photo(view), format="png")[0]).rgb_HWC, view)


# Which format


@pytest.mark.parametrize("name", FORMATS)
def test_format_by_argument_suffix_and_source(name: str, tmp_path: Path) -> None:
    form = FORMATS[name]
    photo = Photo(samples.ramp(), format=name)
    for suffix in form.suffixes:
        write_photo(replace(photo, format=""), tmp_path / f"by-suffix{suffix.upper()}")
        assert read_photo(tmp_path / f"by-suffix{suffix.upper()}").format == name
    write_photo(photo, tmp_path / "by-source")
    assert read_photo(tmp_path / "by-source").format == name
    write_photo(photo, tmp_path / "by-argument.png", format=form.suffixes[0])
    assert read_photo(tmp_path / "by-argument.png").format == name


@pytest.mark.parametrize("target", ["photo.gif", "photo.svg", "photo.v", "photo", "photo.jpg[Q=5]"])
def test_unknown_format(target: str, tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="JPEG, PNG, WebP, TIFF, AVIF"):
        write_photo(Photo(samples.ramp()), tmp_path / target)
    assert list(tmp_path.iterdir()) == []


# Whole or not at all


@pytest.mark.parametrize("name", FORMATS)
def test_failure_halfway_leaves_the_old_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"photo.{name}"
    target.write_bytes(b"old")

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", breaks)
        with pytest.raises(KeyboardInterrupt):
            write_photo(Photo(samples.ramp()), target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_interrupt_inside_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> object:
        def write(_chunk: bytes) -> None:
            raise KeyboardInterrupt

        return write

    monkeypatch.setattr(png_module, "inserting", breaks)
    with pytest.raises(KeyboardInterrupt):
        write_photo(Photo(samples.ramp()), tmp_path / "photo.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
def test_no_space_left(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from relume.errors import OutputUnwritable
        from relume.photo import FORMATS, Photo, write_photo
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        photo = Photo(np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8))
        for name in FORMATS:
            try:
                write_photo(photo, Path(sys.argv[1]) / f"photo.{name}", quality=100)
            except OutputUnwritable as error:
                print(error)
            else:
                print("DONE", name)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(FORMATS)
    assert "DONE" not in done.stdout
    assert done.stdout.count("free space") == len(FORMATS)
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_files(tmp_path: Path) -> None:
    photo = Photo(samples.ramp())
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    before = sorted(tmp_path.iterdir())
    for name in ("folder.png", "pipe.png", "missing/photo.png", "x" * 300 + ".png", "nul\0.png"):
        with pytest.raises(OutputUnwritable) as caught:
            write_photo(photo, tmp_path / name)
        assert "\n" not in str(caught.value)
        assert caught.value.remedy
    with pytest.raises(OutputUnwritable):
        write_photo(photo, Path("/dev/null"), format="png")
    assert Path("/dev/null").is_char_device()
    assert sorted(tmp_path.iterdir()) == before


def test_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_photo(Photo(samples.ramp()), tmp_path / "photo.png")
    finally:
        os.umask(old)
    assert (tmp_path / "photo.png").stat().st_mode & 0o777 == 0o640


def test_write_replaces_its_own_source(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    write_photo(Photo(samples.ramp(16)), path)
    photo = read_photo(path)
    write_photo(photo.with_pixels(photo.rgb_HWC[::-1]), path)
    np.testing.assert_array_equal(read_photo(path).rgb_HWC, samples.ramp(16)[::-1])


def test_errors_are_relumes() -> None:
    assert issubclass(OutputUnwritable, RelumeError)
