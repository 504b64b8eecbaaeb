"""HEIC: depth, colours, metadata, orientation once, limits, damage. The files come from pillow-heif."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.errors import ExitCode, InputInvalid, InputTooLarge, MissingExtra, OutputUnwritable, RelumeError
from relume.photo import FORMATS, READABLE_SUFFIXES, colour, encode_photo, read_photo, write_photo

from . import samples

JUNK = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)


def heic(pixels: np.ndarray, mode: str = "RGB", *, more: int = 0, **options: Any) -> bytes:
    """A lossless HEIC file; `more` pictures follow the first."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pytest.importorskip("pi_heif")
    height, width = pixels.shape[:2]
    file = pillow_heif.from_bytes(mode, (width, height), pixels.tobytes())
    for _ in range(more):
        file.add_frombytes(mode, (width, height), bytes(pixels.nbytes))
    stream = io.BytesIO()
    file.save(stream, **{"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options})
    return stream.getvalue()


def test_content_decides_and_jpeg_is_the_result(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(heic(samples.ramp()))
    photo = read_photo(path)
    assert (photo.format, photo.bits, photo.grey, photo.notes) == ("jpeg", 8, False, ())
    assert photo.rgb_HWC.flags.c_contiguous
    assert photo.rgb_HWC.flags.writeable
    assert np.abs(photo.rgb_HWC.astype(int) - samples.ramp()).max() <= 2
    assert encode_photo(photo)[0].startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("alpha", [False, True])
def test_10_and_12_bits_fill_16(bits: int, alpha: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    pixels = np.zeros((16, 16, 4 if alpha else 3), np.uint16)
    pixels[8:] = 65535
    photo = read_photo(heic(pixels, "RGBA;16" if alpha else "RGB;16"))
    assert photo.bits == 16
    assert photo.notes == (f"{bits} bits per channel scaled to 16",)
    np.testing.assert_array_equal(photo.rgb_HWC, pixels[..., :3])
    assert (photo.alpha_HW is not None) == alpha
    assert encode_photo(photo)[1][-1] == "16 bits per channel reduced to 8"


def test_alpha_and_grey() -> None:
    pixels = np.dstack([samples.ramp(), samples.ramp()[..., 0]])
    photo = read_photo(heic(pixels, "RGBA"))
    assert photo.alpha_HW is not None
    assert np.abs(photo.alpha_HW.astype(int) - pixels[..., 3]).max() <= 2
    grey = read_photo(heic(samples.ramp()[..., 0], "L", matrix_coefficients=6))
    assert grey.rgb_HWC.shape == (24, 32, 3)
    assert np.abs(grey.rgb_HWC[..., 1].astype(int) - samples.ramp()[..., 0]).max() <= 2


def test_premultiplied_alpha_is_undone() -> None:
    pixels = np.full((16, 16, 4), (50, 50, 50, 128), np.uint8)
    photo = read_photo(heic(pixels, "RGBa"))
    assert abs(int(photo.rgb_HWC[8, 8, 0]) - 100) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int) -> None:
    original = samples.ramp()
    jpeg = read_photo(samples.pillow_file(original, "JPEG", exif=samples.exif(orientation), quality=100))
    data = heic(original, exif=samples.exif(orientation), xmp=samples.XMP % orientation)
    photo = read_photo(data)
    assert np.abs(photo.rgb_HWC.astype(int) - jpeg.rgb_HWC).max() < 20
    assert photo.metadata.xmp == samples.XMP % 1
    assert samples.exif_facts(encode_photo(photo)[0]) == samples.FACTS


def test_damaged_exif_is_dropped_with_a_note() -> None:
    photo = read_photo(heic(samples.ramp(), exif=b"Exif\0\0nonsense"))
    assert photo.metadata.exif is None
    assert photo.notes == ("damaged EXIF dropped",)


@pytest.mark.parametrize("by", ["icc", "codes"])
def test_display_p3(by: str) -> None:
    icc = colour.builtin("p3")
    assert icc is not None
    pixels = np.full((16, 16, 3), (200, 80, 80), np.uint8)
    if by == "codes":
        data = heic(pixels, color_primaries=12, transfer_characteristic=13)
    else:
        data = _with_icc(pixels, icc)
    photo = read_photo(data)
    assert photo.metadata.icc == icc
    assert np.abs(photo.rgb_HWC.astype(int) - pixels).max() < 4  # in its own primaries
    assert photo.notes == ()


def _with_icc(pixels: np.ndarray, icc: bytes) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_bytes("RGB", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    file.info["icc_profile"], file.info["icc_profile_type"] = icc, "prof"
    stream = io.BytesIO()
    file.save(stream, quality=-1, chroma=444)
    return stream.getvalue()


def test_gain_and_depth_maps_are_noted() -> None:
    from relume.photo.codecs.heif import _metadata

    info = {"aux": {"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}, "depth_images": [object()]}
    assert _metadata(info)[1] == ["gain map dropped", "depth map dropped"]
    roles = ("urn:com:apple:photo:2020:aux:semanticskymatte", "urn:mpeg:hevc:2015:auxid:2")
    noted = [_metadata({"aux": {role: [2]}})[1] for role in roles]
    assert noted == [["depth map or other picture dropped"], []]


def test_only_the_main_picture() -> None:
    photo = read_photo(heic(samples.ramp(), more=2))
    assert photo.notes == ("only the main one of 3 pictures in the file is read",)
    assert np.abs(photo.rgb_HWC.astype(int) - samples.ramp()).max() <= 2


def test_limits() -> None:
    data = heic(samples.ramp())
    assert read_photo(data, max_pixels=24 * 32).width == 32
    with pytest.raises(InputTooLarge, match="max-pixels"):
        read_photo(data, max_pixels=24 * 32 - 1)
    at = data.index(b"ispe") + 8
    huge = data[:at] + b"\0\0\xea\x60\0\0\xea\x60" + data[at + 8 :]
    with pytest.raises(InputTooLarge):
        read_photo(huge)


# Damage


def test_every_truncation_is_an_error() -> None:
    data = heic(samples.ramp(), exif=samples.exif())
    for size in np.linspace(12, len(data) - 1, 40).astype(int):
        with pytest.raises(InputInvalid) as caught:
            read_photo(data[:size])
        assert "\n" not in str(caught.value)
        assert len(caught.value.reason) < 180


def read_apart(path: Path, script: str) -> str:
    """What a process of its own prints, which a crash in the decoder ends; nothing may go to stderr."""
    head = "import sys\nfrom pathlib import Path\nfrom relume.errors import RelumeError\n"
    head += "from relume.photo import read_photo\ndata = Path(sys.argv[1]).read_bytes()\n"
    command = [sys.executable, "-c", head + script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", [b"Exif\0", b"application/rdf+xml"])
def test_metadata_with_a_damaged_name_does_not_crash(name: bytes, tmp_path: Path) -> None:
    data = heic(samples.ramp(), exif=samples.exif(), xmp=samples.XMP % 1)
    for at in (0, 3):
        index = data.index(name) + at
        path = tmp_path / f"{at}.heic"
        path.write_bytes(data[:index] + b"\xe6" + data[index + 1 :])
        script = "try:\n    read_photo(data)\nexcept RelumeError as error:\n    print(error)\n"
        assert "damaged name" in read_apart(path, script)


def test_random_damage_never_escapes(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    data = heic(samples.ramp(), exif=samples.exif(), xmp=samples.XMP % 1)
    path.write_bytes(data)
    script = (
        "import numpy as np\n"
        "rng = np.random.default_rng(11)\n"
        "for number in range(1000):\n"
        f"    most = {data.index(b'mdat')} if number % 2 else len(data)\n"
        "    changed = bytearray(data)\n"
        "    for _ in range(int(rng.integers(1, 6))):\n"
        "        changed[int(rng.integers(0, most))] = int(rng.integers(0, 256))\n"
        "    try:\n"
        "        read_photo(bytes(changed))\n"
        "    except RelumeError as error:\n"
        "        assert '\\n' not in str(error)\n"
    )
    assert read_apart(path, script) == ""


def test_header_junk_is_refused() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(InputInvalid, match="HEIC"):
        read_photo(JUNK)


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    path = tmp_path / "photo.heic"
    path.write_bytes(JUNK)
    with pytest.raises(MissingExtra) as caught:
        read_photo(path)
    assert str(caught.value) == f"{path}: HEIC needs pi-heif. Run in a clone of relume: pip install '.[heif]'"
    assert caught.value.exit_code == ExitCode.MISSING_EXTRA


def test_other_formats_need_no_package() -> None:
    script = (
        "import sys\n"
        "from relume.photo import read_photo\n"
        "read_photo(sys.stdin.buffer.read())\n"
        "print([name for name in ('pi_heif', 'rawpy', 'relume.photo.codecs.heif') if name in sys.modules])\n"
    )
    jpeg = samples.pillow_file(samples.ramp(), "JPEG")
    done = subprocess.run([sys.executable, "-c", script], input=jpeg, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_suffixes_name_the_format_of_results(tmp_path: Path) -> None:
    assert READABLE_SUFFIXES[".heic"] is FORMATS["jpeg"]
    assert READABLE_SUFFIXES[".dng"] is FORMATS["tiff"]
    for form in FORMATS.values():
        assert all(READABLE_SUFFIXES[suffix] is form for suffix in form.suffixes)
    photo = read_photo(samples.pillow_file(samples.ramp(), "JPEG"))
    with pytest.raises(OutputUnwritable, match="cannot write"):
        write_photo(photo, tmp_path / "photo.heic")
    assert issubclass(MissingExtra, RelumeError)
