"""Reading: depth from the header, upright pixels, colours, notes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable
from relume.photo import FORMATS, Metadata, Photo, colour, encode_photo, read_photo, write_photo

from . import samples
from .broken import tiff


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def through_lcms(pixels: np.ndarray, icc: bytes) -> np.ndarray:
    """sRGB values as Pillow's lcms gives them."""
    to = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    done = ImageCms.applyTransform(Image.fromarray(pixels), to)
    assert done is not None
    return np.asarray(done)


@pytest.mark.parametrize("name", FORMATS)
def test_format_goes_by_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(samples.pillow_file(samples.ramp(), name.upper()))
    for source in (path, str(path), path.read_bytes()):
        photo = read_photo(source)
        assert photo.format == name
        assert photo.notes == ()
        assert photo.rgb_HWC.dtype == np.uint8
        assert photo.rgb_HWC.flags.c_contiguous
        assert np.abs(photo.rgb_HWC.astype(int) - samples.ramp()).max() < 20


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_depth_is_the_headers_not_the_largest_values(form: str) -> None:
    dark = np.random.default_rng(0).integers(0, 200, (9, 7, 3)).astype(np.uint16)
    data, notes = encode_photo(Photo(dark), format=form)
    photo = read_photo(data)
    assert photo.bits == 16
    assert notes == ()
    np.testing.assert_array_equal(photo.rgb_HWC, dark)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_from_another_writer(form: str) -> None:
    grey = (np.arange(63).reshape(7, 9) * 3).astype(np.uint16)
    photo = read_photo(samples.pillow_file(grey, form))
    assert (photo.bits, photo.grey, photo.alpha_HW) == (16, True, None)
    np.testing.assert_array_equal(photo.rgb_HWC, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff"])
def test_orientation_is_applied_once(name: str, orientation: int) -> None:
    original = samples.ramp()
    options: dict[str, object] = {"exif": samples.exif(orientation), "quality": 95}
    if name == "tiff":
        options = {"tiffinfo": {274: orientation}}
    data = samples.pillow_file(original, name.upper(), **options)
    turned = Image.fromarray(original)
    turned.getexif()[0x0112] = orientation
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = np.asarray(turned if orientation == 1 else turned.transpose(turns[orientation]))

    photo = read_photo(data)
    assert np.abs(photo.rgb_HWC.astype(int) - expected).max() < 20
    again = read_photo(encode_photo(photo)[0])
    assert again.rgb_HWC.shape == expected.shape
    assert np.abs(again.rgb_HWC.astype(int) - expected).max() < 24
    assert samples.exif_facts(encode_photo(photo)[0])["orientation"] == 1


def test_xmp_orientation_is_upright_too() -> None:
    data = samples.pillow_file(samples.ramp(), "JPEG", exif=samples.exif(6), xmp=samples.XMP % 6)
    assert read_photo(data).metadata.xmp == samples.XMP % 1


def test_thumbnail_is_dropped_and_the_rest_stays() -> None:
    thumbnail = b"\xff\xd8 an old small picture \xff\xd9"
    block = samples.exif(3, thumbnail)
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", exif=block))
    assert photo.metadata.exif is not None
    assert b"an old small picture" not in photo.metadata.exif
    assert samples.exif_facts(encode_photo(photo)[0]) == samples.FACTS


def test_thumbnail_in_the_middle_is_blanked() -> None:
    block = samples.exif(1, b"an old small picture") + b"tail"
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", exif=block))
    assert photo.metadata.exif is not None
    assert len(photo.metadata.exif) == len(block) - len(b"Exif\0\0")
    assert b"old small" not in photo.metadata.exif


def test_damaged_exif_is_dropped_with_a_note() -> None:
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", exif=b"Exif\0\0nonsense"))
    assert photo.metadata.exif is None
    assert photo.notes == ("damaged EXIF dropped",)


# Colour


def test_srgb_profile_changes_nothing_and_stays() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    icc = srgb_profile()
    photo = read_photo(samples.pillow_file(pixels, "PNG", icc_profile=icc))
    np.testing.assert_array_equal(photo.rgb_HWC, pixels)
    again = read_photo(encode_photo(photo)[0])
    np.testing.assert_array_equal(again.rgb_HWC, pixels)
    assert again.metadata.icc == icc


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_wide_gamut_becomes_srgb_and_goes_back(bits: int, alpha: bool) -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    # Muted colours, inside both gamuts.
    small = np.random.default_rng(2).integers(90, 160, (30, 30, 3)).astype(np.uint8)
    expected = through_lcms(small, icc).astype(int)
    assert np.abs(expected - small).max() > 3  # the profile does something

    stored = small if bits == 8 else small.astype(np.uint16) * 257
    opacity = stored[..., 0].copy() if alpha else None
    plain = encode_photo(Photo(stored, opacity), format="tiff")[0]
    photo = read_photo(_with_icc(plain, icc))
    assert photo.bits == bits
    assert photo.metadata.icc == icc
    scale = 1 if bits == 8 else 257
    assert np.abs(photo.rgb_HWC / scale - expected).max() <= (1 if bits == 8 else 1.1)

    for name in ("png", "tiff"):
        data, notes = encode_photo(photo, format=name)
        assert notes == ()
        assert read_photo(data).metadata.icc == icc
        back = read_photo(_with_icc(data, None))  # the numbers in the file, unconverted
        assert np.abs(back.rgb_HWC / scale - small).max() <= (2 if bits == 8 else 0.1)
        if alpha:
            assert opacity is not None
            assert back.alpha_HW is not None
            np.testing.assert_array_equal(back.alpha_HW, opacity)


def _with_icc(data: bytes, icc: bytes | None) -> bytes:
    """The same file with another profile, its pixels untouched."""
    image = pyvips.Image.new_from_buffer(data, "").copy()
    image.remove("icc-profile-data")
    if icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)  # type: ignore[arg-type]
    return image.tiffsave_buffer(keep="icc")


