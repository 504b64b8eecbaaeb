"""`relume plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.console import report
from relume.cli.laboratory import require_laboratory
from relume.files import check_target, write_file
from relume.private import lend_folder_to_matplotlib


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are drawn into the same panels.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture; RUN/curves.png otherwise.")
    ] = None,
) -> None:
    """Draw a run's losses, scores and learning rate, with its changes of resolution marked."""
    require_laboratory()
    lend_folder_to_matplotlib()
    from relume.lab.plots import plot_runs
    from relume.lab.run import Run

    for run in runs:
        Run(run).recipe()  # so that a run that is missing is told, and not its picture's folder
    target = out or runs[0] / "curves.png"
    check_target(target, [])
    write_file(target, plot_runs(runs, target.suffix))
    report(f"wrote {target}")
