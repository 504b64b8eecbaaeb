"""Reports as text: aligned for a terminal, Markdown for a document, CSV for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from relume.evaluate.noreference import Changes
from relume.evaluate.protocol import Report, Scores
from relume.progress import on_one_line

if TYPE_CHECKING:
    from relume.evaluate.clips import ClipScores

ABSENT = "-"
"""What a table shows for a number that was not measured."""


Column: TypeAlias = tuple[str, Callable[[Report, Scores], str]]


def format_table(reports: Mapping[str, Report]) -> str:
    """A Markdown table with one row per model; plain scores first, GT-mean and LPIPS in columns of their own.

    Args:
        reports: the reports by the name of the model.
    """
    return markdown_table(_summary(reports))


def text_table(reports: Mapping[str, Report]) -> str:
    """The table of `format_table` in aligned columns of plain text.

    Args:
        reports: the reports by the name of the model.
    """
    return aligned(_summary(reports))


def images_table(report: Report) -> str:
    """One row per image and a last row of means, in aligned columns of plain text."""
    columns = _columns([report])
    named = [*((row.name, row.scores) for row in report.rows), ("mean", report.mean)]
    rows = [[name, *(text(report, scores) for _, text in columns)] for name, scores in named]
    return aligned([["image", *(title for title, _ in columns)], *rows])


def format_csv(reports: Mapping[str, Report]) -> str:
    """One line per image and model, without means; a score that was not measured is an empty field.

    Args:
        reports: the reports by the name of the model.
    """
    fields = ["model", "name", "psnr", "ssim", "ssim_uniform7", "psnr_gt_mean", "lpips", "lpips_backbone"]
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for model, report in reports.items():
        for row in report.rows:
            backbone = {"lpips_backbone": report.lpips_backbone or ""}
            writer.writerow({"model": model, "name": row.name, **row.scores.to_json(), **backbone})
    return text.getvalue()


_STATISTICS: tuple[tuple[str, str, float, int], ...] = (
    ("mean_luma", "luma", 1, 3),
    ("contrast", "contrast", 1, 3),
    ("clipped_shadows", "black %", 100, 2),
    ("clipped_highlights", "clipped %", 100, 2),
    ("mean_a", "a*", 1, 1),
    ("mean_b", "b*", 1, 1),
    ("noise_sigma", "noise", 1, 4),
)
"""Statistics of `relume.evaluate.noreference`: name, title, factor and decimals in a table."""


def changes_table(changes: Mapping[str, Changes], *, markdown: bool = False) -> str:
    """Mean statistics of the photos before and after each model.

    Args:
        changes: what each model did, by its name.
        markdown: Markdown instead of aligned columns of plain text.
    """
    before = next(iter(changes.values()))
    rows = [["photos", str(len(before.rows)), *_statistics_row(before.before)]]
    rows += [[model, str(len(each.rows)), *_statistics_row(each.after)] for model, each in changes.items()]
    table = [["mean of", "images", *(title for _, title, _, _ in _STATISTICS)], *rows]
    return markdown_table(table) if markdown else aligned(table)


def changes_images_table(changes: Changes) -> str:
    """Two rows per photo, before and after, in aligned columns of plain text."""
    rows = [["image", "", *(title for _, title, _, _ in _STATISTICS)]]
    for row in changes.rows:
        rows.append([row.name, "before", *_statistics_row(row.before)])
        rows.append(["", "after", *_statistics_row(row.after)])
    return aligned(rows)


def changes_csv(changes: Mapping[str, Changes]) -> str:
    """One line per photo and model; each statistic in two fields, `before_NAME` and `after_NAME`."""
    names = [name for name, _, _, _ in _STATISTICS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "name", *(f"{when}_{name}" for when in ("before", "after") for name in names)])
    for model, each in changes.items():
        for row in each.rows:
            values = [when[name] for when in (row.before, row.after) for name in names]
            writer.writerow([model, row.name, *(f"{value:.6f}" for value in values)])
    return text.getvalue()


_CLIP_SCORES = ("flicker", "block_flicker", "change", "reference_change", "warping", "psnr", "ssim")


def clips_table(scores: Mapping[str, ClipScores], *, markdown: bool = False) -> str:
    """One row a result of a clip, in aligned columns of plain text or as Markdown."""
    rows = [["", *(name.replace("_", " ") for name in _CLIP_SCORES)]]
    for label, each in scores.items():
        values = [getattr(each, name) for name in _CLIP_SCORES]
        rows.append([label, *(ABSENT if value is None else f"{value:.3f}" for value in values)])
    return markdown_table(rows) if markdown else aligned(rows)


def clips_csv(scores: Mapping[str, ClipScores]) -> str:
    """One line a result of a clip; a score that was not measured is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["result", *_CLIP_SCORES])
    for label, each in scores.items():
        values = [getattr(each, name) for name in _CLIP_SCORES]
        writer.writerow([label, *("" if value is None else f"{value:.6f}" for value in values)])
    return text.getvalue()


def _statistics_row(values: Mapping[str, float]) -> list[str]:
    return [f"{factor * values[name]:.{decimals}f}" for name, _, factor, decimals in _STATISTICS]


def _summary(reports: Mapping[str, Report]) -> list[list[str]]:
    columns = _columns(reports.values())
    rows = [["model", "params", "images", *(title for title, _ in columns)]]
    for model, report in reports.items():
        params = ABSENT if report.params is None else f"{report.params:,}"
        mean = report.mean
        rows.append([model, params, str(report.n), *(text(report, mean) for _, text in columns)])
    return rows


def _columns(reports: Iterable[Report]) -> list[Column]:
    """Title and text of each column of scores; LPIPS has one column a backbone, and none without one."""
    backbones = sorted({each.lpips_backbone for each in reports if each.lpips_backbone is not None})
    return [
        ("PSNR dB", lambda _, scores: f"{scores.psnr:.2f}"),
        ("SSIM", lambda _, scores: f"{scores.ssim:.4f}"),
        ("SSIM 7x7", lambda _, scores: f"{scores.ssim_uniform7:.4f}"),
        ("PSNR GT-mean dB", lambda _, scores: f"{scores.psnr_gt_mean:.2f}"),
        *((f"LPIPS ({backbone})", _lpips_of(backbone)) for backbone in backbones),
    ]


def _lpips_of(backbone: str) -> Callable[[Report, Scores], str]:
    def text(report: Report, scores: Scores) -> str:
        measured = report.lpips_backbone == backbone and scores.lpips is not None
        return f"{scores.lpips:.4f}" if measured else ABSENT

    return text


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown, the first row the heading; all columns but the first flush right."""
    header, *rows = table
    lines = [_markdown_row(header), _markdown_row(["---"] + ["---:"] * (len(header) - 1))]
    return "\n".join(lines + [_markdown_row(row) for row in rows]) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(on_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, the first flush left, the others flush right."""
    rows = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for name, *cells in rows:
        numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *numbers]))
    return "\n".join(lines) + "\n"
