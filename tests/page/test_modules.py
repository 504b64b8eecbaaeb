"""The page's modules, run by Node: they cut photos as the product does, and speak every language."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from page.conftest import NODE, ROOT, needs_node
from relume.look.frame import find_frame
from relume.options import Controls
from relume.site import PAGE
from relume.steps.thumbnail import overview_shape
from relume.steps.tiles import mirrored, spans

pytestmark = needs_node


def node(module: str, code: str, *arguments: object) -> Any:
    """What code returns that has a module of the page as `page` and its arguments as `given`."""
    script = (
        f"import * as page from '{(Path(str(PAGE)) / module).as_uri()}';"
        f"const given = {json.dumps(arguments)};"
        f"const found = await (async () => {{ {code} }})();"
        "console.log(JSON.stringify(found));"
    )
    run = subprocess.run(
        [str(NODE), "--input-type=module", "--no-warnings", "-"],
        input=script.encode(),
        capture_output=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_photos_are_cut_as_the_product_cuts_them() -> None:
    rng = np.random.default_rng(0)
    lengths = [*range(1, 40), *rng.integers(40, 9000, 60).tolist()]
    asked = [
        (length, side, halo, 16) for length in lengths for side in (0, 640, 1024) for halo in (0, 128, 144)
    ]
    found = node("geometry.js", "return given[0].map((each) => page.spans(...each));", asked)
    for each, theirs in zip(asked, found, strict=True):
        ours = [
            {name: [part.start, part.stop] for name, part in (("inner", one.inner), ("outer", one.outer))}
            for one in spans(*each)
        ]
        assert theirs == ours, each


def test_thumbnails_have_the_products_shape() -> None:
    sizes = [(height, width) for height in range(1, 80, 3) for width in (1, 2, 33, 64, 600, 1023, 4032)]
    found = node("geometry.js", "return given[0].map(([h, w]) => page.overviewShape(h, w, 128));", sizes)
    assert [tuple(each) for each in found] == [overview_shape(*size, 128) for size in sizes]


def test_a_photo_is_continued_as_by_the_product() -> None:
    asked = [
        (length, before, after) for length in (1, 2, 3, 20, 40) for before in (0, 32) for after in (0, 32)
    ]
    script = "return given[0].map(([length, ...ends]) => [...page.mirrored(length, ends)].map(Number));"
    found = node("geometry.js", script, asked)
    assert found == [mirrored(*each) for each in asked]


def test_frames_are_those_of_the_product() -> None:
    rng = np.random.default_rng(1)
    photos = [np.full((30, 40, 3), 7, np.uint8)]
    for number in range(60):
        height, width, *sides = (
            int(each) for each in rng.integers([1, 1, 0, 0, 0, 0], [50, 50, 25, 25, 25, 25])
        )
        (top, bottom), (left, right) = (
            pair if number % 3 else (pair[0],) * 2 for pair in (sides[:2], sides[2:])
        )
        top, bottom = (0, 0) if number % 5 == 0 else (top, bottom)
        coarse = rng.integers(0, [255, 40, 12][number % 3], (4, 5, 3)).astype(np.uint8)
        alone = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        photo = np.pad(
            alone, ((top, bottom), (left, right), (0, 0)), constant_values=int(rng.choice([0, 16, 255]))
        )
        if number % 2:
            file = io.BytesIO()
            Image.fromarray(photo).save(file, "jpeg", quality=90)
            photo = np.asarray(Image.open(file))
        photos.append(photo)
    page = np.full((40, 60, 3), 18, np.uint8)
    page[4:16, 3:-3] = page[20:36, 3:-3] = rng.integers(60, 120, (1, 54, 1))
    page[9, 3:-3] += 7
    photos += [page, np.where(page == 18, 0, page).astype(np.uint8)]
    ours = [list(find_frame(photo)) for photo in photos]
    assert [any(each) for each in ours[-2:]] == [False, True]
    assert sum(map(any, ours)) > 20
    assert not all(map(any, ours))
    code = """return given[0].map(([height, width, letters]) => {
      const data = Uint8ClampedArray.from(atob(letters), (letter) => letter.charCodeAt(0));
      return page.frameOf({ data, width, height, transparent: false }); });"""
    clear = [np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]) for photo in photos]
    asked = [(*photo.shape[:2], base64.b64encode(photo.tobytes()).decode()) for photo in clear]
    assert node("frame.js", code, asked) == ours


def test_what_is_transparent_has_no_frame() -> None:
    code = """const within = (at) => at > 1600 && at < 3200;
      const data = Uint8ClampedArray.from({ length: 4 * 40 * 30 }, (_, at) => (at % 251) * within(at));
      const photo = { data, width: 40, height: 30 };
      return [true, false].map((transparent) => page.frameOf({ ...photo, transparent }));"""
    assert node("frame.js", code) == [[0, 0, 0, 0], [10, 10, 0, 0]]


def test_every_language_has_every_word() -> None:
    strings = node("strings.js", "return page.STRINGS;")
    assert len(strings) >= 2
    for language, table in strings.items():
        assert table.keys() == strings["en"].keys(), language
        assert all(table.values())
        for key, words in table.items():
            slots = [set(re.findall(r"\{\w+\}", each)) for each in (words, strings["en"][key])]
            assert slots[0] == slots[1], (language, key)


def test_every_word_that_the_page_shows_is_in_the_table() -> None:
    known = node("strings.js", "return Object.keys(page.STRINGS.en);")
    text = (PAGE / "index.html").read_text() + (PAGE / "app.js").read_text()
    used = set(re.findall(r'data-(?:t|label|title)="(\w+)"|\b(?:t|say)\(\'(\w+)\'', text))
    failures = set(re.findall(r"Failure\('(\w+)'", "".join((PAGE / name).read_text() for name in MODULES)))
    named = {name for each in used for name in each if name} | failures
    named |= {f"{name}{more}" for name in Controls.__dataclass_fields__ for more in ("", "Help")}
    assert named <= set(known)
    assert len(named) > 40


MODULES = [path.name for path in Path(str(PAGE)).glob("*.js")]


def test_the_language_is_the_one_asked_for() -> None:
    code = "return given.map((each) => page.firstLanguage(...each));"
    asked = ((None, ["de-AT"]), (None, ["fr", "en-US"]), ("de", ["en"]), (None, ["fr"]), ("xx", ["de"]))
    assert node("strings.js", code, *asked) == ["de", "en", "de", "en", "de"]


def test_archives_are_whole_and_names_in_them_differ(tmp_path: Path) -> None:
    code = """
      const files = [['nächt.jpg', 'one'], ['a.jpg', 'two'], ['A.jpg', ''], ['a.jpg', 'four']];
      const made = files.map(([name, text]) => ({ name, blob: new Blob([text]) }));
      return [...new Uint8Array(await (await page.zip(made)).arrayBuffer())];
    """
    target = tmp_path / "all.zip"
    target.write_bytes(bytes(node("zip.js", code)))
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["nächt.jpg", "a.jpg", "A (2).jpg", "a (3).jpg"]
        assert [archive.read(name) for name in archive.namelist()] == [b"one", b"two", b"", b"four"]


def test_no_download_address_is_committed() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
    pinned = json.loads((ROOT / "package.json").read_text())
    for version in (pinned["dependencies"] | pinned["devDependencies"]).values():
        assert re.fullmatch(r"[0-9.]+", version)
