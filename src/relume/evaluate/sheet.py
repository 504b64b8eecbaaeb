"""Comparison sheets: input, results and target side by side, as one PNG or one HTML page."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np

from relume.arrays import EightBits, Numbers
from relume.errors import OutputUnwritable
from relume.evaluate.lettering import Mask, line_height, line_mask, printable
from relume.evaluate.protocol import PROTOCOL, Scores, mean_scores, score, to_8_bits
from relume.photo import vips

Colour: TypeAlias = tuple[int, int, int]

_BACKGROUND: Colour = (24, 25, 28)
_EMPTY: Colour = (36, 37, 41)
_TEXT: Colour = (236, 236, 238)
_MUTED: Colour = (160, 162, 170)
_ACCENT: Colour = (242, 189, 92)
_MARGIN = 32
_GAP = 14
_TITLE, _HEADING, _CAPTION = 26, 17, 15


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        pixels: sRGB, H x W x 3, uint8, uint16 or floats in [0, 1], at full resolution.
        scores: its scores against the target, if it has any; the sheet never computes them from the small
            view.
    """

    pixels: Numbers
    scores: Scores | None = None


@dataclass(frozen=True)
class SheetRow:
    """One scene of a sheet: a cell for each column, None where a column has no picture of it."""

    name: str
    cells: tuple[Cell | None, ...]


def comparison_row(
    name: str, low_HWC: Numbers, results: Sequence[Numbers | None], target_HWC: Numbers | None = None
) -> SheetRow:
    """A row of input, results and, if there is one, target; with a target, input and results are scored.

    Args:
        name: what to call the scene.
        low_HWC: the dark photo.
        results: one a model, None where a model has none.
        target_HWC: the target, last in the row; without it the row has one cell less.

    Raises:
        DataError: an image has not the size of the target, or is too small to be scored.
    """
    cells: list[Cell | None] = []
    for pixels in (low_HWC, *results):
        scores = score(pixels, target_HWC) if pixels is not None and target_HWC is not None else None
        cells.append(None if pixels is None else Cell(pixels, scores))
    if target_HWC is not None:
        cells.append(Cell(target_HWC))
    return SheetRow(name, tuple(cells))


def comparison_png(
    rows: Iterable[SheetRow], columns: Sequence[str], *, title: str = "", cell_width: int = 480
) -> bytes:
    """A sheet as a PNG file.

    Each row shows its name above its pictures, and under each picture the name of its column, and PSNR and
    SSIM where it was scored; the best PSNR of a row stands out. Pictures are shrunk to the width of a cell
    and never enlarged. `rows` may be a generator: only the shrunk pictures are kept.

    Args:
        rows: the scenes.
        columns: names of the columns, as many as each row has cells.
        title: heading of the sheet; none if empty.
        cell_width: width of a picture in pixels.

    Raises:
        ValueError: there is no column, or a row has another number of cells.
    """
    width = 2 * _MARGIN + len(columns) * cell_width + (len(columns) - 1) * _GAP
    blocks = [_blank(_MARGIN, width)]
    if title:
        blocks += [_text_block(title, _TITLE, width), _blank(_GAP, width)]
    for row in _checked(rows, columns):
        blocks += [_text_block(row.name, _HEADING, width), _blank(6, width)]
        blocks += [_picture_block(row, columns, width, cell_width), _blank(_MARGIN - 8, width)]
    canvas = np.concatenate([*blocks, _blank(8, width)])
    with _drawing():
        return vips.wrap(canvas).pngsave_buffer(compression=7)


def comparison_html(
    rows: Iterable[SheetRow], columns: Sequence[str], *, title: str = "Comparison", view_width: int = 640
) -> str:
    """A sheet as one HTML page that needs no other file and no script.

    Pictures are WebP, shrunk to the width of a view; the scores under them are those of the full resolution.
    The page follows the reader's choice of a light or a dark appearance, and its pictures stack on a narrow
    screen.

    Args:
        rows: the scenes; a generator is fine, only the shrunk pictures are kept.
        columns: names of the columns, as many as each row has cells.
        title: title and heading of the page.
        view_width: largest width of a picture in pixels.

    Raises:
        ValueError: there is no column, or a row has another number of cells.
    """
    sections: list[str] = []
    scores: list[list[Scores]] = [[] for _ in columns]
    for row in _checked(rows, columns):
        sections.append(_section(row, columns, view_width))
        for column, cell in enumerate(row.cells):
            if cell is not None and cell.scores is not None:
                scores[column].append(cell.scores)
    style = files("relume.evaluate").joinpath("sheet.css").read_text(encoding="utf-8")
    images = f"{len(sections)} image" + ("" if len(sections) == 1 else "s")
    return _PAGE.format(
        title=_escaped(title),
        style=style,
        images=images,
        summary=_summary(columns, scores),
        sections="\n".join(sections),
        protocol=_escaped(PROTOCOL),
    )


_PAGE = """<!doctype html>
<html lang="en"> <head> <meta charset="utf-8"> <meta name="viewport" content="width=device-width,
initial-scale=1"> <meta name="color-scheme" content="light dark"> <meta http-equiv="Content-Security-Policy"
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"> <title>{title}</title> <style>
{style}</style> </head> <body> <header> <h1>{title}</h1> <p>{images}. Pictures are reduced for viewing; scores
are those of the full resolution.</p> {summary}</header> <main> {sections} </main> <footer><p>Protocol:
{protocol}.</p></footer> </body> </html>
"""


def _checked(rows: Iterable[SheetRow], columns: Sequence[str]) -> Iterable[SheetRow]:
    if not columns:
        raise ValueError("a sheet needs at least one column")
    for row in rows:
        if len(row.cells) != len(columns):
            raise ValueError(f"row {row.name!r} has {len(row.cells)} cells for {len(columns)} columns")
        yield row


