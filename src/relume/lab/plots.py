"""Curves of training runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl

from relume.errors import DataError
from relume.lab.training.tracker import METRICS, read_metrics

mpl.use("agg")
import matplotlib.pyplot as plt

_NOT_LOSSES = {"kind", "step", "seconds", "lr", "crop"}


def plot_runs(runs: Sequence[Path], target: Path) -> None:
    """Draw loss terms, PSNR, SSIM and learning rate by step; changes of the crop size are dotted lines.

    Args:
        runs: run folders.
        target: the picture; its suffix decides the format.

    Raises:
        DataError: a folder without metrics.
    """
    figure, axes = plt.subplots(2, 2, figsize=(12, 7.5), layout="constrained")
    for run in runs:
        rows = read_metrics(run)
        if not rows:
            raise DataError("holds no metrics", "Name the folder of a training run.", path=run / METRICS)
        _draw(axes.flat, rows, run.name)
    for axis, (title, label) in zip(axes.flat, _PANELS, strict=True):
        axis.set(title=title, xlabel="step", ylabel=label)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8)
    axes[0, 0].set_yscale("log")
    figure.savefig(target, dpi=110)
    plt.close(figure)


_PANELS = (
    ("Training loss, each weighted term", "loss"),
    ("Validation PSNR", "dB"),
    ("Validation SSIM", "SSIM"),
    ("Learning rate", "learning rate"),
)


def _draw(axes: Any, rows: list[dict[str, Any]], name: str) -> None:
    losses, psnr, ssim, rate = axes
    training = [row for row in rows if row["kind"] == "train"]
    validation = [row for row in rows if row["kind"] == "validation"]
    steps = [row["step"] for row in training]
    for term in (key for key in training[0] if key not in _NOT_LOSSES):
        losses.plot(steps, [row[term] for row in training], label=f"{name}: {term}", linewidth=1.2)
    rate.plot(steps, [row["lr"] for row in training], label=name)
    at = [row["step"] for row in validation]
    psnr.plot(at, [row["psnr"] for row in validation], marker="o", label=f"{name}: plain")
    psnr.plot(at, [row["psnr_gt_mean"] for row in validation], linestyle="--", label=f"{name}: GT-mean")
    ssim.plot(at, [row["ssim"] for row in validation], marker="o", label=name)
    for before, after in pairwise(training):
        if before["crop"] != after["crop"]:
            for axis in (losses, psnr, ssim, rate):
                axis.axvline(before["step"], color="0.6", linestyle=":", linewidth=1)
