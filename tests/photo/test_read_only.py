"""Formats that are read and not written: BMP, GIF, PNM and JPEG XL."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from relume.errors import InputInvalid, InputTooLarge, MissingExtra, RelumeError
from relume.photo import READABLE_SUFFIXES, colour, encode_photo, read_photo
from relume.photo.formats import READ_ONLY

from . import samples

RAMP = samples.ramp()


def pillow(form: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def test_results_are_written_in_another_format() -> None:
    for form in READ_ONLY:
        for suffix in form.suffixes:
            assert READABLE_SUFFIXES[suffix].name == form.result


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA"])
def test_bmp(mode: str) -> None:
    photo = read_photo(pillow("BMP", mode))
    assert (photo.format, photo.stored, photo.bits) == ("png", "", 8)
    expected = np.asarray(Image.fromarray(RAMP).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(photo.rgb_HWC, expected)
    assert photo.grey == (mode in ("L", "1"))
    assert photo.alpha_HW is None  # the fourth byte of such files stands for nothing
    assert photo.notes == (("palette expanded to full colours",) if mode in ("1", "P") else ())
    np.testing.assert_array_equal(read_photo(encode_photo(photo)[0]).rgb_HWC, expected)


def test_gif_gives_its_first_picture() -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1])]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    photo = read_photo(stream.getvalue())
    assert (photo.format, photo.stored) == ("png", "")
    assert np.abs(photo.rgb_HWC.astype(int) - RAMP).max() < 60  # it has 256 colours
    assert photo.notes == (
        "only the first of 2 pictures in the file is read",
        "palette expanded to full colours",
    )
    assert photo.dropped == photo.notes[:1]


ADOBE = samples.icc_profile(*samples.ADOBE_RGB)


@pytest.mark.parametrize(("profile", "kept"), [(ADOBE, True), (b"x", False)])
def test_the_profile_in_a_bmp_is_read(profile: bytes, kept: bool) -> None:
    pixels = RAMP[::-1, :, ::-1].tobytes()
    height, width = RAMP.shape[:2]
    assert width % 4 == 0
    head = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    head += bytes(16) + b"DEBM" + bytes(52) + struct.pack("<II", 124 + len(pixels), len(profile)) + bytes(4)
    data = struct.pack("<2sIII", b"BM", 138 + len(pixels) + len(profile), 0, 138) + head + pixels + profile
    photo = read_photo(data)
    assert photo.notes == (() if kept else ("damaged colour profile ignored",))
    assert photo.metadata.icc == (profile if kept else None)
    written = read_photo(encode_photo(photo, format="png")[0])
    assert (written.bits, written.metadata.icc) == (8, photo.metadata.icc)
    with Image.open(io.BytesIO(encode_photo(photo, format="png")[0])) as image:
        np.testing.assert_array_equal(np.asarray(image), RAMP)


def test_what_a_gif_says_is_noted() -> None:
    said = pillow("GIF", "P", comment=b"by hand")
    assert read_photo(said).dropped == ("comment dropped",)
    at = said.index(b"\x21")
    block = b"\x21\xff\x0bXMP DataXMP\2<x\3/> \0\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0"
    assert read_photo(said[:at] + block + said[at:]).dropped == ("XMP dropped", "comment dropped")
    assert read_photo(pillow("GIF", "P")).dropped == ()


PNM = {
    "P1": (b"P1\n# by hand\n3 2\n0 1 0\n110\n", [[255, 0, 255], [0, 0, 255]]),
    "P2": (b"P2 3 2 15\n0 1 15\n14 2 3\n", [[0, 17, 255], [238, 34, 51]]),
    "P4": (b"P4\n3 2\n" + bytes([0b01000000, 0b11000000]), [[255, 0, 255], [0, 0, 255]]),
    "P5": (b"P5\n#one\n#two\n3 2\n255\n" + bytes([0, 1, 2, 253, 254, 255]), [[0, 1, 2], [253, 254, 255]]),
}


@pytest.mark.parametrize("kind", PNM)
def test_grey_pnm_by_hand(kind: str) -> None:
    data, expected = PNM[kind]
    photo = read_photo(data)
    assert (photo.format, photo.stored, photo.grey, photo.bits) == ("png", "", True, 8)
    np.testing.assert_array_equal(photo.rgb_HWC[..., 0], expected)


@pytest.mark.parametrize("largest", [100, 255, 1023, 65535])
@pytest.mark.parametrize("text", [False, True])
def test_colours_of_any_depth_in_a_pnm(largest: int, text: bool) -> None:
    values = np.random.default_rng(1).integers(0, largest, (5, 7, 3), endpoint=True)
    head = b"P%d\r\n7 5\t%d\n" % (3 if text else 6, largest)
    body = " ".join(map(str, values.reshape(-1))).encode()
    if not text:
        body = values.astype(np.uint8 if largest < 256 else ">u2").tobytes()
    photo = read_photo(head + body)
    top = 255 if largest < 256 else 65535
    assert photo.bits == (8 if top == 255 else 16)
    np.testing.assert_array_equal(photo.rgb_HWC, np.rint(values * (top / largest)))
    assert len(photo.notes) == (largest not in (255, 65535))
    for cut in (len(head), len(head) + len(body) // 2):
        with pytest.raises(InputInvalid, match="cut off"):
            read_photo((head + body)[:cut])


def jxl(pixels: np.ndarray = RAMP, **options: object) -> bytes:
    pytest.importorskip("pillow_jxl")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JXL", lossless=True, **options)
    return stream.getvalue()


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg_xl(channels: int, container: bool) -> None:
    pixels = np.dstack([RAMP, RAMP[..., 0]])[..., :channels].squeeze()
    data = jxl(pixels, use_container=container)
    photo = read_photo(data)
    assert (photo.format, photo.stored, photo.grey, photo.bits) == ("jpeg", "", channels == 1, 8)
    colours = np.atleast_3d(pixels)[..., :3]
    np.testing.assert_array_equal(photo.rgb_HWC, np.broadcast_to(colours, (24, 32, 3)))
    assert (photo.alpha_HW is not None) == (channels == 4)
    assert photo.dropped == ()


def test_jpeg_xl_of_16_bits_keeps_them() -> None:
    grey = samples.ramp(16)[..., 0].copy()
    photo = read_photo(jxl(grey))
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.rgb_HWC[..., 1], grey)


def test_metadata_of_a_jpeg_xl() -> None:
    photo = read_photo(jxl(exif=samples.exif(6), xmp=samples.XMP % 6, icc_profile=colour.builtin("p3")))
    assert photo.rgb_HWC.shape == (24, 32, 3)  # which libjxl turns by the file's own instructions
    assert samples.exif_facts(encode_photo(photo)[0]) == samples.FACTS
    assert photo.metadata.xmp == samples.XMP % 1
    assert photo.metadata.icc is not None
    np.testing.assert_array_equal(photo.rgb_HWC, RAMP)


def test_a_jpeg_inside_a_jpeg_xl_is_that_jpeg() -> None:
    pytest.importorskip("pillow_jxl")
    from pillow_jxl import Encoder

    whole = samples.pillow_file(RAMP, "JPEG", exif=samples.exif(6))
    data = Encoder("RGB", lossless=True, use_container=True)(whole, 32, 24, jpeg_encode=True)
    photo, plain = read_photo(data), read_photo(whole)
    np.testing.assert_array_equal(photo.rgb_HWC, plain.rgb_HWC)
    assert (photo.format, photo.stored) == ("jpeg", "")
    assert samples.exif_facts(encode_photo(photo)[0]) == samples.FACTS


@pytest.mark.parametrize(
    ("width", "height"),
    [(8, 8), (256, 256), (300, 200), (40, 30), (1000, 7), (70000, 1), (160, 90), (17, 5000)],
)
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(width: int, height: int) -> None:
    from relume.photo.codecs.jxl import _codestream, _size

    for container in (False, True):
        data = jxl(np.zeros((height, width), np.uint8), use_container=container)
        assert _size(_codestream(data)) == (width, height)
        with pytest.raises(InputTooLarge, match=f"{width} x {height}"):
            read_photo(data, max_pixels=width * height - 1)


def test_jpeg_xl_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(MissingExtra, match=r"\[jxl\]"):
        read_photo(b"\xff\x0a" + bytes(60))


FILES = {
    "bmp": lambda: pillow("BMP"),
    "gif": lambda: pillow("GIF"),
    "pnm": lambda: pillow("PPM"),
    "jxl": jxl,
}


@pytest.mark.parametrize("name", FILES)
def test_limits_and_damage(name: str) -> None:
    data = FILES[name]()
    assert read_photo(data, max_pixels=24 * 32).width == 32
    with pytest.raises(InputTooLarge):
        read_photo(data, max_pixels=24 * 32 - 1)
    for size in np.linspace(4, len(data) * 0.7, 20).astype(int):
        with pytest.raises(InputInvalid):
            read_photo(data[:size])
    rng = np.random.default_rng(4)
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            changed[int(rng.integers(2, min(len(data), 200)))] = int(rng.integers(0, 256))
        try:
            read_photo(changed)
        except RelumeError as error:
            assert "\n" not in str(error)  # noqa: PT017 - it need not be raised


def test_a_bomb_of_each() -> None:
    bombs = [
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 60, 0, 54, 40, 100_000, 100_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"P6 99999 99999 255\n",
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b",",
    ]
    for bomb in bombs:
        with pytest.raises(RelumeError):
            read_photo(bomb + bytes(60))
