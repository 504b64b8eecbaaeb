"""Curves of training runs, in panels; a panel is drawn where a run has something for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from relume.errors import DataError, UsageError
from relume.lab.run import Run

mpl.use("agg")
import matplotlib.pyplot as plt

Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title, label: heading, and what the vertical axis shows.
        kind: rows it is drawn from, `train` or `validation`.
        belongs: which values of a row it shows.
        log: logarithmic vertical axis.
        value: what is drawn of a value in its row; the value itself by default.
    """

    title: str
    label: str
    kind: str
    belongs: Callable[[str], bool]
    log: bool = False
    value: Callable[[Mapping[str, Any], str], float] = lambda row, name: row[name]


def _among(*names: str) -> Callable[[str], bool]:
    return lambda name: name in names


def _plain_psnr(name: str) -> bool:
    """Of all images, with GT-mean beside it; of single sources plain only."""
    return name.startswith("psnr") and not name.startswith("psnr_gt_mean_")


def _loss_ratio(row: Mapping[str, Any], _: str) -> float:
    return row["loss"] / row["discriminator"]


_DISTILLATION = (
    "adversarial", "contrastive", "relational", "attention", "similarity",
    "imitation", "exposures", "quarters",
)  # fmt: skip

PANELS = (
    Panel("Training loss", "loss", "train", _among("loss", "discriminator"), log=True),
    Panel(
        "Fidelity terms, weighted",
        "loss",
        "train",
        _among("charbonnier", "mse", "ssim", "ms-ssim", "perceptual", "brightening"),
    ),
    Panel("Detail terms, weighted", "loss", "train", _among("frequency", "gradient")),
    Panel(
        "Adversarial and distillation terms",
        "loss",
        "train",
        lambda name: name in _DISTILLATION or name.startswith("imitation-"),
    ),
    Panel("Zero-reference terms", "loss", "train", _among("spatial", "exposure", "colour", "smoothness")),
    Panel(
        "Distance to the mirrored teacher, by scale (1: coarsest)",
        "weighted loss",
        "train",
        lambda name: name.startswith("mirror_"),
    ),
    Panel("Validation loss", "loss", "validation", _among("loss"), log=True),
    Panel("Validation PSNR", "dB", "validation", _plain_psnr),
    Panel("Validation SSIM", "SSIM", "validation", lambda name: name.startswith("ssim")),
    Panel("Learning rate", "learning rate", "train", lambda name: name.startswith("lr"), log=True),
    Panel(
        "Generator loss / discriminator loss", "ratio", "train", _among("discriminator"), value=_loss_ratio
    ),
)
"""All panels in the order of drawing; what no other panel shows appears in none."""


_STYLES = ("-", "--", "-.", ":")
"""Of lines, by run."""


def plot_runs(runs: Sequence[Path], suffix: str) -> bytes:
    """Draw loss terms, validation scores and learning rates by step; changes of crop size are dotted lines.

    Args:
        runs: run folders; all are drawn into the same panels.
        suffix: of the picture's format, such as `.png`.

    Returns:
        The picture as the bytes of its file.

    Raises:
        DataError: a folder without metrics.
        UsageError: a format that matplotlib does not write.
    """
    form = suffix.lower().removeprefix(".")
    formats = FigureCanvasAgg.get_supported_filetypes()
    if form not in formats:
        raise UsageError(f"cannot draw a '{suffix}' file", f"Choose one of {', '.join(sorted(formats))}.")
    metrics = {name: _metrics(run) for name, run in _named(runs).items()}
    changes = {step for run in runs for step in Run(run).recipe().resolution_changes}
    panels = [panel for panel in PANELS if any(list(_series(panel, rows)) for rows in metrics.values())]
    columns = 2 if len(panels) < 7 else 3
    height = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(6 * columns, 3.6 * height), layout="constrained", squeeze=False
    )
    for axis, panel in zip(axes.flat, panels, strict=False):
        for style, (run, rows) in zip(cycle(_STYLES), metrics.items(), strict=False):
            axis.set_prop_cycle(None)  # a curve has the same colour in every run
            _draw(axis, panel, rows, f"{run}: " if len(metrics) > 1 else "", style)
        for step in changes:
            axis.axvline(step, color="0.6", linestyle=":", linewidth=1)
        _finish(axis, panel)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    picture = io.BytesIO()
    figure.savefig(picture, format=form, dpi=110)
    plt.close(figure)
    return picture.getvalue()


def _named(runs: Sequence[Path]) -> dict[str, Path]:
    """Runs by the names of their folders; by their paths where two folders have one name."""
    names = {run.resolve().name: run for run in runs}
    return names if len(names) == len(runs) else {str(run): run for run in runs}


def _metrics(run: Path) -> Rows:
    rows = Run(run).metrics()
    if not rows:
        remedy = "Name the folder of a training run."
        raise DataError("holds no metrics", remedy, path=Run(run).metrics_file)
    return rows


def _series(panel: Panel, rows: Rows) -> Iterator[tuple[str, list[int], list[float]]]:
    """Name, steps and values of each curve of a panel."""
    shown = [row for row in rows if row["kind"] == panel.kind]
    for name in shown[0] if shown else ():
        if panel.belongs(name):
            yield name, [row["step"] for row in shown], [panel.value(row, name) for row in shown]


def _draw(axis: Any, panel: Panel, rows: Rows, prefix: str, style: str) -> None:
    marker = "." if panel.kind == "validation" else None
    for name, steps, values in _series(panel, rows):
        axis.plot(steps, values, label=prefix + name, linewidth=1.2, linestyle=style, marker=marker)


def _finish(axis: Any, panel: Panel) -> None:
    axis.set(title=panel.title, xlabel="step", ylabel=panel.label)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8)
    if panel.log:
        axis.set_yscale("log")
