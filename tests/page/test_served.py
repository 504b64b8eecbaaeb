"""The page as `relume serve` shows it: photos computed by the server, or on the device."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from page.conftest import ROOT, Visit

pytest.importorskip("fastapi")

PHOTO = ROOT / "docs/images/night.jpg"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A service of its own process."""
    command = [sys.executable, "-m", "relume", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stderr is not None
        address = re.search(r"http://[\w.:]+", process.stderr.readline())
        assert address
        yield f"{address[0]}/"
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def visit(open_page: Callable[..., Visit], service: str) -> Visit:
    visit = open_page(service, ready=False)
    visit.page.wait_for_selector("#controls .control", state="attached")
    return visit


def test_the_server_enhances_and_keeps_metadata(visit: Visit, tmp_path: Path) -> None:
    assert "go to the server" in visit.page.inner_text("#promise")
    exif = Image.Exif()
    exif[0x010F] = "Dark Cameras"
    with Image.open(PHOTO) as original:
        original.save(tmp_path / "night.jpg", exif=exif)
    visit.add(tmp_path / "night.jpg")
    assert visit.download("#download", tmp_path / "result.jpg") == "night.relume.jpg"
    run = [sys.executable, "-m", "relume", "enhance", "night.jpg", "-o", "own.jpg", "--quiet"]
    subprocess.run(run, cwd=tmp_path, check=True)
    assert (tmp_path / "result.jpg").read_bytes() == (tmp_path / "own.jpg").read_bytes()


def test_settings_reach_the_server(visit: Visit, tmp_path: Path) -> None:
    visit.add(PHOTO)
    visit.page.evaluate(
        """() => { const input = document.getElementById('exposure'); input.value = 60;
        input.dispatchEvent(new Event('input', { bubbles: true })); }"""
    )
    visit.page.wait_for_selector("body[data-drawing=false]")
    visit.download("#download", tmp_path / "bright.jpg")
    with Image.open(tmp_path / "bright.jpg") as bright:
        mean = bright.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert 130 < mean < 170
    visit.page.click("button[type=reset]")


def test_photos_that_only_the_server_can_read(visit: Visit, tmp_path: Path) -> None:
    with Image.open(PHOTO) as original:
        original.save(tmp_path / "scan.tiff")
    visit.add(tmp_path / "scan.tiff")
    assert visit.page.evaluate("document.getElementById('before').width") == original.width
    assert visit.download("#download", tmp_path / "result.tiff") == "scan.relume.tiff"
    with Image.open(tmp_path / "result.tiff") as result:
        assert (result.format, result.size) == ("TIFF", original.size)
    (tmp_path / "notes.txt").write_text("no photo")
    visit.page.set_input_files("#pick", str(tmp_path / "notes.txt"))
    visit.page.wait_for_selector("#problem:not([hidden])")
    assert "The server refused notes.txt." in visit.page.inner_text("#problem p")
    visit.page.click("#problem button")


def test_a_part_in_full_size_comes_from_the_server(visit: Visit, tmp_path: Path) -> None:
    with Image.open(PHOTO) as original:
        original.resize((2400, 1600)).save(tmp_path / "large.jpg", quality=90)
    visit.add(tmp_path / "large.jpg")
    visit.page.click("#zoom")
    visit.page.wait_for_selector("body[data-drawing=false]")
    box = visit.page.locator("#stage").bounding_box()
    assert visit.page.evaluate("document.getElementById('after').width") == round(box["width"])
    visit.page.click("#zoom")


def test_what_the_server_refuses_is_told_in_its_words(visit: Visit) -> None:
    visit.add(PHOTO)
    problem = {"title": "Too Many Requests", "detail": "the queue is full", "remedy": "Try again in 5 s."}
    visit.page.route(
        "**/enhance?*",
        lambda route: route.fulfill(
            status=429, content_type="application/problem+json", body=json.dumps(problem)
        ),
    )
    visit.page.click("#download")
    visit.page.wait_for_selector("#problem:not([hidden])")
    said = visit.page.inner_text("#problem p")
    assert said == "The server refused night.jpg. The queue is full. Try again in 5 s."
    visit.page.unroute("**/enhance?*")
    visit.page.click("#problem button")


def test_the_device_computes_if_that_is_chosen(visit: Visit) -> None:
    if visit.page.locator("#modes").get_attribute("hidden") is not None:
        pytest.skip("the page's runtime is not here: make page")
    visit.page.select_option("#mode", "device")
    assert "stay on this device" in visit.page.text_content("#promise")
    visit.page.wait_for_selector("body[data-provider]")
    assert visit.page.evaluate("crossOriginIsolated")
    visit.page.wait_for_selector("#busy", state="hidden")
    asked = len(visit.asked)
    visit.add(PHOTO)
    assert [url for url in visit.asked[asked:] if not url.startswith("blob:")] == []