def test_strip_leaves_srgb_colours_without_a_profile() -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    pixels = np.random.default_rng(2).integers(90, 160, (30, 30, 3)).astype(np.uint8)
    photo = read_photo(samples.pillow_file(pixels, "PNG", icc_profile=icc, exif=samples.exif()))
    data, notes = encode_photo(photo, strip=True)
    bare = read_photo(data)
    assert notes == ()
    assert bare.metadata == Metadata()
    np.testing.assert_array_equal(bare.rgb_HWC, photo.rgb_HWC)


@pytest.mark.parametrize("junk", [b"junk", bytes(200), b"x" * 400])
def test_damaged_profile_is_ignored_with_a_note(junk: bytes) -> None:
    pixels = samples.ramp()
    photo = read_photo(samples.pillow_file(pixels, "TIFF", icc_profile=junk))
    np.testing.assert_array_equal(photo.rgb_HWC, pixels)
    assert photo.notes == ("damaged colour profile ignored",)
    assert photo.metadata.icc is None


def test_profile_cut_inside_is_ignored() -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    broken = icc[:128] + b"\xff" * (len(icc) - 128)
    photo = read_photo(samples.pillow_file(samples.ramp(), "TIFF", icc_profile=broken))
    assert photo.notes == ("damaged colour profile ignored",)


def test_grey_profile_stays_with_grey_pixels() -> None:
    grey = samples.ramp()[..., 0].copy()
    icc = samples.grey_profile()
    photo = read_photo(samples.pillow_file(grey, "TIFF", icc_profile=icc))
    np.testing.assert_array_equal(photo.rgb_HWC[..., 1], grey)
    again = read_photo(encode_photo(photo)[0])
    assert again.metadata.icc == icc
    assert again.grey
    colour = read_photo(samples.pillow_file(samples.ramp(), "TIFF", icc_profile=icc))
    assert colour.notes == ("unfitting colour profile ignored",)


def test_cmyk_becomes_srgb() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(stream, "JPEG")
    photo = read_photo(stream.getvalue())
    assert photo.notes == ("CMYK converted to sRGB",)
    red, green, blue = photo.rgb_HWC[4, 4]
    assert red > 200
    assert max(green, blue) < 70
    assert photo.metadata.icc is None


def test_cmyk_tiff_keeps_16_bits() -> None:
    data = tiff(2, 2, bits=16, channels=4, photometric=5, data=bytes(32))
    photo = read_photo(data)
    assert photo.notes == ("CMYK converted to sRGB",)
    assert photo.bits == 16
    assert photo.rgb_HWC.min() > 65000


def test_cielab_tiff_becomes_srgb() -> None:
    data = tiff(1, 1, bits=16, photometric=8, data=b"\xff\xff\0\0\0\0")
    photo = read_photo(data)
    assert photo.notes == ("CIELAB converted to sRGB",)
    assert photo.rgb_HWC.min() > 65000


def test_avif_in_display_p3_by_code_numbers() -> None:
    plain = samples.pillow_file(np.full((16, 16, 3), (200, 80, 80), np.uint8), "AVIF", quality=100)
    at = plain.index(b"colrnclx") + 8
    coded = plain[:at] + b"\x00\x0c\x00\x0d" + plain[at + 4 :]
    photo = read_photo(coded)
    assert photo.metadata.icc is not None
    assert int(photo.rgb_HWC[8, 8, 0]) > 205


