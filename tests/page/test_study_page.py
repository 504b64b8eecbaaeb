"""The page of a study, used by keys, from beginning to scores."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from page.conftest import AXE, Visit
from relume.evaluate.study.scores import score_study
from relume.evaluate.study.sheet import make_study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[str]:
    for level, method in enumerate(("one", "two")):
        (tmp_path / "sheet" / method).mkdir(parents=True)
        for photo in range(3):
            pixels = np.full((30, 40, 3), 50 + 100 * level + photo, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "sheet" / method / f"{photo}.png")
    make_study(tmp_path / "sheet", tmp_path / "study", asked=3, checks=1)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "study"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_visitor_answers_by_keys_and_saves(
    open_page: Callable[..., Visit], study: str, tmp_path: Path
) -> None:
    visit = open_page(study, ready=False)
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.click("#start")
    brightness = """() => ['left', 'right'].map((side) => {
      const image = document.querySelector(`[data-better=${side}] img`);
      const canvas = document.createElement('canvas');
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, 1, 1).data[0]; })"""
    for count in range(4):
        visit.page.wait_for_selector(f"body[data-seen='{count}']")
        left, right = visit.page.evaluate(brightness)
        visit.page.keyboard.press("ArrowLeft" if left > right else "ArrowRight")
        if count == 0:
            visit.page.wait_for_selector("body[data-seen='1']")
            visit.page.keyboard.press("Backspace")
            visit.page.wait_for_selector("body[data-seen='0']")
            visit.page.keyboard.press("ArrowLeft" if left > right else "ArrowRight")
        if count == 1:
            visit.page.wait_for_selector("body[data-seen='2']")
            visit.page.reload()  # by mistake; nothing is lost
            visit.page.wait_for_selector("body[data-ready]")
            assert visit.page.inner_text("#start") == "Continue"
            visit.page.click("#start")
    visit.page.wait_for_selector("#end:not([hidden])")
    visit.download("#save", tmp_path / "answers.json")
    assert len(json.loads((tmp_path / "answers.json").read_text())["answers"]) == 4
    found = score_study(tmp_path / "study.key.json", [tmp_path / "answers.json"])
    assert [(each.method, each.won) for each in found.scores] == [("two", 3), ("one", 0)]
    assert all(url.startswith((study, "data:")) for url in visit.asked if "blob:" not in url)
    assert visit.said == []


def test_a_visitor_who_leans_on_a_key_answers_once(open_page: Callable[..., Visit], study: str) -> None:
    visit = open_page(study, ready=False)
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.click("#start")
    visit.page.wait_for_selector("body[data-seen='0']")
    for _ in range(5):
        visit.page.keyboard.down("ArrowLeft")  # again and again, as a key that is held repeats itself
    visit.page.keyboard.up("ArrowLeft")
    visit.page.wait_for_selector("body[data-seen='1']")
    assert visit.page.evaluate("document.getElementById('progress').value") == 1


def test_a_study_opened_as_a_file_says_what_is_missing(
    open_page: Callable[..., Visit], study: str, tmp_path: Path
) -> None:
    visit = open_page((tmp_path / "study" / "index.html").as_uri(), ready=False)
    visit.page.wait_for_function(
        "() => getComputedStyle(document.getElementById('plain')).visibility === 'visible'"
    )
    assert "python -m http.server" in visit.page.inner_text("#plain")
    assert visit.page.is_hidden("#start")


def test_a_phone_shows_one_below_the_other(open_page: Callable[..., Visit], study: str) -> None:
    visit = open_page(study, ready=False, viewport={"width": 320, "height": 640}, bypass_csp=True)
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.click("#start")
    visit.page.wait_for_selector("body[data-seen='0']")
    upper, lower = (visit.page.locator(f"[data-better={side}]").bounding_box() for side in ("left", "right"))
    assert upper["y"] + upper["height"] <= lower["y"]
    assert upper["width"] > 280
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
    if AXE.is_file():
        visit.page.add_script_tag(path=str(AXE))
        assert visit.page.evaluate("axe.run(document)")["violations"] == []
