"""How far a method goes before it fails: trials that get worse step by step, one table per method.

Every trial turns well-lit pictures into dark ones. A result is compared with the target (PSNR, SSIM) and
described on its own (brightness, clipping, noise). A result that is missing, of another size or not made of
numbers is a failure, and counted; an error of the method is one as well.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from relume.arrays import EightBits
from relume.errors import DataError, RelumeError
from relume.evaluate.figure import encoded, new_figure
from relume.evaluate.metrics import psnr, ssim
from relume.evaluate.noreference import statistics
from relume.evaluate.protocol import to_8_bits
from relume.evaluate.report import ABSENT, aligned, markdown_table

Make: TypeAlias = Callable[[str, EightBits], tuple[EightBits, EightBits]]
Enhance: TypeAlias = Callable[[str, EightBits], npt.NDArray[Any]]

_DESCRIBED = ("mean_luma", "clipped_highlights", "noise_sigma")
_SMALLEST = 11
"""Side of SSIM's window."""


@dataclass(frozen=True)
class Trial:
    """One step of one axis.

    Attributes:
        axis: what gets worse.
        level: how far.
        make: takes a picture's name and the clean picture, returns the dark one and its target.
        alone: try it on the first picture only, since it takes long.
    """

    axis: str
    level: str
    make: Make
    alone: bool = False


@dataclass(frozen=True)
class Stressed:
    """What became of one trial; means over the pictures that did not fail, None if all did.

    Attributes:
        axis, level: of the trial.
        images, failed: number of pictures, and how many of them failed.
        psnr, ssim: against the target.
        mean_luma, clipped_highlights, noise_sigma: as `relume.evaluate.noreference.statistics` has them.
        reason: of the first failure.
    """

    axis: str
    level: str
    images: int
    failed: int
    psnr: float | None
    ssim: float | None
    mean_luma: float | None
    clipped_highlights: float | None
    noise_sigma: float | None
    reason: str = ""


def run_stress(
    enhance: Enhance,
    pictures: Sequence[tuple[str, EightBits]],
    trials: Sequence[Trial],
    progress: Callable[[int, int], None] | None = None,
) -> list[Stressed]:
    """Put a method through every trial.

    Args:
        enhance: takes a name and a dark picture.
        pictures: names and well-lit pictures, at least one.
        trials: in the order of the result.
        progress: called with trials done and in all.

    Raises:
        DataError: there is no picture.
    """
    if not pictures:
        raise DataError("there is no picture to try", "Name a folder of well-lit photographs.")
    found: list[Stressed] = []
    for trial in trials:
        found.append(_stressed(enhance, pictures[:1] if trial.alone else pictures, trial))
        if progress is not None:
            progress(len(found), len(trials))
    return found


def _stressed(enhance: Enhance, pictures: Sequence[tuple[str, EightBits]], trial: Trial) -> Stressed:
    rows: list[dict[str, float]] = []
    reasons: list[str] = []
    for name, clean_HWC in pictures:
        dark_HWC, target_HWC = trial.make(name, clean_HWC)
        try:
            rows.append(_scores(enhance(name, dark_HWC), target_HWC))
        except RelumeError as error:
            reasons.append(error.reason)
    means = {key: float(np.mean([row[key] for row in rows])) if rows else None for key in _COLUMNS}
    reason = reasons[0] if reasons else ""
    return Stressed(trial.axis, trial.level, len(pictures), len(reasons), **means, reason=reason)


_COLUMNS = ("psnr", "ssim", *_DESCRIBED)


def _scores(result_HWC: npt.NDArray[Any], target_HWC: EightBits) -> dict[str, float]:
    if result_HWC.shape != target_HWC.shape:
        raise DataError(f"the result has the shape {result_HWC.shape}, the target {target_HWC.shape}")
    result = to_8_bits(result_HWC)
    described = statistics(result)
    return {
        "psnr": psnr(result, target_HWC),
        "ssim": ssim(result, target_HWC) if min(target_HWC.shape[:2]) >= _SMALLEST else float("nan"),
        **{key: described[key] for key in _DESCRIBED},
    }


def stress_table(found: Sequence[Stressed], *, markdown: bool = False) -> str:
    """One row a trial."""
    rows = [["trial", "level", "PSNR dB", "SSIM", "luma", "clipped %", "noise", "failed"]]
    for each in found:
        rows.append(
            [
                each.axis,
                each.level,
                _number(each.psnr, 2),
                _number(each.ssim, 4),
                _number(each.mean_luma, 3),
                _number(each.clipped_highlights, 2, 100),
                _number(each.noise_sigma, 4),
                f"{each.failed} of {each.images}",
            ]
        )
    return markdown_table(rows) if markdown else aligned(rows)


def _number(value: float | None, decimals: int, factor: float = 1) -> str:
    return ABSENT if value is None else f"{factor * value:.{decimals}f}"


def stress_csv(found: Mapping[str, Sequence[Stressed]]) -> str:
    """One line per method and trial; means that are not there are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "trial", "level", "images", "failed", *_COLUMNS])
    for method, rows in found.items():
        for each in rows:
            values = [getattr(each, key) for key in _COLUMNS]
            texts = ["" if value is None else f"{value:.5f}" for value in values]
            writer.writerow([method, each.axis, each.level, each.images, each.failed, *texts])
    return text.getvalue()


def limits_of(found: Sequence[Stressed]) -> str:
    """What a card can say of a method's limits: PSNR at both ends of every axis, and what fails."""
    rows = [each for each in found if each.psnr is not None]
    parts: list[str] = []
    for axis in dict.fromkeys(each.axis for each in rows):
        levels = [each for each in rows if each.axis == axis]
        ends = (
            f"{levels[0].psnr:.1f} dB at {levels[0].level}",
            f"{levels[-1].psnr:.1f} dB at {levels[-1].level}",
        )
        parts.append(f"{axis}: {ends[0]} to {ends[1]}")
    failed = [f"{each.axis} {each.level}" for each in found if each.failed]
    ending = f" Fails at {', '.join(failed)}." if failed else " No trial failed."
    return f"PSNR of darkened photographs by trial: {'; '.join(parts)}.{ending}"


def stress_picture(found: Mapping[str, Sequence[Stressed]], suffix: str) -> bytes:
    """PSNR along every axis, one panel per axis and one curve per method.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    axes_names = list(dict.fromkeys(each.axis for rows in found.values() for each in rows))
    columns = 4
    figure = new_figure(13, 3 * -(-len(axes_names) // columns))
    for place, name in enumerate(axes_names):
        panel = figure.add_subplot(-(-len(axes_names) // columns), columns, place + 1)
        for method, rows in found.items():
            levels = [each for each in rows if each.axis == name]
            panel.plot(
                [each.level for each in levels],
                [float("nan") if each.psnr is None else each.psnr for each in levels],
                marker="o",
                markersize=4,
                label=method,
            )
        panel.set_title(name, fontsize=10)
        panel.tick_params(axis="x", labelsize=7, rotation=30)
        panel.grid(alpha=0.3)
        if place == 0:
            panel.set_ylabel("PSNR dB")
            panel.legend(fontsize=7)
    return encoded(figure, suffix)