@pytest.mark.parametrize("bits", [8, 16])
def test_unchanged_display_p3_photo_comes_back(bits: int) -> None:
    icc = colour.builtin("p3")
    assert icc is not None
    pixels = samples.ramp(bits)
    inside = pixels // 3 + (2**bits // 3)  # muted, so inside sRGB
    photo = read_photo(_with_icc(encode_photo(Photo(inside), format="tiff")[0], icc))
    assert not np.array_equal(photo.rgb_HWC, inside)
    data, _ = encode_photo(photo)
    back = read_photo(_with_icc(data, None)).rgb_HWC
    assert np.abs(back.astype(int) - inside).max() <= (2 if bits == 8 else 64)


# What reading has to change


def test_palette_and_one_bit_are_expanded() -> None:
    stream = io.BytesIO()
    Image.fromarray(samples.ramp()).quantize(16).save(stream, "PNG")
    photo = read_photo(stream.getvalue())
    assert photo.notes == ("palette expanded to full colours",)
    assert photo.rgb_HWC.shape == (24, 32, 3)
    for form in ("PNG", "TIFF"):
        stream = io.BytesIO()
        Image.fromarray(samples.ramp()[..., 0] > 100).save(stream, form)
        photo = read_photo(stream.getvalue())
        assert photo.notes == ("1 bits a channel expanded to 8",)
        assert set(np.unique(photo.rgb_HWC)) == {0, 255}
    stream = io.BytesIO()
    Image.fromarray(samples.ramp()).quantize(16).save(stream, "TIFF")
    assert read_photo(stream.getvalue()).notes == ("palette expanded to full colours",)


@pytest.mark.parametrize(("form", "count"), [("TIFF", 3), ("WEBP", 3), ("PNG", 0), ("AVIF", 0)])
def test_only_the_first_picture(form: str, count: int) -> None:
    pages = [Image.fromarray(np.full((16, 16, 3), shade, np.uint8)) for shade in (40, 120, 200)]
    stream = io.BytesIO()
    pages[0].save(stream, form, save_all=True, append_images=pages[1:])
    photo = read_photo(stream.getvalue())
    assert photo.rgb_HWC.shape == (16, 16, 3)
    assert np.abs(photo.rgb_HWC.astype(int) - 40).max() < 6
    assert len(photo.notes) == 1
    assert photo.notes[0].startswith("only the first")
    assert str(count or "") in photo.notes[0]


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_10_and_12_bits_fills_16(bits: int) -> None:
    pixels = np.zeros((16, 16, 3), np.uint16)
    pixels[8:] = 65535
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
    data = image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True)
    photo = read_photo(data)
    assert photo.notes == (f"{bits} bits a channel scaled to 16",)
    np.testing.assert_array_equal(photo.rgb_HWC, pixels)
    again, notes = encode_photo(photo)
    assert notes == ("16 bits a channel reduced to 12",)
    assert read_photo(again).bits == 16


def test_premultiplied_alpha_is_undone() -> None:
    data = tiff(1, 1, channels=4, extra=1, data=bytes([50, 50, 50, 128]))
    photo = read_photo(data)
    assert photo.alpha_HW is not None
    assert photo.alpha_HW[0, 0] == 128
    assert abs(int(photo.rgb_HWC[0, 0, 0]) - 100) <= 1


def test_stray_bytes_in_a_jpeg_are_no_error() -> None:
    data = samples.pillow_file(samples.ramp(), "JPEG")
    photo = read_photo(data[:-2] + bytes(20) + data[-2:])
    assert photo.notes in ((), ("stray bytes in the JPEG file skipped",))
    assert np.abs(photo.rgb_HWC.astype(int) - samples.ramp()).max() < 20


# Limits


@pytest.mark.parametrize("name", FORMATS)
def test_limits_on_pixels_and_bytes(name: str) -> None:
    data = samples.pillow_file(samples.ramp(), name.upper())
    count = 24 * 32
    assert read_photo(data, max_pixels=count, max_bytes=len(data)).format == name
    with pytest.raises(InputTooLarge, match="max-pixels"):
        read_photo(data, max_pixels=count - 1)
    with pytest.raises(InputTooLarge, match="max_bytes"):
        read_photo(data, max_bytes=len(data) - 1)


def test_float_tiff_names_a_remedy() -> None:
    with pytest.raises(InputInvalid, match="16 bits"):
        read_photo(tiff(bits=32, kind=3))


def test_unreadable_by_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(samples.pillow_file(samples.ramp(), "JPEG"))

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)  # tests may run as root, whom no permission stops
    with pytest.raises(InputUnreadable, match="may not be read"):
        read_photo(path)


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read the POSIX way")
def test_memory_for_12_megapixels(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    write_photo(Photo(np.tile(samples.ramp(height=300, width=400), (10, 10, 1))), path)
    script = (
        "import resource, sys\n"
        "from relume.photo import read_photo, write_photo\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "write_photo(read_photo(sys.argv[1]), sys.argv[2])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "again.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 36 + 60  # MB: the pixels, and a margin
