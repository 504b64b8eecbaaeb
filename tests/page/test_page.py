"""The page as people use it, in private mode: headless Chromium on the static site."""

from __future__ import annotations

import base64
import io
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from page.conftest import AXE, ROOT, Host, Visit, hosting
from relume import Enhancer, read_photo
from shared import dark

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Golden photos: real and drawn, coloured and grey, of odd sizes, some framed, one partly transparent."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "real.jpg").write_bytes((ROOT / "docs/images/night.jpg").read_bytes())
    with Image.open(ROOT / "docs/images/darkened.jpg") as many:
        many.crop((218, 0, 331, 247)).save(folder / "corner.png")
    Image.fromarray(lit(301, 533)).save(folder / "drawn.png")
    Image.fromarray(lit(200, 140)[..., 1]).save(folder / "grey.png")
    Image.fromarray(np.repeat(lit(200, 140)[..., 1:2], 3, axis=2)).save(folder / "greys.png")
    Image.fromarray(framed(lit(301, 433), 60, 255)).save(folder / "bordered.png")
    Image.fromarray(framed(lit(603, 1001), 251, 0)).save(folder / "boxed.png")
    seen = np.full((120, 160, 1), 255, np.uint8)
    seen[40:80, 40:90] = 0
    Image.fromarray(np.concatenate([lit(120, 160), seen], 2)).save(folder / "hole.png")
    return folder


