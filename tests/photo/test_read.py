"""Reading: depth from the header, upright pixels, colours, notes."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms, PngImagePlugin

from relume.errors import InputInvalid, InputTooLarge, InputUnreadable, RelumeError, UsageError
from relume.photo import FORMATS, Metadata, Photo, colour, encode_photo, ifd, read_photo, write_photo
from relume.photo.codecs import reader
from relume.photo.formats import HEAD_BYTES, sniff
from relume.photo.opened import opened
from shared import dark

from . import samples
from .broken import chunk, tiff


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
    data = path.read_bytes()
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
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


def test_a_thumbnail_that_claims_the_directory_itself_is_left() -> None:
    def directory(*entries: tuple[int, int, int, int], next_at: int) -> bytes:
        table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return struct.pack("<H", len(entries)) + table + struct.pack("<I", next_at)

    second_at, first_at = 8, 60
    first = directory((0x0112, 3, 1, 6), next_at=second_at)
    inside = first_at + 4  # the thumbnail begins in the first directory and runs to the end of the block
    second = directory((0x0201, 4, 1, inside), (0x0202, 4, 1, first_at + len(first) - inside), next_at=0)
    block = b"II*\0" + struct.pack("<I", first_at) + second.ljust(first_at - 8, b"\0") + first
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", exif=b"Exif\0\0" + block))
    assert photo.rgb_HWC.shape == (32, 24, 3)
    assert photo.metadata.exif is not None
    assert len(photo.metadata.exif) == len(block)


def test_tags_that_name_the_same_bytes_again_and_again_fill_no_memory() -> None:
    size, count = 7 << 20, 300
    inner_at = 100
    outer = struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, inner_at) + bytes(4)
    entries = b"".join(struct.pack("<HHII", 0xC000 + index, 7, size, 0) for index in range(count))
    inner = struct.pack("<H", count) + entries + bytes(4)
    data = (b"II*\0" + struct.pack("<I", 8) + outer).ljust(inner_at, b"\0") + inner + bytes(size)
    directory = ifd.read(lambda at, size: data[at : at + size], "<", 8)
    held = directory.children[0x8769].tags.values()
    assert size <= sum(len(value.data) for value in held) <= 16 << 20


def test_a_pointer_that_is_no_number_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(samples.ramp()).save(path)
    data = path.read_bytes()
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    table = data[first + 2 : first + 2 + 12 * count] + struct.pack("<HHII", 0x8769, 5, 1, len(data))
    at = len(data) + 8
    moved = data[:4] + struct.pack("<I", at) + data[8:] + b"\xff" * 8
    path.write_bytes(moved + struct.pack("<H", count + 1) + table + bytes(4))
    np.testing.assert_array_equal(read_photo(path).rgb_HWC, samples.ramp())


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


WIDE = {
    "Display P3": colour.builtin("p3") or b"",
    "Adobe RGB": samples.icc_profile(*samples.ADOBE_RGB),
    "ProPhoto RGB": samples.icc_profile(*samples.PROPHOTO),
    "linear": samples.icc_profile(*samples.LINEAR),
}


def srgb_curve(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", WIDE)
def test_other_primaries_take_srgbs_curve_and_lose_nothing(name: str, bits: int, alpha: bool) -> None:
    icc, most = WIDE[name], 2**bits - 1
    rng = np.random.default_rng(2)
    stored = rng.integers(0, most, (40, 64, 3), endpoint=True).astype(np.uint8 if bits == 8 else np.uint16)
    stored[:4] = np.linspace(0, most, 256).round().reshape(4, 64, 1)
    stored[4] = 0
    stored[4, :, :] += np.array([0, most, 0], stored.dtype)  # a green far outside sRGB
    opacity = stored[..., 0].copy() if alpha else None
    plain = encode_photo(Photo(stored, opacity), format="tiff")[0]
    photo = read_photo(_with_icc(plain, icc))
    assert (photo.bits, photo.metadata.icc, photo.notes) == (bits, icc, ())
    if name == "Display P3":
        np.testing.assert_array_equal(photo.rgb_HWC, stored)
    else:
        gamma = {"Adobe RGB": 563 / 256, "ProPhoto RGB": 461 / 256, "linear": 1}[name]
        expected = srgb_curve((stored / most) ** gamma)
        assert np.abs(photo.rgb_HWC / 65535 - expected).max() < 1e-4

    for form in ("png", "tiff"):
        data, notes = encode_photo(photo, format=form)
        assert notes == ()
        assert read_photo(data).metadata.icc == icc
        back = read_photo(_with_icc(data, None))  # the numbers in the file, unconverted
        off = np.abs(back.rgb_HWC.astype(int) - stored)
        assert back.bits == bits
        # The darkest values of 16 bits meet where sRGB's curve is the flatter one.
        assert off.max() == 0 if bits == 8 else off.max() <= 100
        assert off[stored > most // 50].max() <= 4
        if alpha:
            assert opacity is not None
            assert back.alpha_HW is not None
            np.testing.assert_array_equal(back.alpha_HW, opacity)


def test_8_bits_of_another_curve_stay_8_bits_in_every_format() -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", icc_profile=icc, quality=95))
    assert (photo.bits, photo.rgb_HWC.dtype) == (8, np.uint16)
    for form in FORMATS:
        data, notes = encode_photo(photo, format=form)
        assert notes == ()
        again = read_photo(data)
        assert (again.bits, again.metadata.icc) == (8, icc)
        assert np.abs(again.rgb_HWC.astype(int) - photo.rgb_HWC).max() < 20 * 257
    assert encode_photo(photo)[1] == ()


CURVES = [
    (b"curv\0\0\0\0" + struct.pack(">I", 0), lambda x: x),
    (
        b"curv\0\0\0\0" + struct.pack(">I3H", 3, 0, 8192, 65535),
        lambda x: np.where(x < 0.5, x / 4, 1.75 * x - 0.75),
    ),
    (b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, 2 << 16), lambda x: x**2),
    (
        b"para\0\0\0\0" + struct.pack(">HH3i", 1, 0, 2 << 16, 1 << 16, -(1 << 14)),
        lambda x: np.where(x >= 0.25, (x - 0.25) ** 2, 0),
    ),
    (
        b"para\0\0\0\0" + struct.pack(">HH4i", 2, 0, 2 << 16, 1 << 16, -(1 << 14), 1 << 14),
        lambda x: np.where(x >= 0.25, (x - 0.25) ** 2, 0) + 0.25,
    ),
    (
        b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, 2 << 16, 1 << 16, 0, 1 << 14, 1 << 14),
        lambda x: np.where(x >= 0.25, x**2, x / 4),
    ),
    (
        b"para\0\0\0\0" + struct.pack(">HH7i", 4, 0, 2 << 16, 1 << 15, 0, 1 << 14, 1 << 14, 1 << 14, 1 << 14),
        lambda x: np.where(x >= 0.25, (x / 2) ** 2 + 0.25, x / 4 + 0.25),
    ),
]


@pytest.mark.parametrize(("tag", "light"), CURVES)
def test_every_kind_of_curve(tag: bytes, light: Callable[[np.ndarray], np.ndarray]) -> None:
    stored = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(colour._light(tag, stored), light(stored), atol=1e-4)


@pytest.mark.parametrize("tag", [b"curv", b"para" + bytes(4) + b"\0\x09\0\0", b"text" + bytes(40)])
def test_a_curve_of_no_known_kind_makes_no_primaries(tag: bytes) -> None:
    with contextlib.suppress(struct.error, ValueError):
        colour._light(tag, np.linspace(0, 1, 9))
        pytest.fail("there is no such curve")


def test_a_profile_of_tables_is_converted_with_a_note() -> None:
    icc = samples.table_profile(both_ways=True)
    photo = read_photo(samples.pillow_file(samples.ramp(), "PNG", icc_profile=icc))
    assert photo.notes == ("colours outside sRGB clipped: the profile is one of tables",)
    expected = through_lcms(samples.ramp(), icc).astype(int)
    assert np.abs(photo.rgb_HWC - expected).max() <= 1
    data, notes = encode_photo(photo)
    assert notes == ()
    assert read_photo(data).metadata.icc == icc


def _with_icc(data: bytes, icc: bytes | None) -> bytes:
    """The same file with another profile, its pixels untouched."""
    image = pyvips.Image.new_from_buffer(data, "").copy()
    image.remove("icc-profile-data")
    if icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)  # type: ignore[arg-type]
    return image.tiffsave_buffer(keep="icc")


@pytest.mark.parametrize("name", WIDE)
def test_strip_leaves_srgb_colours_without_a_profile(name: str) -> None:
    icc = WIDE[name]
    pixels = np.random.default_rng(2).integers(90, 160, (30, 30, 3)).astype(np.uint8)
    photo = read_photo(samples.pillow_file(pixels, "PNG", icc_profile=icc, exif=samples.exif()))
    data, notes = encode_photo(photo, strip=True)
    bare = read_photo(data)
    assert notes == ("colours outside sRGB clipped: the profile is left out",)
    assert bare.metadata == Metadata()
    expected = through_lcms(pixels, icc).astype(int)
    assert np.abs(expected - pixels).max() > 3  # the profile does something
    assert np.abs(bare.rgb_HWC - expected).max() <= 1


def test_a_profile_of_one_way_is_applied_for_good() -> None:
    icc = samples.table_profile()
    pixels = samples.ramp()
    photo = read_photo(samples.pillow_file(pixels, "PNG", icc_profile=icc))
    (note,) = photo.notes
    assert note.endswith("cannot be applied backwards")
    expected = through_lcms(pixels, icc).astype(int)
    assert np.abs(expected - pixels).max() > 20  # the profile does something
    assert np.abs(photo.rgb_HWC - expected).max() <= 1
    data, notes = encode_photo(photo)
    again = read_photo(data)
    assert (again.metadata.icc, notes, again.notes) == (None, (), ())
    np.testing.assert_array_equal(again.rgb_HWC, photo.rgb_HWC)


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
    assert photo.metadata.icc == colour.builtin("p3")
    np.testing.assert_array_equal(photo.rgb_HWC, read_photo(plain).rgb_HWC)


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
        assert photo.notes == ("1 bits per channel expanded to 8",)
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
    assert photo.notes == (f"{bits} bits per channel scaled to 16",)
    np.testing.assert_array_equal(photo.rgb_HWC, pixels)
    again, notes = encode_photo(photo)
    assert notes == ("16 bits per channel reduced to 12",)
    assert read_photo(again).bits == 16


@pytest.mark.parametrize("bits", [10, 12])
def test_a_wide_profile_acts_on_the_whole_range_of_an_avif(bits: int) -> None:
    upper = samples.ramp(16) >> (16 - bits) << (16 - bits)
    read = []
    for pixels, options in ((upper, {"bitdepth": bits}), (upper | upper >> bits, {})):
        image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
        profile = samples.icc_profile(*samples.ADOBE_RGB)
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        save = image.heifsave_buffer if options else image.tiffsave_buffer
        how = {"compression": "av1", "lossless": True, **options} if options else {}
        read.append(read_photo(save(keep="icc", **how)).rgb_HWC)
    np.testing.assert_array_equal(*read)


def test_premultiplied_alpha_is_undone() -> None:
    data = tiff(1, 1, channels=4, extra=1, data=bytes([50, 50, 50, 128]))
    photo = read_photo(data)
    assert photo.alpha_HW is not None
    assert photo.alpha_HW[0, 0] == 128
    assert abs(int(photo.rgb_HWC[0, 0, 0]) - 100) <= 1


@pytest.mark.parametrize(
    ("before", "notes"),
    [
        (b"\xff\xc4", ("stray bytes in the JPEG file skipped",)),  # a table
        (b"\xff\xd9", ()),  # the end, behind all pixels
    ],
)
def test_stray_bytes_in_a_jpeg_are_no_error(before: bytes, notes: tuple[str, ...]) -> None:
    data = samples.pillow_file(samples.ramp(), "JPEG")
    at = data.index(before)
    photo = read_photo(data[:at] + bytes(20) + data[at:])
    assert photo.notes == notes
    assert np.abs(photo.rgb_HWC.astype(int) - samples.ramp()).max() < 20


# What a file holds beside the photo


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def jpeg_with(*segments: bytes, after: bytes = b"") -> bytes:
    data = samples.pillow_file(samples.ramp(), "JPEG")
    return data[:2] + b"".join(segments) + data[2:] + after


def xmp(properties: bytes, inside: bytes = b"") -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="d" xmlns:Item="i" '
        b'xmlns:GCamera="g" xmlns:Container="c" xmlns:xmpNote="n" dc:format="image/jpeg"' + properties + b">"
        b"<dc:title>Night</dc:title>" + inside + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def items(*names: bytes) -> bytes:
    entries = b"".join(b'<rdf:li><Container:Item Item:Semantic="%b"/></rdf:li>' % name for name in names)
    return b"<Container:Directory><rdf:Seq>" + entries + b"</rdf:Seq></Container:Directory>"


VIDEO_NOTE = "video of the motion photo dropped"


@pytest.mark.parametrize(
    ("said", "notes"),
    [
        (xmp(b' hdrgm:Version="1.0"', items(b"Primary", b"GainMap")), ("gain map dropped",)),
        (xmp(b"", b"<hdrgm:Version>1.0</hdrgm:Version>"), ("gain map dropped",)),
        (xmp(b' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'), (VIDEO_NOTE,)),
        (xmp(b" GCamera:MicroVideo='1' GCamera:MicroVideoOffset='40'"), (VIDEO_NOTE,)),
        (xmp(b"", items(b"Primary", b"MotionPhoto")), (VIDEO_NOTE,)),
        (xmp(b"", items(b"Primary", b"Depth", b"Original")), ("depth map or other picture dropped",)),
        (xmp(b' xmpNote:HasExtendedXMP="0123456789ABCDEF"'), ("extended XMP dropped",)),
    ],
)
def test_xmp_claims_nothing_that_is_gone(said: bytes, notes: tuple[str, ...]) -> None:
    photo = read_photo(jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said)))
    assert photo.notes == notes
    assert photo.metadata.xmp == xmp(b"")
    again = read_photo(encode_photo(photo)[0])
    assert (again.notes, again.metadata.xmp) == ((), xmp(b""))


def test_xmp_without_such_claims_stays_as_it_is() -> None:
    said = xmp(b' GCamera:MotionPhoto="0" GCamera:MotionPhotoVersion="1"')
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG", xmp=said))
    assert (photo.notes, photo.metadata.xmp) == ((), said)


def test_gain_map_without_xmp_is_noted() -> None:
    photo = read_photo(jpeg_with(segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))))
    assert photo.notes == ("gain map dropped",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kinds", "notes"),
    [
        ((0x030000, 0x020002), ("only the first of 2 pictures in the file is read",)),
        ((0x030000, 0, 0), ("only the first of 3 pictures in the file is read",)),
        ((0x030000, 0x010001, 0x010002), ()),  # previews
    ],
)
def test_further_pictures_in_a_jpeg_are_noted(
    order: str, kinds: tuple[int, ...], notes: tuple[str, ...]
) -> None:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    table = struct.pack(order + "HHHIII", 1, 0xB002, 7, 16 * len(kinds), 26, 0)
    entries = b"".join(struct.pack(order + "IIIHH", kind, 100, 0, 0, 0) for kind in kinds)
    photo = read_photo(jpeg_with(segment(0xE2, b"MPF\0" + head + table + entries)))
    assert photo.notes == notes
    assert photo.dropped == notes


def test_gain_map_is_no_further_picture() -> None:
    stream = io.BytesIO()
    pages = [Image.fromarray(samples.ramp()) for _ in range(2)]
    pages[0].save(stream, "MPO", save_all=True, append_images=pages[1:])
    assert read_photo(stream.getvalue()).notes == ("only the first of 2 pictures in the file is read",)
    said = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(b' hdrgm:Version="1.0"'))
    data = stream.getvalue()
    assert read_photo(data[:2] + said + data[2:]).notes == ("gain map dropped",)


def png_with(*chunks: bytes) -> bytes:
    data = samples.pillow_file(samples.ramp(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def test_jpeg_comments_stay() -> None:
    photo = read_photo(jpeg_with(segment(0xFE, b"by \xffhand"), b"\xff\xff", segment(0xFE, b"two")))
    assert photo.metadata.comments == (b"by \xffhand", b"two")
    assert read_photo(encode_photo(photo)[0]).metadata.comments == photo.metadata.comments


def test_png_texts_stay_byte_for_byte() -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("Author", "Jane Doe")
    about.add_text("Description", "Night in Oslo", zip=True)
    about.add_itxt("Comment", "\u00fcn\u00efcode")
    data = samples.pillow_file(samples.ramp(), "PNG", pnginfo=about)
    end = len(data) - 12
    photo = read_photo(data[:end] + chunk(b"tEXt", b"Source\0\xe9") + data[end:])
    assert [name for name, _ in photo.metadata.texts] == [b"tEXt", b"zTXt", b"iTXt", b"tEXt"]
    with Image.open(io.BytesIO(encode_photo(photo)[0])) as image:
        image.load()
        assert image.info["Author"] == "Jane Doe"
        assert image.info["Description"] == "Night in Oslo"
        assert image.info["Comment"] == "\u00fcn\u00efcode"
        assert image.info["Source"] == "\xe9"


def test_png_texts_that_do_not_stay_are_noted() -> None:
    stale = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"junk"))
    assert read_photo(png_with(stale, stale)).notes == ("metadata in the form of ImageMagick dropped",)
    long = chunk(b"tEXt", b"Long\0" + bytes(5 << 20))
    photo = read_photo(png_with(long.replace(bytes(5 << 20), b"x" * (5 << 20)), chunk(b"tEXt", b"A\0b")))
    assert len(photo.metadata.texts) == 2


def test_animated_png_is_noted_wherever_it_says_so() -> None:
    frames = [Image.fromarray(np.full((16, 16, 3), shade, np.uint8)) for shade in (40, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    data = stream.getvalue()
    moved = data[:33] + chunk(b"tEXt", b"Author\0" + b"x" * 9000) + data[33:]
    assert read_photo(moved).notes == ("only the first picture of the animation is read",)
    assert read_photo(png_with(chunk(b"tEXt", b"Say\0acTL"))).notes == ()


# The numbers of sRGB in PNG's chunks, and of Display P3.
SRGB_CHRM = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHRM = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "notes"),
    [
        ((chunk(b"cICP", bytes([9, 16, 0, 1])),), ("HDR brightness read as if it were sRGB",)),
        ((chunk(b"cICP", bytes([9, 1, 0, 1])),), ("BT.2020 colours read as if they were sRGB",)),
        ((chunk(b"gAMA", struct.pack(">I", 100000)),), ("brightness of gamma 1.0 read as if it were sRGB",)),
        (
            (chunk(b"cHRM", struct.pack(">8I", *P3_CHRM)),),
            ("colours of other primaries read as if they were sRGB",),
        ),
        ((chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"cHRM", struct.pack(">8I", *SRGB_CHRM))), ()),
        ((chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 45455))), ()),
    ],
)
def test_colours_that_a_png_states_by_numbers_are_noted(
    chunks: tuple[bytes, ...], notes: tuple[str, ...]
) -> None:
    assert read_photo(png_with(*chunks)).notes == notes


def test_png_in_display_p3_by_code_numbers() -> None:
    photo = read_photo(png_with(chunk(b"cICP", bytes([12, 13, 0, 1]))))
    assert photo.metadata.icc == colour.builtin("p3")
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.rgb_HWC, samples.ramp())


@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_resolution_turns_with_the_photo(name: str) -> None:
    block = Image.Exif()
    block[0x0112], block[282], block[283], block[296] = 6, 300.0, 150.0, 2
    data = samples.pillow_file(samples.ramp(), name.upper(), exif=block, dpi=(300, 150))
    photo = read_photo(data)
    assert photo.metadata.dpi == (150, 300)
    with Image.open(io.BytesIO(encode_photo(photo)[0])) as image:
        assert image.info["dpi"] == pytest.approx((150, 300), abs=0.1)
        assert (image.getexif()[282], image.getexif()[283]) == (150, 300)


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "webp"])
def test_no_resolution_is_none(name: str) -> None:
    assert read_photo(samples.pillow_file(samples.ramp(), name.upper())).metadata.dpi is None


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff"])
def test_72_dots_an_inch_are_a_resolution(name: str) -> None:
    data = samples.pillow_file(samples.ramp(), name.upper(), dpi=(72, 72))
    assert read_photo(data).metadata.dpi == pytest.approx((72, 72), abs=0.02)


def test_orientation_of_a_bigtiff_file() -> None:
    image = pyvips.Image.new_from_array(samples.ramp()).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    photo = read_photo(image.tiffsave_buffer(bigtiff=True))
    np.testing.assert_array_equal(photo.rgb_HWC, np.rot90(samples.ramp(), -1))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damage_beside_the_photo_never_escapes(kind: str) -> None:
    tables = b"MPF\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0xB002, 7, 32, 26, 0) + bytes(32)
    data = (
        jpeg_with(
            segment(0xE2, tables), segment(0xFE, b"by hand"), segment(0xE2, b"MPF\0"), segment(0xE0, b"JFIF")
        )
        if kind == "jpeg"
        else png_with(chunk(b"cICP", b"\1"), chunk(b"gAMA", b""), chunk(b"pHYs", b"1"), chunk(b"tEXt", b""))
    )
    rng = np.random.default_rng(5)
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            changed[int(rng.integers(2, 200))] = int(rng.integers(0, 256))
        with contextlib.suppress(RelumeError):
            read_photo(changed[: int(rng.integers(20, len(data)))])
            read_photo(changed)


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


@pytest.mark.parametrize("stray", [17, None, np.zeros((500, 500), np.uint8), [b"x" * 9999]])
def test_neither_path_nor_bytes_is_a_short_message(stray: object) -> None:
    with pytest.raises(UsageError, match="is not a photo") as caught:
        read_photo(stray)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 120


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


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_file_that_shrinks_while_it_is_read_is_read_as_it_was(tmp_path: Path, name: str) -> None:
    """libvips maps JPEG files, and the system ends a process that reads what a mapped one no longer holds."""
    path = tmp_path / name
    Image.fromarray(dark(60, 80)).save(path)
    whole = read_photo(path)
    with opened(path) as file:
        os.truncate(path, 100)
        photo = reader(sniff(file.read_at(0, HEAD_BYTES), file.path)).read(file, 10**6)
    assert isinstance(photo, Photo)
    assert np.array_equal(photo.rgb_HWC, whole.rgb_HWC)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.avif"])
def test_a_large_file_is_read_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_photo(Photo(dark(60, 80)), tmp_path / name)
    whole = read_photo(tmp_path / name)
    monkeypatch.setattr("relume.photo.opened._AT_ONCE", -1)
    monkeypatch.setattr("relume.photo.opened.in_memory", None)
    assert np.array_equal(read_photo(tmp_path / name).rgb_HWC, whole.rgb_HWC)
