"""`relume enhance` with one photo: where the result goes, and what it keeps."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyvips.voperation import concurrency_get, concurrency_set

from photo import samples
from relume import Enhancer
from relume.errors import ExitCode
from relume.models.engines import onnx
from relume.photo import FORMATS, Metadata, Photo, colour, encode_photo, read_photo, write_photo
from relume.threads import available
from shared import Result, dark, digest

Run = Callable[..., Result]
Make = Callable[..., Path]


def test_the_result_lies_beside_the_photo(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.jpg")
    before = digest(path)
    result = relume("enhance", path)
    assert (result.code, result.out) == (0, b"")
    assert "night.relume.jpg" in result.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["night.jpg", "night.relume.jpg"]
    assert digest(path) == before
    assert read_photo(tmp_path / "night.relume.jpg").rgb_HWC.mean() > read_photo(path).rgb_HWC.mean()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_stays_its_format(relume: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"night{FORMATS[name].suffixes[-1].upper()}"
    write_photo(Photo(dark()), path)
    assert relume("enhance", path).code == 0
    result = read_photo(path.with_stem("night.relume"))
    assert result.format == name
    assert result.rgb_HWC.shape == (24, 32, 3)


def test_output_names_a_file(relume: Run, photo: Make, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "bright.png"
    assert relume("enhance", photo("night.jpg"), "-o", target).code == 0
    assert read_photo(target).format == "png"


def test_output_names_a_folder(relume: Run, photo: Make, tmp_path: Path) -> None:
    (tmp_path / "there.png").mkdir()
    for folder in ("new/one", "there.png"):
        assert relume("enhance", photo("night.jpg"), "-o", tmp_path / folder).code == 0
        assert read_photo(tmp_path / folder / "night.jpg").format == "jpeg"


@pytest.mark.parametrize(("name", "suffix"), [("webp", ".webp"), ("jpg", ".jpg"), ("TIFF", ".tif")])
def test_format_changes_the_suffix(relume: Run, photo: Make, tmp_path: Path, name: str, suffix: str) -> None:
    assert relume("enhance", photo("night.png"), "--format", name).code == 0
    assert read_photo(tmp_path / f"night.relume{suffix}").rgb_HWC.shape == (24, 32, 3)


def test_quality_changes_the_size(relume: Run, photo: Make, tmp_path: Path) -> None:
    sizes = []
    for quality in (20, 90):
        assert (
            relume("enhance", photo("night.jpg"), "-o", tmp_path / "new.jpg", "--quality", quality).code == 0
        )
        sizes.append((tmp_path / "new.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


def test_strength_0_keeps_every_pixel(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.png")
    assert relume("enhance", path, "--strength", 0).code == 0
    np.testing.assert_array_equal(read_photo(tmp_path / "night.relume.png").rgb_HWC, dark())


def test_controls_change_the_result_as_in_python(relume: Run, photo: Make, tmp_path: Path) -> None:
    options = {
        "strength": 0.9,
        "denoise": 0.5,
        "exposure": 0.3,
        "highlight_guard": 0.6,
        "colour_guard": 0.9,
    }
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    path = photo("night.png")
    assert relume("enhance", path, *words).code == 0
    expected = Enhancer().enhance(read_photo(path), **options).rgb_HWC
    np.testing.assert_array_equal(read_photo(tmp_path / "night.relume.png").rgb_HWC, expected)


def test_help_names_the_controls(relume: Run) -> None:
    text = relume("enhance", "--help").out.decode()
    for option in ("--strength", "auto", "--denoise", "--exposure", "--highlight-guard", "--colour-guard"):
        assert option in text


@pytest.mark.parametrize("name", ["night", "night.dat", "night.jpg"])
def test_content_decides_where_the_suffix_does_not(
    relume: Run, photo: Make, tmp_path: Path, name: str
) -> None:
    photo("night.png").rename(tmp_path / name)
    assert relume("enhance", tmp_path / name).code == 0
    assert read_photo(tmp_path / f"night.relume{Path(name).suffix}").format == (
        "jpeg" if name.endswith(".jpg") else "png"
    )


# What the file holds besides its pixels


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_metadata_is_kept_and_orientation_applied_once(
    relume: Run, photo: Make, tmp_path: Path, orientation: int
) -> None:
    icc = samples.icc_profile(*samples.ADOBE_RGB)
    path = photo("night.jpg", exif=samples.exif(orientation), icc_profile=icc, dpi=(300, 300))
    assert relume("enhance", path).code == 0
    target = tmp_path / "night.relume.jpg"
    assert samples.exif_facts(target.read_bytes()) == samples.FACTS
    with Image.open(target) as image:
        assert image.size == ((24, 32) if orientation == 6 else (32, 24))
        assert image.info["icc_profile"] == icc
        assert image.info["dpi"] == (300, 300)


@pytest.mark.parametrize("name", ["P3", "Adobe RGB", "ProPhoto RGB"])
def test_colours_outside_srgb_stay_where_nothing_changes_them(relume: Run, tmp_path: Path, name: str) -> None:
    icc = {
        "P3": colour.builtin("p3"),
        "Adobe RGB": samples.icc_profile(*samples.ADOBE_RGB),
        "ProPhoto RGB": samples.icc_profile(*samples.PROPHOTO),
    }
    pixels = dark(96, 128)
    pixels[:48] = (10, 190, 20)  # far outside sRGB, and as bright as the guard of highlights leaves alone
    pixels[:48, 64:] = (0, 255, 0)
    source, target = tmp_path / "wide.png", tmp_path / "new.png"
    Image.fromarray(pixels).save(source, icc_profile=icc[name])
    result = relume("enhance", source, "-o", target, "--strength", "0")
    assert (result.code, "clipped" in result.err) == (0, False)
    with Image.open(target) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    result = relume("enhance", source, "-o", target, "--strength", "0.5", "--format", "png")
    assert (result.code, "clipped" in result.err) == (0, False)
    with Image.open(target) as image:
        assert image.info["icc_profile"] == icc[name]
        after = np.asarray(image).astype(int)
    assert after[60:].mean() > pixels[60:].mean()
    green = after[8:40, 8:56].mean((0, 1))
    assert green[1] >= 185
    assert green[0] < 60  # (87, 191, 56) is what sRGB makes of Display P3's


@pytest.mark.parametrize(
    ("form", "name", "result"),
    [("BMP", "a.bmp", "png"), ("GIF", "a.gif", "png"), ("PPM", "a.ppm", "png"), ("JXL", "a.jxl", "jpg")],
)
def test_formats_that_are_only_read(
    relume: Run, photo: Make, tmp_path: Path, form: str, name: str, result: str
) -> None:
    if form == "JXL":
        pytest.importorskip("pillow_jxl")
    path = photo(name, format=form)
    before = digest(path)
    assert relume("enhance", path).code == 0
    target = tmp_path / f"a.relume.{result}"
    assert read_photo(target).rgb_HWC.mean() > dark().mean() + 20
    alone = relume("enhance", path, "--in-place")
    assert alone.code == ExitCode.OUTPUT_UNWRITABLE
    assert "read, not written" in alone.err
    assert digest(path) == before


def test_strip_drops_all_metadata(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.jpg", exif=samples.exif(), icc_profile=samples.icc_profile(*samples.ADOBE_RGB))
    assert relume("enhance", path, "--strip").code == 0
    target = tmp_path / "night.relume.jpg"
    with Image.open(target) as image:
        assert dict(image.getexif()) == {}
        assert "icc_profile" not in image.info
    assert samples.MAKER_NOTE not in target.read_bytes()
    assert read_photo(target).metadata.exif is None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["png", "tiff"])
def test_transparency_is_untouched(relume: Run, tmp_path: Path, name: str, bits: int) -> None:
    top = 2**bits
    alpha = np.random.default_rng(0).integers(0, top, (24, 32)).astype(f"uint{bits}")
    path = tmp_path / f"night.{name}"
    write_photo(Photo(dark(bits=bits), alpha), path)
    assert relume("enhance", path, "-o", tmp_path / "out").code == 0
    result = read_photo(tmp_path / "out" / path.name)
    np.testing.assert_array_equal(result.alpha_HW, alpha)
    assert result.rgb_HWC.mean() > dark(bits=bits).mean()


@pytest.mark.parametrize("name", ["png", "tiff"])
@pytest.mark.parametrize("top", [200, 9000])
def test_16_bits_stay_16_bits(relume: Run, tmp_path: Path, name: str, top: int) -> None:
    path = tmp_path / f"night.{name}"
    pixels = np.random.default_rng(0).integers(0, top, (24, 32, 3)).astype(np.uint16)
    write_photo(Photo(pixels), path)
    (line,) = relume("enhance", path, "-o", tmp_path / "out", "--json").lines
    result = read_photo(tmp_path / "out" / path.name)
    assert line["bits"] == result.bits == 16
    assert result.rgb_HWC.mean() > pixels.mean()


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_stays_grey(relume: Run, tmp_path: Path, bits: int) -> None:
    path = tmp_path / "night.png"
    pixels = np.repeat(dark(bits=bits)[..., :1], 3, axis=2)
    write_photo(Photo(pixels, grey=True), path)
    assert relume("enhance", path).code == 0
    result = read_photo(tmp_path / "night.relume.png")
    assert (result.grey, result.bits) == (True, bits)
    assert result.rgb_HWC.mean() > pixels.mean()


def test_losses_are_noted(relume: Run, tmp_path: Path) -> None:
    path = tmp_path / "night.png"
    write_photo(Photo(dark(bits=16), dark(bits=16)[..., 0]), path)
    result = relume("enhance", path, "--format", "jpeg", "--json")
    (line,) = result.lines
    assert len(line["notes"]) == 2
    for note in line["notes"]:
        assert note in result.err


def test_what_reading_changes_is_noted(relume: Run, tmp_path: Path) -> None:
    path = tmp_path / "night.jpg"
    Image.new("CMYK", (32, 24), (0, 20, 40, 230)).save(path)
    result = relume("enhance", path, "--json")
    (line,) = result.lines
    assert line["notes"] == ["CMYK converted to sRGB"]
    assert line["notes"][0] in result.err


# Refusals


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--model", "none"], ExitCode.MODEL),
        (["--device", "tpu"], ExitCode.USAGE),
        (["--format", "gif"], ExitCode.OUTPUT_UNWRITABLE),
        (["--strength", "1.5"], ExitCode.USAGE),
        (["--strength", "nan"], ExitCode.USAGE),
        (["--strength", "soft"], ExitCode.USAGE),
        (["--denoise", "2"], ExitCode.USAGE),
        (["--exposure", "-0.1"], ExitCode.USAGE),
        (["--highlight-guard", "nan"], ExitCode.USAGE),
        (["--colour-guard", "1.1"], ExitCode.USAGE),
        (["--quality", "0"], ExitCode.USAGE),
        (["--quality", "101"], ExitCode.USAGE),
        (["--tile", "-1"], ExitCode.USAGE),
        (["--threads", "-1"], ExitCode.USAGE),
        (["--threads", "3000000000"], ExitCode.USAGE),
        (["--max-pixels", "100"], ExitCode.INPUT_TOO_LARGE),
        (["--in-place", "-o", "out"], ExitCode.USAGE),
        (["--in-place", "--format", "png"], ExitCode.USAGE),
        (["-o", "-", "--json"], ExitCode.USAGE),
        (["--tile", "7"], ExitCode.USAGE),
    ],
)
def test_wrong_options_have_their_exit_codes(
    relume: Run, photo: Make, tmp_path: Path, options: list[str], code: ExitCode
) -> None:
    path = photo("night.jpg")
    result = relume("enhance", path, *options)
    assert result.code == code
    assert result.err.startswith("relume: ")
    assert result.err.count("\n") == 1
    assert result.out == b""
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sessions of ONNX Runtime that are started: their threads, and the sizes of images that they see."""
    started, session = [], onnx.ort.InferenceSession

    class Session:
        def __init__(self, model: bytes, options: Any, **rest: Any) -> None:
            self.threads, self.sizes = options.intra_op_num_threads, []
            self._session = session(model, options, **rest)
            self.get_providers = self._session.get_providers
            self.get_outputs = self._session.get_outputs
            started.append(self)

        def run(self, names: Any, inputs: dict[str, np.ndarray], options: Any) -> Any:
            if "image" in inputs:
                self.sizes.append(inputs["image"].shape[2:])
            return self._session.run(names, inputs, options)

    monkeypatch.setattr(onnx.ort, "InferenceSession", Session)
    return started


