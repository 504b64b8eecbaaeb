from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relume.errors import DataError
from relume.evaluate import score
from relume.evaluate.lettering import line_height, line_mask
from relume.evaluate.sheet import Cell, SheetRow, comparison_html, comparison_png, comparison_row

COLUMNS = ["input", "half", "target"]


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x / width, y / height, (x + y) % 16 / 16], axis=2)


def row(name: str = "room", height: int = 40, width: int = 60) -> SheetRow:
    target = scene(height, width)
    return comparison_row(name, target * 0.1, [target * 0.5], target)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def test_rows_are_scored_at_full_resolution() -> None:
    cells = row(height=300, width=400).cells
    assert [cell is not None and cell.scores is not None for cell in cells] == [True, True, False]
    assert cells[1] is not None
    assert cells[1].scores == score(scene(300, 400) * 0.5, scene(300, 400))


def test_rows_without_target_have_no_scores() -> None:
    cells = comparison_row("a", scene(), [None, scene()]).cells
    assert len(cells) == 3
    assert cells[1] is None
    assert all(cell.scores is None for cell in cells if cell)
    with pytest.raises(DataError):
        comparison_row("a", scene(), [scene()[1:]], scene())


def test_png_has_its_pictures_side_by_side() -> None:
    image = np.asarray(opened(comparison_png([row()], COLUMNS, cell_width=120)))
    assert image.shape[1] == 2 * 32 + 3 * 120 + 2 * 14
    target = np.rint(scene() * 255).astype(np.uint8)  # smaller than its cell, so it is there bit for bit
    left = 32 + 2 * (120 + 14) + 30
    tops = [
        y for y in range(image.shape[0] - 40) if np.array_equal(image[y : y + 40, left : left + 60], target)
    ]
    assert len(tops) == 1
    caption = image[tops[0] + 40 :, 32 : 32 + 120].astype(int)
    assert caption.max() > 200  # letters


def test_png_rows_shrink_large_pictures() -> None:
    large = row(height=150, width=300)
    one = opened(comparison_png([large], COLUMNS, cell_width=100))
    two = opened(comparison_png((large for _ in range(2)), COLUMNS, cell_width=100, title="Title"))
    assert one.width == two.width == 392
    assert 50 < one.height < two.height < 2.2 * one.height


def test_png_takes_odd_names_and_empty_cells() -> None:
    rows = [
        SheetRow("<b>&\n" + "long " * 99 + "\udcff", (Cell(scene()), None)),
        SheetRow("", (None, None)),
    ]
    assert opened(comparison_png(rows, ["a & b", ""], cell_width=90)).width == 258


def test_columns_and_cells_must_agree() -> None:
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        comparison_png([row()], COLUMNS[:2])
    with pytest.raises(ValueError, match="at least one column"):
        comparison_html([], [])


def test_lines_of_one_size_have_one_height_and_fit() -> None:
    masks = [
        line_mask(text, 15, max_width=80) for text in ("aco", "Hg", "", "a long line that does not fit in 80")
    ]
    assert {mask.shape[0] for mask in masks} == {line_height(15)}
    assert max(mask.shape[1] for mask in masks) <= 80
    assert masks[0].any()
    assert not masks[2].any()


@pytest.mark.skipif(sys.platform != "linux", reason="fontconfig chooses the fonts on Linux only")
def test_captions_survive_a_machine_without_fonts(tmp_path: Path) -> None:
    nothing = tmp_path / "fonts.conf"
    nothing.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>'
    )
    code = "from relume.evaluate.lettering import *; m = line_mask('input', 20); print(m.shape[0], m.any())"
    environment = {**os.environ, "FONTCONFIG_FILE": str(nothing)}
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert printed.stdout.split() == [str(line_height(20)), "True"]


class Page(HTMLParser):
    """Checks that tags close in order, and collects the pictures and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_html_is_one_file_with_described_pictures() -> None:
    html = comparison_html([row(height=300, width=900)], COLUMNS, title="Night <script>")
    page = Page(html)
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert [image["alt"] for image in page.images][2] == "room: target"
    assert re.fullmatch(r"room: half, PSNR \d+\.\d\d dB, SSIM \d\.\d{3}", str(page.images[1]["alt"]))
    data = str(page.images[0]["src"]).removeprefix("data:image/webp;base64,")
    view = Image.open(io.BytesIO(base64.b64decode(data)))
    assert view.size == (640, 213) == (int(str(page.images[0]["width"])), int(str(page.images[0]["height"])))
    assert "prefers-color-scheme: dark" in html


def test_html_escapes_names() -> None:
    name = '<img src=x onerror="alert(1)"> & "quotes"'
    html = comparison_html([row(name)], ["<i>input", "half", "target"])
    assert "<img src=x" not in html
    assert "<i>" not in html
    page = Page(html)
    assert name in page.text
    assert page.images[2]["alt"] == f"{name}: target"


def test_html_shows_full_resolution_scores_and_their_means() -> None:
    rows = [row("a", 100, 900), row("b", 50, 60)]
    scores = [each.cells[1].scores for each in rows if each.cells[1]]
    page = Page(comparison_html(rows, COLUMNS))
    for each in scores:
        assert each is not None
        assert f"{each.psnr:.2f} dB · SSIM {each.ssim:.3f}" in page.text
    assert f"{np.mean([each.psnr for each in scores if each]):.2f}" in page.text
    assert "2 images" in page.text


def test_html_marks_the_best_result_of_each_row() -> None:
    target = scene()
    columns = ["input", "half", "near", "dim", "target"]
    rows = [
        comparison_row(name, target * 0.1, [target * share for share in shares], target)
        for name, shares in (("a", (0.5, 0.9, 0.3)), ("b", (0.8, 0.6, 0.7)))
    ]
    sections = comparison_html(rows, columns).split("<section>")[1:]
    for section, each, best in zip(sections, rows, (2, 1), strict=True):
        marked = re.findall(r'<span class="scores best"[^>]*>([\d.]+) dB', section)
        psnrs = [cell.scores.psnr for cell in each.cells if cell and cell.scores]
        assert marked == [f"{max(psnrs):.2f}"] == [f"{psnrs[best]:.2f}"]
        assert len(re.findall('class="scores"', section)) == 3


def test_html_without_targets_has_no_table() -> None:
    html = comparison_html([comparison_row("a", scene(), [None])], ["input", "result"])
    assert "<table" not in html
    assert "no picture" in Page(html).text