def lit(height: int, width: int) -> np.ndarray:
    """A dark scene whose shapes are there to be seen, with a lamp."""
    picture = dark(height, width, seed=5).astype(np.float32)
    picture[height // 3 : height // 2, width // 4 : width // 2] *= 2.5
    picture[: height // 8, : width // 8] = 240
    return np.clip(picture, 0, 255).astype(np.uint8)


def framed(picture: np.ndarray, lines: int, level: int) -> np.ndarray:
    """With so many lines of a level above and below, and half as many on both sides."""
    sides = ((lines, lines), (lines // 2, lines // 2), (0, 0))
    return np.pad(picture, sides, constant_values=level)


def pixels(data: bytes | Path) -> np.ndarray:
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def shown(visit: Visit, name: str) -> np.ndarray:
    """The pixels of a canvas."""
    code = """id => { const c = document.getElementById(id);
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      const letters = Array.from(data, (value) => String.fromCharCode(value)).join('');
      return [c.height, c.width, btoa(letters)]; }"""
    height, width, values = visit.page.evaluate(code, name)
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def set_range(visit: Visit, name: str, value: int) -> None:
    """Move a slider, and wait until the picture is drawn anew."""
    code = """([id, value]) => { const input = document.getElementById(id); input.value = value;
      input.dispatchEvent(new Event('input', { bubbles: true })); }"""
    visit.page.evaluate(code, [name, value])
    visit.page.wait_for_selector("body[data-drawing=false]")


@pytest.mark.parametrize(
    "name",
    [
        *("real.jpg", "corner.png", "drawn.png", "grey.png", "greys.png", "hole.png"),
        *("bordered.png", "boxed.png"),
    ],
)
def test_results_are_those_of_the_command_line(
    visit: Visit, photos: Path, kept_enhancer: Any, tmp_path: Path, name: str
) -> None:
    visit.add(photos / name)
    visit.page.select_option("#format", "png")
    assert visit.download("#download", tmp_path / "result.png") == f"{Path(name).stem}.relume.png"
    visit.page.select_option("#format", "same")
    ours = kept_enhancer("photo", precision="float32").enhance(photos / name)
    with Image.open(tmp_path / "result.png") as theirs:
        assert theirs.mode == {"grey.png": "L", "hole.png": "RGBA"}.get(name, "RGB")
        seen = np.asarray(theirs.convert("RGBA"))
    visible = seen[..., 3] > 0
    difference = np.abs(seen[..., :3].astype(int) - ours.rgb_HWC)[visible]
    sys.stdout.write(f"{name}: largest difference {difference.max()} of 255\n")  # shown by pytest -s
    assert difference.max() <= 1
    assert np.abs(pixels(photos / name) - ours.rgb_HWC).max() > 30  # something was done


def test_settings_do_what_the_options_of_the_command_line_do(
    visit: Visit, photos: Path, kept_enhancer: Any
) -> None:
    visit.add(photos / "drawn.png")
    settings = {"exposure": 45, "denoise": 30, "highlight_guard": 0, "colour_guard": 20, "strength": 80}
    for name, value in settings.items():
        set_range(visit, name, value)
    share = {name: value / 100 for name, value in settings.items()}
    by_exposure = kept_enhancer("photo", precision="float32").enhance(photos / "drawn.png", **share)
    assert np.abs(shown(visit, "after") - by_exposure.rgb_HWC).max() <= 1
    visit.page.click("[data-control=exposure] .auto")
    set_range(visit, "denoise", 100)
    by_strength = kept_enhancer("photo", precision="float32").enhance(
        photos / "drawn.png", **{**share, "exposure": None, "denoise": 1.0}
    )
    assert np.abs(shown(visit, "after") - by_strength.rgb_HWC).max() <= 1
    assert np.abs(by_strength.rgb_HWC.astype(int) - by_exposure.rgb_HWC).max() > 5
    visit.page.click("button[type=reset]")
    assert visit.page.inner_text("[data-control=strength] output") == "automatic"


def test_the_other_model_is_another(visit: Visit, photos: Path, kept_enhancer: Any) -> None:
    visit.add(photos / "grey.png")
    visit.page.select_option("#model", "lol")
    visit.page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('grey.png is')"
    )
    visit.page.wait_for_selector("#busy", state="hidden")
    ours = kept_enhancer("lol", precision="float32").enhance(photos / "grey.png").rgb_HWC
    assert np.abs(shown(visit, "after") - ours).max() <= 1
    visit.page.select_option("#model", "photo")


def test_files_keep_their_metadata_and_profile(
    visit: Visit, tmp_path: Path, kept_enhancer: Callable[..., Enhancer]
) -> None:
    profile = wide_gamut()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Dark Cameras", 6
    exif.get_ifd(0x8825)[1] = "N"
    options = {"exif": exif, "icc_profile": profile}
    Image.fromarray(lit(60, 90)).save(tmp_path / "turned.jpg", quality=95, comment=b"a note", **options)
    Image.fromarray(lit(60, 90)).save(tmp_path / "turned.png", **options)
    for name in ("turned.jpg", "turned.png"):
        visit.add(tmp_path / name)
        assert visit.download("#download", tmp_path / f"out-{name}") == f"turned.relume{Path(name).suffix}"
        with Image.open(tmp_path / f"out-{name}") as result:
            assert result.size == (60, 90)
            assert result.info["icc_profile"] == profile
            assert result.getexif()[0x010F] == "Dark Cameras"
            assert result.getexif()[0x0112] == 1
            assert result.getexif().get_ifd(0x8825)[1] == "N"
            assert name.endswith("png") or result.info["comment"] == b"a note"
        assert read_photo(tmp_path / f"out-{name}").notes == ()
        ours = kept_enhancer("photo", precision="float32").enhance(tmp_path / name).rgb_HWC
        assert np.abs(pixels(tmp_path / f"out-{name}") - ours).mean() < 2 * name.endswith("jpg") + 0.01


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_the_one_of_the_command_line(
    visit: Visit, host: Host, tmp_path: Path, form: str
) -> None:
    code = """async ([module, bytes]) => {
      const { decode } = await import(module);
      const photo = await decode(new File([new Uint8Array(bytes)], 'photo'));
      const letters = Array.from(photo.data, (value) => String.fromCharCode(value)).join('');
      return [photo.height, photo.width, btoa(letters), Array.from(photo.about.exif)]; }"""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}"
        Image.fromarray(lit(24, 40)).save(path, form, exif=exif, lossless=True)
        arguments = [f"{host.address}photo.js", list(path.read_bytes())]
        height, width, values, kept = visit.page.evaluate(code, arguments)
        theirs = np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)[..., :3]
        ours = read_photo(path).rgb_HWC
        assert theirs.shape == ours.shape, orientation
        assert np.abs(theirs.astype(int) - ours).max() <= (2 if form == "JPEG" else 0), orientation
        upright = Image.Exif()
        upright.load(bytes(kept))
        assert upright[0x0112] == 1


@pytest.mark.parametrize(
    ("name", "frames"),
    [("one.png", 1), ("tall.png", 1), ("moving.gif", 2), ("moving.webp", 2), ("png.jpg", 1)],
)
def test_odd_photos_come_back(visit: Visit, tmp_path: Path, name: str, frames: int) -> None:
    shape = {"one.png": (1, 1), "tall.png": (700, 1)}.get(name, (30, 40))
    pixels = lit(*shape) // (1 + 2 * (min(shape) == 1))
    first, *rest = [Image.fromarray(pixels // (1 + number)) for number in range(frames)]
    form = "PNG" if name == "png.jpg" else None  # a wrong name
    first.save(tmp_path / name, form, **({"save_all": True, "append_images": rest} if rest else {}))
    visit.add(tmp_path / name)
    assert ("first picture" in visit.page.inner_text("#told")) is (frames > 1)
    suggested = visit.download("#download", tmp_path / "result")
    with Image.open(tmp_path / "result") as result:
        assert result.size == shape[::-1]
        assert suggested == f"{Path(name).stem}.relume.{'png' if result.format == 'PNG' else 'jpg'}"


def wide_gamut() -> bytes:
    """A profile with Display P3's primaries and sRGB's curve, as phones write it, in samples."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = profile.find(b"rXYZ")
    assert at > 0
    place = int.from_bytes(profile[at + 4 : at + 8], "big")
    profile[place + 8 : place + 12] = round(0.515 * 65536).to_bytes(4, "big")
    return bytes(profile)


def test_the_border_moves_by_keyboard(visit: Visit, photos: Path) -> None:
    visit.add(photos / "drawn.png")
    visit.page.focus("#split")
    visit.page.keyboard.press("Home")
    assert border(visit) == 0
    for _ in range(3):
        visit.page.keyboard.press("ArrowRight")
    assert border(visit) == 3
    visit.page.keyboard.press("End")
    assert border(visit) == 100
    assert visit.page.get_attribute("#split", "aria-valuetext") == "Before 100 %"


def border(visit: Visit) -> float:
    """Where before becomes after, in hundredths of the picture's width."""
    code = """() => { const shown = document.getElementById('before').getBoundingClientRect();
      const line = document.querySelector('.border').getBoundingClientRect();
      return 100 * (line.left + line.width / 2 - shown.left) / shown.width; }"""
    return round(visit.page.evaluate(code), 1)


def test_the_border_moves_by_mouse(visit: Visit, photos: Path) -> None:
    visit.add(photos / "drawn.png")
    box = visit.page.locator("#before").bounding_box()
    middle = box["y"] + box["height"] / 2
    visit.page.mouse.move(box["x"] + box["width"] * 0.9, middle)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.25, middle, steps=4)
    visit.page.mouse.up()
    assert border(visit) == pytest.approx(25, abs=1)


def test_a_phone_compares_by_touch_and_nothing_is_wider_than_it(
    open_page: Open, host: Host, photos: Path, tmp_path: Path
) -> None:
    visit = open_page(host.address, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    assert visit.page.is_visible("[data-take]")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
    visit.add(photos / "drawn.png")
    box = visit.page.locator("#before").bounding_box()
    visit.page.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert border(visit) == pytest.approx(80, abs=2)
    named = tmp_path / f"{'a' * 200}.png"
    named.write_bytes((photos / "drawn.png").read_bytes())
    visit.add(named)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
    small = "e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('#queue') && e.id"
    assert visit.page.evaluate(f"[...document.querySelectorAll('main *')].map({small}).filter(Boolean)") == []


def test_several_photos_come_as_one_archive_and_a_bad_one_is_named(
    visit: Visit, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "broken.jpg"
    bad.write_bytes(b"\xff\xd8 this is no photo")
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    visit.add(photos / "grey.png", bad, photos / "hole.png")
    assert visit.page.locator("#queue li").count() == 3
    visit.download("#downloadAll", tmp_path / "all.zip")
    assert "broken.jpg is not a photo that this browser can read" in visit.page.inner_text("#problem")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == ["grey.relume.png", "hole.relume.png"]
        assert pixels(archive.read("grey.relume.png")).mean() > 1.5 * pixels(photos / "grey.png").mean()
    assert visit.page.inner_text("#status") == "2 photos were saved in one file."
    assert visit.page.locator("#queue .failed").count() == 1
    visit.page.click("#problem button")
    visit.page.click("#queue li:nth-child(2) .remove")
    assert visit.page.locator("#queue li").count() == 2


def test_a_bad_file_is_an_error_in_words_and_the_page_goes_on(
    visit: Visit, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    visit.page.set_input_files("#pick", str(tmp_path / "notes.txt"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    assert "notes.txt is not a photo" in visit.page.inner_text("#problem")
    assert visit.page.is_disabled("#download")
    visit.page.click("#problem button")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    visit.page.set_input_files("#pick", str(tmp_path / "phone.heic"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    assert "phone.heic is a HEIC or AVIF photo" in visit.page.inner_text("#problem")
    visit.page.click("#problem button")
    visit.add(photos / "hole.png")
    assert visit.page.is_enabled("#download")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_photos_are_pasted_and_dropped(visit: Visit, photos: Path, event: str) -> None:
    code = """([event, bytes, name]) => { const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
      const made = event === 'paste' ? new ClipboardEvent(event, { clipboardData: data, bubbles: true })
        : new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true });
      document.body.dispatchEvent(made); }"""
    name = f"{event}.png"
    visit.page.evaluate(code, [event, list((photos / "hole.png").read_bytes()), name])
    visit.page.wait_for_function(
        "name => document.getElementById('status').textContent.startsWith(name + ' is ready')", arg=name
    )


@pytest.mark.slow
def test_a_part_in_full_size_is_that_of_the_result(
    visit: Visit, tmp_path: Path, kept_enhancer: Callable[..., Enhancer]
) -> None:
    """Of a photo that the network sees at half its size, at odd places."""
    with Image.open(ROOT / "docs/images/night.jpg") as small:
        small.resize((3601, 2301), Image.Resampling.BICUBIC).save(tmp_path / "large.png", compress_level=1)
    visit.add(tmp_path / "large.png")
    visit.page.click("#zoom")
    visit.page.wait_for_selector("body[data-drawing=false]")
    assert "in full size" in visit.page.inner_text("#told")
    visit.page.focus("#split")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown"):
        visit.page.keyboard.press(key)
    visit.page.wait_for_selector("body[data-drawing=false]")
    before, after = shown(visit, "before"), shown(visit, "after")
    whole = pixels(tmp_path / "large.png")
    box = visit.page.locator("#stage").bounding_box()
    height, width = before.shape[:2]
    assert (height, width) == (round(box["height"]), round(box["width"]))
    top, left = place_in(whole, before)
    ours = kept_enhancer("photo", precision="float32").enhance(tmp_path / "large.png").rgb_HWC
    assert np.abs(ours[top : top + height, left : left + width] - after).max() <= 1
    visit.page.mouse.move(box["x"] + 60, box["y"] + 60)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 20, box["y"] + 50, steps=3)
    visit.page.mouse.up()
    visit.page.wait_for_selector("body[data-drawing=false]")
    assert place_in(whole, shown(visit, "before")) == (top + 10, left + 40)
    visit.page.click("#zoom")
    visit.page.wait_for_selector("body[data-drawing=false]")
    assert shown(visit, "before").shape[1] == 1024


def test_a_part_in_full_size_of_a_framed_photo_is_that_of_the_result(
    visit: Visit, photos: Path, kept_enhancer: Callable[..., Enhancer]
) -> None:
    visit.add(photos / "boxed.png")
    visit.page.click("#zoom")
    visit.page.wait_for_selector("body[data-drawing=false]")
    before, after = shown(visit, "before"), shown(visit, "after")
    height, width = before.shape[:2]
    ours = kept_enhancer("photo", precision="float32").enhance(photos / "boxed.png").rgb_HWC
    top, left = place_in(pixels(photos / "boxed.png"), before)
    assert np.abs(ours[top : top + height, left : left + width] - after).max() <= 1
    visit.page.click("#zoom")
    visit.page.wait_for_selector("body[data-drawing=false]")


def place_in(whole: np.ndarray, part: np.ndarray) -> tuple[int, int]:
    """Where a part of a picture lies in it."""
    rows, columns = (whole.shape[axis] - part.shape[axis] + 1 for axis in (0, 1))
    same = np.ones((rows, columns), bool)
    for row, column in ((0, 0), (5, 9), (40, 100), (-1, -1), (99, 7), (200, 201)):
        at = (row % part.shape[0], column % part.shape[1])
        same &= (whole[at[0] : at[0] + rows, at[1] : at[1] + columns] == part[at]).all(-1)
    found = np.argwhere(same)
    for top, left in found:
        if (whole[top : top + part.shape[0], left : left + part.shape[1]] == part).all():
            return int(top), int(left)
    raise AssertionError("this is no part of the photo")


def test_a_result_is_copied(open_page: Open, host: Host, photos: Path) -> None:
    visit = open_page(
        host.address, service_workers="block", permissions=["clipboard-read", "clipboard-write"]
    )
    visit.add(photos / "hole.png")
    visit.page.click("#copy")
    visit.page.wait_for_function(
        "() => document.getElementById('status').textContent === 'hole.png was copied, as PNG.'"
    )
    code = """async () => { const [item] = await navigator.clipboard.read();
      const { width, height } = await createImageBitmap(await item.getType('image/png'));
      return [width, height]; }"""
    assert visit.page.evaluate(code) == [160, 120]


def test_a_phone_shares_a_result_and_asks_again_where_that_took_long(
    open_page: Open, host: Host, photos: Path
) -> None:
    visit = open_page(host.address, ready=False, service_workers="block", has_touch=True, is_mobile=True)
    visit.page.context.add_init_script("""
      window.shared = [];
      navigator.canShare = () => true;
      navigator.share = async ({ files: [{ name, type, size }] }) => {
        shared.push([name, type, size > 100]);
        if (shared.length === 1) throw new DOMException('too late', 'NotAllowedError');
        if (shared.length === 2) throw new DOMException('changed my mind', 'AbortError');
      };""")
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    visit.add(photos / "hole.png")
    status = "() => document.getElementById('status').textContent"
    for times, said in enumerate(
        ("hole.png is ready. Tap “Share” once more.", "hole.png is ready to compare."), 1
    ):
        visit.page.click("#share")
        visit.page.wait_for_function(
            f"() => shared.length === {times} && !document.getElementById('share').disabled"
        )
        assert visit.page.evaluate(status) == said
    assert visit.page.evaluate("shared") == [["hole.relume.png", "image/png", True]] * 2
    assert visit.page.is_hidden("#problem")
    assert visit.said == []


def test_the_keyboard_always_is_somewhere(visit: Visit, photos: Path, tmp_path: Path) -> None:
    where = (
        "() => { const { id, dataset } = document.activeElement; return id || dataset.film || dataset.t; }"
    )
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    visit.add(photos / "hole.png", photos / "grey.png")
    assert visit.page.evaluate(where) == "split"
    visit.page.focus("#queue li:nth-child(1) .remove")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate(where) == "2"
    (tmp_path / "notes.txt").write_text("no photo")
    visit.page.set_input_files("#pick", str(tmp_path / "notes.txt"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    visit.page.keyboard.press("Escape")
    assert visit.page.is_hidden("#problem")
    assert visit.page.evaluate(where) == "3"
    for _ in range(2):
        visit.page.focus("#queue .remove")
        visit.page.keyboard.press("Enter")
    assert visit.page.evaluate(where) == "choose"


def test_settings_stay_for_the_next_visit(open_page: Open, host: Host, photos: Path) -> None:
    visit = open_page(host.address, service_workers="block")
    visit.add(photos / "hole.png")
    set_range(visit, "exposure", 45)
    visit.page.select_option("#format", "png")
    visit.page.select_option("#model", "lol")
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    settings = "() => [...document.querySelectorAll('#exposure, #format, #model')].map((each) => each.value)"
    assert visit.page.evaluate(settings) == ["45", "lol", "png"]
    assert visit.page.inner_text("[data-control=strength] output") == "automatic"
    for odd in ("{", '"x"', '{"controls": {"exposure": 9, "more": 1}, "model": "none", "format": 7}'):
        visit.page.evaluate("odd => localStorage.setItem('relume.settings', odd)", odd)
        visit.page.reload()
        visit.page.wait_for_selector("body[data-provider]")
        assert visit.page.evaluate(settings)[1:] == ["photo", "same"]
        assert visit.page.inner_text("[data-control=exposure] output") == "automatic"
    assert visit.said == []


def test_photos_that_are_passed_over_are_not_waited_for(visit: Visit, photos: Path, tmp_path: Path) -> None:
    """Forty photos at once, and a hurried visitor."""
    many = [tmp_path / f"{number}.png" for number in range(40)]
    for path in many:
        path.write_bytes((photos / "hole.png").read_bytes())
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    visit.add(*many)
    assert visit.page.locator("#queue li").count() == 40
    opened = "() => document.querySelectorAll('#queue .film').length"
    visit.page.evaluate("() => document.querySelectorAll('#queue .film').forEach((film) => film.click())")
    visit.page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('39.png is ready')"
    )
    assert visit.page.evaluate(opened) == 40
    assert visit.page.is_hidden("#busy")
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")


def test_words_that_stand_there_change_their_language_too(
    open_page: Open, host: Host, photos: Path, tmp_path: Path
) -> None:
    visit = open_page(host.address, service_workers="block")
    (tmp_path / "notes.txt").write_text("no photo")
    visit.page.set_input_files("#pick", str(tmp_path / "notes.txt"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    visit.add(photos / "hole.png")
    visit.page.select_option("#language", "de")
    assert visit.page.inner_text("#status") == "hole.png kann verglichen werden."
    assert "ist kein Foto" in visit.page.inner_text("#problem")
    assert visit.page.get_attribute("#split", "aria-valuetext").startswith("Vorher")


def test_a_part_that_failed_to_load_is_tried_again(open_page: Open, host: Host, photos: Path) -> None:
    visit = open_page(host.address, ready=False, service_workers="block")
    visit.page.context.route("**/worker.js", lambda route: route.abort())
    visit.page.reload()
    visit.page.wait_for_selector("#problem:not([hidden])")
    assert "could not be started" in visit.page.inner_text("#problem")
    visit.page.context.unroute("**/worker.js")
    visit.add(photos / "hole.png")


def test_a_well_lit_photo_is_left_alone(visit: Visit, tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([120 + x, 150 + y, 140 + x], -1).astype(np.uint8)).save(tmp_path / "day.png")
    visit.add(tmp_path / "day.png")
    assert "bright enough" in visit.page.inner_text("#told")
    visit.download("#download", tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "day.png").read_bytes()


@pytest.mark.slow
def test_twelve_megapixels_agree_and_can_be_stopped(
    visit: Visit, tmp_path: Path, kept_enhancer: Callable[..., Enhancer]
) -> None:
    with Image.open(ROOT / "docs/images/night.jpg") as small:
        small.resize((4001, 2999), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=92)
    visit.add(tmp_path / "large.jpg")
    assert "smaller than your photo" in visit.page.inner_text("#told")
    visit.page.click("#download")
    visit.page.wait_for_selector("#cancel", state="visible")
    visit.page.click("#cancel")
    visit.page.wait_for_function("() => document.getElementById('status').textContent.startsWith('Stopped')")
    visit.page.select_option("#format", "png")
    visit.download("#download", tmp_path / "large.png")
    visit.page.select_option("#format", "same")
    ours = kept_enhancer("photo", precision="float32").enhance(tmp_path / "large.jpg").rgb_HWC
    difference = np.abs(pixels(tmp_path / "large.png") - ours)
    assert difference.max() <= 1


def test_nothing_is_asked_for_after_loading(visit: Visit, host: Host, photos: Path, tmp_path: Path) -> None:
    visit.page.reload()
    visit.page.wait_for_selector("body[data-provider]")
    visit.page.wait_for_function("() => document.getElementById('runs').textContent.includes('offline')")
    visit.page.wait_for_load_state("networkidle")
    asked, served = len(visit.asked), len(host.asked)
    visit.add(photos / "hole.png")
    set_range(visit, "exposure", 50)
    visit.page.click("[data-control=exposure] .auto")
    visit.page.select_option("#model", "lol")
    visit.page.wait_for_selector("#busy", state="hidden")
    visit.page.select_option("#model", "photo")
    visit.page.wait_for_selector("#busy", state="hidden")
    visit.download("#download", tmp_path / "result.png")
    visit.page.select_option("#language", "de")
    visit.page.select_option("#language", "en")
    assert [url for url in visit.asked[asked:] if not url.startswith("blob:")] == []
    # A browser looks by itself, some time after a visit begins, whether there is a new service worker.
    assert [path for path in host.asked[served:] if "/sw.js?" not in path] == []
    assert all(url.startswith((host.address, f"blob:{host.address[:-6]}")) for url in visit.asked)


def test_it_works_without_a_network(visit: Visit, photos: Path) -> None:
    visit.page.context.set_offline(True)
    try:
        visit.page.reload()
        visit.page.wait_for_selector("body[data-provider]")
        assert visit.page.evaluate("crossOriginIsolated")
        assert "Works offline" in visit.page.inner_text("#runs")
        visit.add(photos / "corner.png")
        assert shown(visit, "after").mean() > 1.3 * shown(visit, "before").mean()
    finally:
        visit.page.context.set_offline(False)


def test_a_new_version_comes_whole_whatever_its_host_lets_browsers_keep(
    open_page: Open, site: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    kept = "() => document.getElementById('runs').textContent.includes('offline')"
    with hosting(copy, Cache_Control="max-age=600") as host:
        visit = open_page(host.address)
        visit.page.wait_for_function(kept)
        for name, old, new in (
            ("strings.js", "claim: 'Make", "claim: 'Now make"),
            ("site.json", '"version": "', '"version": "new'),
        ):
            text = (copy / name).read_text()
            assert old in text
            (copy / name).write_text(text.replace(old, new))
        visit.page.reload()  # which finds that there is another version
        stores = "async () => (await caches.keys()).join()"
        end = time.monotonic() + 60
        while not visit.page.evaluate(stores).startswith("relume-new") and time.monotonic() < end:
            time.sleep(0.2)
        assert visit.page.evaluate(stores).count("relume-") == 1
        visit.page.reload()
        visit.page.wait_for_selector("body[data-provider]")
        assert visit.page.inner_text("#claim").startswith("Now make")


def test_it_works_where_nothing_can_be_kept(open_page: Open, host: Host, photos: Path) -> None:
    visit = open_page(host.address, service_workers="block")
    assert not visit.page.evaluate("crossOriginIsolated")
    assert "threads: 1" in visit.page.inner_text("#runs")
    visit.add(photos / "hole.png")


def test_it_speaks_german_and_changes_its_appearance(open_page: Open, host: Host) -> None:
    visit = open_page(host.address, ready=False, locale="de-DE", color_scheme="dark", service_workers="block")
    visit.page.wait_for_selector("#controls .control", state="attached")
    assert visit.page.inner_text("#claim") == "Dunkle Fotos lesbar machen"
    assert visit.page.get_attribute("html", "lang") == "de"
    dark_ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    visit.page.click("#dark")
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") != dark_ground
    visit.page.select_option("#language", "en")
    assert visit.page.inner_text("#claim") == "Make dark photographs readable"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, host: Host, photos: Path, tmp_path: Path, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not here: make page")
    visit = open_page(host.address, color_scheme=scheme, service_workers="block", bypass_csp=True)
    visit.page.add_script_tag(path=str(AXE))
    assert broken_rules(visit) == []
    (tmp_path / "notes.txt").write_text("no photo")
    visit.add(photos / "drawn.png", photos / "hole.png")
    assert broken_rules(visit) == []
    visit.page.set_input_files("#pick", str(tmp_path / "notes.txt"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    assert broken_rules(visit) == []


def broken_rules(visit: Visit) -> list[str]:
    """What axe finds, of WCAG 2.2 A and AA and of good practice."""
    found = visit.page.evaluate("axe.run(document)")
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]]


def test_nothing_failed_unseen(visit: Visit) -> None:
    assert visit.said == []