def test_threads_and_tiles_reach_the_network(
    relume: Run, photo: Make, sessions: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relume.enhancer.Enhancer", Enhancer)
    path = photo("night.png", size=(20, 400))
    before = concurrency_get()
    try:
        assert relume("enhance", path, "--tile", 64, "--threads", 2, "--strength", 1).code == 0
    finally:
        concurrency_set(before)
    Enhancer(tile=64, threads=2).enhance(dark(20, 400), strength=1)
    Enhancer(tile=0).enhance(dark(20, 400), strength=1)
    assert [session.threads for session in sessions] == [2, 2, 2, 2, available(), available()]
    # A model's two graphs are loaded side by side, so either session may come first; one sees images.
    seeing = [session for session in sessions if session.sizes]
    for parts, session in zip((7, 7, 1), seeing, strict=True):
        sizes = [size for size in session.sizes if size != (80, 192)]  # without the preview
        assert len(sizes) == parts, session.sizes
    assert seeing[0].sizes == seeing[1].sizes


def test_threads_limit_the_encoder_too(relume: Run, photo: Make) -> None:
    before = concurrency_get()
    try:
        concurrency_set(3)
        assert relume("enhance", photo("night.jpg"), "--threads", 2).code == 0
        assert concurrency_get() == 2
    finally:
        concurrency_set(before)


@pytest.mark.parametrize("how", ["same", "indirect", "link", "hard link", "hidden in a folder"])
def test_an_input_is_never_a_target(relume: Run, photo: Make, tmp_path: Path, how: str) -> None:
    path = photo("in/night.jpg")
    before = digest(path)
    target = {"same": path, "indirect": tmp_path / "in" / ".." / "in" / "night.jpg"}.get(how, tmp_path / "in")
    if how == "link":
        target = tmp_path / "link.jpg"
        target.symlink_to(path)
    if how == "hard link":
        target = tmp_path / "link.jpg"
        target.hardlink_to(path)
    result = relume("enhance", path, "-o", target)
    assert result.code == ExitCode.OUTPUT_EXISTS
    assert "Name another output." in result.err
    assert "--in-place" not in result.err
    assert digest(path) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "a.psd"], ".psd"),
        (["-o", "new/a.JP2"], ".jp2"),
        (["b.png", "-o", "c.jpg"], "folder"),
        (["-r", "in", "-o", "c.webp"], "folder"),
        (["-o", "b.png", "--format", "jpeg"], "--format"),
        (["-o", "a.bmp", "--format", "jpeg"], "--format"),
        (["b.png", "-o", "c.jpg", "--format", "png"], "--format"),
    ],
)
def test_a_mistyped_output_becomes_no_folder(
    relume: Run, photo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    for name in ("a.png", "b.png", "in/deep/a.png"):
        photo(name)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    result = relume("enhance", "a.png", *options)
    assert result.code == ExitCode.USAGE
    assert said in result.err
    assert result.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_may_be_called_like_an_image(relume: Run, photo: Make, tmp_path: Path) -> None:
    (tmp_path / "there.bmp").mkdir()
    paths = photo("a.png"), photo("b.png")
    assert relume("enhance", *paths, "-o", tmp_path / "there.bmp", "--format", "jpeg").code == 0
    assert sorted(path.name for path in (tmp_path / "there.bmp").iterdir()) == ["a.jpg", "b.jpg"]


def test_in_place_replaces_the_photo(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.png", exif=samples.exif())
    assert relume("enhance", path, "--in-place").code == 0
    assert list(tmp_path.iterdir()) == [path]
    assert read_photo(path).rgb_HWC.mean() > dark().mean()
    assert samples.exif_facts(path.read_bytes()) == samples.FACTS


def test_in_place_keeps_the_format_whatever_the_suffix(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.png").rename(tmp_path / "night.jpg")
    assert relume("enhance", path, "--in-place").code == 0
    assert read_photo(path).format == "png"


# Pipes


def encoded(**options: object) -> bytes:
    return encode_photo(Photo(dark(), metadata=Metadata(exif=samples.exif()[6:])), **options)[0]


@pytest.mark.parametrize("name", FORMATS)
def test_a_photo_through_a_pipe(relume: Run, name: str) -> None:
    result = relume("enhance", "-", "-o", "-", stdin=encoded(format=name))
    assert (result.code, result.err) == (0, "")
    assert read_photo(result.out).format == name
    assert samples.exif_facts(result.out) == samples.FACTS


def test_pipe_options(relume: Run) -> None:
    result = relume("enhance", "-", "--format", "png", "--strip", stdin=encoded(format="jpeg"))
    assert result.code == 0
    with Image.open(io.BytesIO(result.out)) as image:
        assert (image.format, dict(image.getexif())) == ("PNG", {})


def test_from_a_pipe_to_a_file(relume: Run, tmp_path: Path) -> None:
    result = relume("enhance", "-", "-o", tmp_path / "new.webp", stdin=encoded(format="png"))
    assert (result.code, result.out) == (0, b"")
    assert read_photo(tmp_path / "new.webp").format == "webp"


def test_from_a_pipe_to_a_new_folder(relume: Run, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.png"
    assert relume("enhance", "-", "-o", target, stdin=encoded(format="png")).code == 0
    assert read_photo(target).format == "png"


def test_a_pipe_notes_losses_on_stderr(relume: Run) -> None:
    data = encode_photo(Photo(dark(bits=16)), format="png")[0]
    result = relume("enhance", "-", "--format", "jpeg", stdin=data)
    assert read_photo(result.out).format == "jpeg"
    assert "16 bits" in result.err
    assert relume("enhance", "-", "--format", "jpeg", "-q", stdin=data).err == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["-"], b"", ExitCode.INPUT_INVALID),
        (["-"], b"no photo", ExitCode.INPUT_INVALID),
        (["-", "--max-pixels", "9"], encoded(format="png"), ExitCode.INPUT_TOO_LARGE),
        (["-", "other.jpg"], b"", ExitCode.USAGE),
        (["-", "--in-place"], b"", ExitCode.USAGE),
        (["-", "--json"], b"", ExitCode.USAGE),
        (["-", "--skip-existing", "-o", "a.jpg"], b"", ExitCode.USAGE),
        (["-", "-o", "/dev/null/a.jpg"], encoded(format="png"), ExitCode.OUTPUT_UNWRITABLE),
        (["-", "-o", "a.bmp"], encoded(format="png"), ExitCode.OUTPUT_UNWRITABLE),
        (["-", "-o", "a.jpg", "--format", "png"], encoded(format="png"), ExitCode.USAGE),
    ],
)
def test_pipe_refusals(relume: Run, arguments: list[str], stdin: bytes, code: ExitCode) -> None:
    result = relume("enhance", *arguments, stdin=stdin)
    assert (result.code, result.out) == (code, b"")
    assert result.err.count("\n") == 1
    assert result.err.startswith("relume: stdin: ") == (
        code in (ExitCode.INPUT_INVALID, ExitCode.INPUT_TOO_LARGE)
    )


# Systems without nameless files


@pytest.mark.parametrize("replaced", [True, False])
def test_a_failure_leaves_nothing_under_a_temporary_name(
    relume: Run, photo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr("relume.files._nameless_file", lambda _: None)
    path, out = photo("night.jpg"), tmp_path / "out"
    assert relume("enhance", path, "-o", out).code == 0
    kept = digest(out / "night.jpg")
    if not replaced:
        (out / "night.jpg").unlink()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    assert relume("enhance", path, "-o", out).code == ExitCode.OUTPUT_UNWRITABLE
    assert [digest(file) for file in out.iterdir()] == ([kept] if replaced else [])


def test_a_photo_goes_to_stdout(relume: Run, photo: Make, tmp_path: Path) -> None:
    path = photo("night.png")
    result = relume("enhance", path, "-o", "-")
    assert (result.code, result.err) == (0, "")
    assert list(tmp_path.iterdir()) == [path]
    assert read_photo(result.out).rgb_HWC.mean() > dark().mean()
    assert relume("enhance", path, "-o", "-", "--strength", 0).out == path.read_bytes()
    missing = relume("enhance", tmp_path / "missing.png", "-o", "-")
    assert (missing.code, missing.out) == (ExitCode.INPUT_UNREADABLE, b"")


@pytest.mark.parametrize("name", ["new.jpg/", "new.jpg//", "new/"])
def test_a_name_that_ends_in_a_slash_is_a_folder(relume: Run, photo: Make, tmp_path: Path, name: str) -> None:
    path = photo("night.jpg")
    result = relume("enhance", path, "-o", f"{tmp_path}/{name}")
    assert result.code == 0
    assert [file.name for file in (tmp_path / name).iterdir()] == ["night.jpg"]


def test_an_unknown_ending_is_told_to_be_a_folder(relume: Run, photo: Make, tmp_path: Path) -> None:
    path, out = photo("night.jpg"), tmp_path / "new.xyz"
    first, second = relume("enhance", path, "-o", out), relume("enhance", path, "-o", out)
    assert (first.code, second.code) == (0, 0)
    assert [file.name for file in out.iterdir()] == ["night.jpg"]
    assert "new.xyz: a new folder for the results" in first.err
    assert "new folder" not in second.err
    assert "new folder" not in relume("enhance", path, "-o", tmp_path / "plain").err
