"""Camera raw: developed as the camera saw it, upright, with EXIF; limits and damage. A DNG made by hand."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from relume.errors import InputInvalid, InputTooLarge, MissingExtra, OutOfResources
from relume.photo import encode_photo, read_photo
from relume.photo.formats import RAW, sniff

from . import samples

NEUTRAL = (0.5, 1.0, 0.6)
_MATRIX = (0.6722, -0.0635, -0.0963, -0.4287, 1.2460, 0.2028, -0.0908, 0.2162, 0.5668)
_UNITS = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B", 10: "i"}
_PAIRS = (5, 10)


def mosaic(height: int = 48, width: int = 64) -> np.ndarray:
    """A grey scene behind a colour filter array (RGGB): dark above, four times as bright below."""
    light = np.full((height, width), 16000.0)
    light[: height // 2] /= 4
    for row, column, share in ((0, 0, NEUTRAL[0]), (1, 1, NEUTRAL[2])):
        light[row::2, column::2] *= share
    return light.astype(np.uint16)


def _tags(raw: np.ndarray, orientation: int) -> dict[int, tuple[int, list[int]]]:
    height, width = raw.shape

    def parts(values: tuple[float, ...]) -> list[int]:
        return [part for value in values for part in (round(value * 10000), 10000)]

    return {
        254: (4, [0]),
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [16]),
        259: (3, [1]),
        262: (3, [32803]),
        271: (7, list(b"Maker\0")),
        272: (7, list(b"Model\0")),
        273: (4, [-1]),
        274: (3, [orientation]),
        277: (3, [1]),
        278: (4, [height]),
        279: (4, [raw.nbytes]),
        33421: (3, [2, 2]),
        33422: (1, [0, 1, 1, 2]),
        0x8769: (4, [-2]),
        50706: (1, [1, 4, 0, 0]),
        50708: (7, list(b"Maker Model\0")),
        50717: (4, [65535]),
        50721: (10, parts(_MATRIX)),
        50728: (5, parts(NEUTRAL)),
        50778: (3, [21]),
    }


def _exif_directory(at: int) -> bytes:
    """Exposure time 1/8 s and a maker note, at offset `at`."""
    table = struct.pack("<HHHIIHHII", 2, 0x829A, 5, 1, at + 30, 0x927C, 7, len(samples.MAKER_NOTE), at + 38)
    return table + bytes(4) + struct.pack("<II", 1, 8) + samples.MAKER_NOTE


def dng(raw: np.ndarray, orientation: int = 1) -> bytes:
    """An uncompressed DNG file."""
    tags = _tags(raw, orientation)
    blobs_at = 8 + 2 + 12 * len(tags) + 4
    blobs: list[bytes] = []
    table = b""

    def place(data: bytes) -> int:
        at = blobs_at + sum(len(one) for one in blobs)
        blobs.append(data + b"\0" * (len(data) % 2))
        return at

    exif_at = place(_exif_directory(blobs_at))
    pixels_at = place(raw.astype("<u2").tobytes())
    for tag, (kind, numbers) in sorted(tags.items()):
        values = [{-1: pixels_at, -2: exif_at}.get(n, n) if kind == 4 else n for n in numbers]
        data = struct.pack(f"<{len(values)}{_UNITS[kind]}", *values)
        count = len(values) // 2 if kind in _PAIRS else len(values)
        if len(data) > 4:
            data = struct.pack("<I", place(data))
        table += struct.pack("<HHI", tag, 2 if tag in (271, 272, 50708) else kind, count) + data.ljust(
            4, b"\0"
        )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + b"".join(blobs)


@pytest.fixture
def data() -> bytes:
    pytest.importorskip("rawpy")
    return dng(mosaic())


def test_developed_with_the_cameras_white_and_no_brightening(data: bytes) -> None:
    photo = read_photo(data)
    assert (photo.format, photo.bits, photo.grey, photo.alpha_HW) == ("tiff", 16, False, None)
    assert photo.notes == ("developed from camera raw",)
    assert photo.rgb_HWC.shape == (48, 64, 3)
    dark, bright = photo.rgb_HWC[8, 8] / 65535, photo.rgb_HWC[40, 8] / 65535
    for pixel, light in ((dark, 4000 / 65535), (bright, 16000 / 65535)):
        expected = 1.055 * light ** (1 / 2.4) - 0.055  # the sRGB curve
        np.testing.assert_allclose(pixel, expected, atol=0.004)


@pytest.mark.parametrize(("orientation", "dark_side"), [(1, "top"), (3, "bottom"), (6, "right"), (8, "left")])
def test_orientation_is_applied_once(orientation: int, dark_side: str) -> None:
    pytest.importorskip("rawpy")
    photo = read_photo(dng(mosaic(), orientation))
    turned = orientation in (6, 8)
    assert (photo.height, photo.width) == ((64, 48) if turned else (48, 64))
    rgb = photo.rgb_HWC
    sides = {"top": rgb[:8], "bottom": rgb[-8:], "left": rgb[:, :8], "right": rgb[:, -8:]}
    assert min(sides, key=lambda side: float(sides[side].mean())) == dark_side
    np.testing.assert_array_equal(read_photo(encode_photo(photo)[0]).rgb_HWC, rgb)


def test_exif_stays_without_the_maker_note(data: bytes) -> None:
    assert samples.MAKER_NOTE in data
    photo = read_photo(data)
    for name in ("tiff", "jpeg"):
        encoded = encode_photo(photo, format=name)[0]
        facts = samples.exif_facts(encoded)
        assert (facts["maker"], facts["model"], facts["exposure"]) == ("Maker", "Model", 0.125)
        assert (facts["orientation"], facts["note"]) == (1, None)
        assert samples.MAKER_NOTE not in encoded


def test_exif_of_a_file_with_another_magic_number() -> None:
    from relume.photo.codecs.raw import _metadata

    panasonic = b"IIU\0" + dng(mosaic())[4:]
    assert _metadata(panasonic) == _metadata(dng(mosaic()))
    assert _metadata(panasonic).exif is not None
    assert _metadata(b"FUJIFILMCCD-RAW 0201" + bytes(60)).exif is None


def test_limits(data: bytes) -> None:
    assert read_photo(data, max_pixels=48 * 64).width == 64
    with pytest.raises(InputTooLarge, match="max-pixels"):
        read_photo(data, max_pixels=48 * 64 - 1)


def test_every_truncation_is_an_error_and_nothing_is_printed(
    data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for size in np.linspace(8, len(data) - 200, 6).astype(int):
        with pytest.raises(InputInvalid) as caught:
            read_photo(data[:size])
        assert "\n" not in str(caught.value)
        assert len(caught.value.reason) < 180
    assert capfd.readouterr().err == ""


def test_random_damage_never_escapes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.dng"
    path.write_bytes(data)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from relume.errors import RelumeError\n"
        "from relume.photo import read_photo\n"
        "rng = np.random.default_rng(11)\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "for _ in range(8):\n"
        "    changed = bytearray(data)\n"
        "    for _ in range(int(rng.integers(1, 6))):\n"
        "        changed[int(rng.integers(0, 300))] = int(rng.integers(0, 256))\n"
        "    try:\n"
        "        read_photo(bytes(changed))\n"
        "    except RelumeError as error:\n"
        "        assert '\\n' not in str(error)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


def test_a_python_that_does_not_start_is_named(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(OutOfResources, match="No such file"):
        read_photo(data)


def test_no_module_of_the_current_folder_runs(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger ran')\n")
    monkeypatch.chdir(tmp_path)
    assert read_photo(data).width == 64


def test_stderr_is_the_programs_own(data: bytes) -> None:
    before = os.fstat(2)
    seen: list[bool] = []

    def watch() -> None:
        while not done.is_set():
            seen.append(os.path.samestat(os.fstat(2), before))

    done = Event()
    watcher = Thread(target=watch)
    watcher.start()
    try:
        with pytest.raises(InputInvalid):
            read_photo(data[:-2000])
        read_photo(data)
    finally:
        done.set()
        watcher.join()
    assert all(seen)


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x08\0\0\0",
    ],
)
def test_cameras_are_told_by_content(head: bytes) -> None:
    pytest.importorskip("rawpy")
    assert sniff(head + bytes(60), "photo") == RAW.name
    with pytest.raises(InputInvalid, match="camera raw"):
        read_photo(head + bytes(60))


@pytest.mark.parametrize("name", ["photo.dng", "photo.raf"])
def test_missing_package_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    path = tmp_path / name
    path.write_bytes(dng(mosaic()) if name == "photo.dng" else b"FUJIFILMCCD-RAW 0201" + bytes(60))
    with pytest.raises(MissingExtra) as caught:
        read_photo(path)
    assert str(caught.value).startswith(
        f"{path}: camera raw needs rawpy. Run in a clone of relume: pip install '.[raw]'"
    )
