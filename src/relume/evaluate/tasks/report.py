"""Measured tasks as tables, CSV and a picture: score against darkness."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from relume.evaluate.figure import encoded, new_figure
from relume.evaluate.report import ABSENT, aligned, markdown_table
from relume.evaluate.tasks.protocol import CLEAN, Measured, Task


def fraction(exposure: float) -> str:
    """1/16 for 0.0625."""
    return "1" if exposure == 1 else f"1/{1 / exposure:g}"


def task_table(measured: Sequence[Measured], *, markdown: bool = False) -> str:
    """One row per method, one column a darkness; each score with its 95 % interval.

    A * stands where the interval of the gain over the input, picture by picture, leaves 0 out.
    """
    exposures = list(dict.fromkeys(each.exposure for each in measured if each.method != CLEAN))
    by_place = {(each.method, each.exposure): each for each in measured}
    rows = [["method", *(f"light {fraction(exposure)}" for exposure in exposures)]]
    for method in dict.fromkeys(each.method for each in measured):
        if method == CLEAN:
            rows.append(["well lit", _cell(by_place[CLEAN, 1.0]), *([""] * (len(exposures) - 1))])
        else:
            rows.append([method, *(_cell(by_place.get((method, exposure))) for exposure in exposures)])
    return markdown_table(rows) if markdown else aligned(rows)


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return ABSENT
    mark = "*" if _differs(measured) else ""
    return f"{measured.score:.3f}{mark} [{measured.low:.3f}, {measured.high:.3f}]"


def _differs(measured: Measured) -> bool:
    low, high = measured.gain_low, measured.gain_high
    return low is not None and high is not None and not low <= 0 <= high


_NUMBERS = ("score", "low", "high", "gain", "gain_low", "gain_high")


def task_csv(task: Task, measured: Iterable[Measured]) -> str:
    """One line per method and darkness."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "reader", "measure", "method", "light", "images", *_NUMBERS])
    for each in measured:
        values = [getattr(each, name) for name in _NUMBERS]
        scores = ["" if value is None else f"{value:.4f}" for value in values]
        writer.writerow(
            [task.name, task.reader, task.score, each.method, fraction(each.exposure), each.images, *scores]
        )
    return text.getvalue()


def task_picture(task: Task, measured: Sequence[Measured], suffix: str) -> bytes:
    """Score against darkness, one curve per method, intervals as bars.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    figure = new_figure(7, 4.5)
    axes = figure.add_subplot()
    for place, (method, points) in enumerate(_curves(measured).items()):
        # Side by side, so that bars do not hide one another.
        shift = 2 ** (0.06 * place)
        lights = [shift / each.exposure for each in points]
        scores = [each.score for each in points]
        bars = [[each.score - each.low for each in points], [each.high - each.score for each in points]]
        axes.errorbar(lights, scores, bars, label=method, marker="o", markersize=4, capsize=2, linewidth=1.4)
    clean = next(each for each in measured if each.method == CLEAN)
    axes.axhline(clean.score, color="grey", linestyle=":", label="well lit")
    axes.set_xscale("log", base=2)
    exposures = sorted({each.exposure for each in measured if each.method != CLEAN}, reverse=True)
    axes.set_xticks([1 / exposure for exposure in exposures], [fraction(exposure) for exposure in exposures])
    axes.set_xlabel("light")
    axes.set_ylabel(f"score, {'higher' if task.higher_is_better else 'lower'} is better")
    axes.set_title(f"{task.score}\n{task.reader}, {clean.images} pictures", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return encoded(figure, suffix)


def _curves(measured: Iterable[Measured]) -> Mapping[str, list[Measured]]:
    curves: dict[str, list[Measured]] = {}
    for each in measured:
        if each.method != CLEAN:
            curves.setdefault(each.method, []).append(each)
    return curves