def _best(row: SheetRow) -> int | None:
    """The column of the highest PSNR, if at least two are scored."""
    psnrs = [(cell.scores.psnr, -column) for column, cell in enumerate(row.cells) if cell and cell.scores]
    return -max(psnrs)[1] if len(psnrs) > 1 else None


def _caption(cell: Cell | None) -> str:
    if cell is None:
        return "no picture"
    return f"{cell.scores.psnr:.2f} dB · SSIM {cell.scores.ssim:.3f}" if cell.scores is not None else ""


def _drawing() -> AbstractContextManager[None]:
    return vips.calls(
        lambda said: OutputUnwritable(f"the sheet cannot be drawn ({said})", "Draw fewer scenes.")
    )


def _view(pixels_HWC: Numbers, width: int) -> vips.Image:
    """The picture at 8 bits, shrunk to fit a square of the width; smaller pictures stay as they are."""
    view: Any = vips.wrap(to_8_bits(pixels_HWC)).thumbnail_image(width, height=width, size="down")
    return view


# --- PNG


def _picture_block(row: SheetRow, columns: Sequence[str], width: int, cell_width: int) -> EightBits:
    with _drawing():
        views: list[EightBits | None] = [
            None if cell is None else _view(cell.pixels, cell_width).numpy() for cell in row.cells
        ]
    picture_height = max((view.shape[0] for view in views if view is not None), default=cell_width // 2)
    canvas = _blank(picture_height + 10 + line_height(_HEADING) + line_height(_CAPTION), width)
    best = _best(row)
    for index, (column, cell, view) in enumerate(zip(columns, row.cells, views, strict=True)):
        left = _MARGIN + index * (cell_width + _GAP)
        canvas[:picture_height, left : left + cell_width] = _EMPTY
        if view is not None:
            y, x = (picture_height - view.shape[0]) // 2, left + (cell_width - view.shape[1]) // 2
            canvas[y : y + view.shape[0], x : x + view.shape[1]] = view
        y = picture_height + 10
        _draw(canvas, line_mask(column, _HEADING, bold=True, max_width=cell_width), left, y, _TEXT)
        caption = line_mask(_caption(cell), _CAPTION, max_width=cell_width)
        colour = _ACCENT if index == best else _MUTED
        _draw(canvas, caption, left, y + line_height(_HEADING), colour)
    return canvas


def _text_block(text: str, size: int, width: int) -> EightBits:
    canvas = _blank(line_height(size), width)
    _draw(canvas, line_mask(text, size, bold=True, max_width=width - 2 * _MARGIN), _MARGIN, 0, _TEXT)
    return canvas


def _blank(height: int, width: int) -> EightBits:
    return np.full((height, width, 3), _BACKGROUND, np.uint8)


def _draw(canvas: EightBits, mask: Mask, left: int, top: int, colour: Colour) -> None:
    """Lay a colour over part of the canvas, as opaque as the mask."""
    part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    opacity = mask[..., None] / 255.0
    part[:] = np.rint(part * (1.0 - opacity) + np.array(colour) * opacity)


# --- HTML


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _section(row: SheetRow, columns: Sequence[str], view_width: int) -> str:
    best = _best(row)
    figures = [
        _figure(row.name, column, cell, view_width, index == best)
        for index, (column, cell) in enumerate(zip(columns, row.cells, strict=True))
    ]
    heading = f"<h2>{_escaped(row.name)}</h2>"
    return f'<section>\n{heading}\n<div class="row">\n{"".join(figures)}</div>\n</section>'


def _figure(name: str, column: str, cell: Cell | None, view_width: int, best: bool) -> str:
    caption = f'<span class="column">{_escaped(column)}</span>'
    if cell is None:
        return f'<figure><div class="none">no picture</div><figcaption>{caption}</figcaption></figure>\n'
    with _drawing():
        view = _view(cell.pixels, view_width)
        data = base64.b64encode(view.webpsave_buffer(Q=88)).decode("ascii")
    described = _escaped(f"{name}: {column}")
    if cell.scores is not None:
        described += f", PSNR {cell.scores.psnr:.2f} dB, SSIM {cell.scores.ssim:.3f}"
        caption += _scores_html(cell.scores, best)
    picture = (
        f'<img src="data:image/webp;base64,{data}" width="{view.width}" height="{view.height}" '
        f'alt="{described}" decoding="async">'
    )
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>\n"


def _scores_html(scores: Scores, best: bool) -> str:
    kind = "scores best" if best else "scores"
    hint = ' title="highest PSNR of this row"' if best else ""
    return f'<span class="{kind}"{hint}>{scores.psnr:.2f} dB · SSIM {scores.ssim:.3f}</span>'


def _summary(columns: Sequence[str], scores: Sequence[Sequence[Scores]]) -> str:
    """A table of the mean scores of each column that was scored, or nothing."""
    rows: list[str] = []
    for column, each in zip(columns, scores, strict=True):
        if each:
            mean = mean_scores(each)
            numbers = (f"{mean.psnr:.2f}", f"{mean.ssim:.4f}", f"{mean.psnr_gt_mean:.2f}", str(len(each)))
            cells = "".join(f"<td>{number}</td>" for number in numbers)
            rows.append(f'<tr><th scope="row">{_escaped(column)}</th>{cells}</tr>\n')
    if not rows:
        return ""
    titles = ("Mean of", "PSNR dB", "SSIM", "PSNR GT-mean dB", "Images")
    header = "".join(f'<th scope="col">{title}</th>' for title in titles)
    head, body = f"<thead><tr>{header}</tr></thead>", f"<tbody>{''.join(rows)}</tbody>"
    return f'<div class="table"><table>\n{head}\n{body}\n</table></div>\n'
