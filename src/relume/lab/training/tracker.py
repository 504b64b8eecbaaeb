"""What a run reports: rows of JSON, TensorBoard where it is installed, and a bar with the time left."""

from __future__ import annotations

import json
import math
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from relume.errors import TrainingDiverged
from relume.files import write_file
from relume.lab.run import Run
from relume.progress import bar


class Checked:
    """Rows that are checked and go nowhere: of a process that trains with the one that reports."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def row(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Take one row: `kind` ("train" or "validation"), 1-based step, values.

        Raises:
            TrainingDiverged: a value is not finite.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                raise diverged(f"{name} is {value}", step, self._run)

    def advance(self) -> None:
        """One step is done."""

    def close(self) -> None:
        """Nothing more will come."""


class Tracker(Checked):
    """Writes `metrics.jsonl` and TensorBoard events, and draws progress on stderr.

    Args:
        run: run folder.
        steps: steps of the whole run.
        start: step from which this process continues; rows of later steps, left by a run that was cut
            off after its last checkpoint, are dropped, since they will be written again.
        quiet: no progress bar.
    """

    def __init__(self, run: Path, steps: int, start: int = 0, *, quiet: bool = False) -> None:
        super().__init__(run)
        files = Run(run)
        kept = [row for row in files.metrics() if row["step"] <= start]
        write_file(files.metrics_file, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = files.metrics_file.open("a", encoding="utf-8")
        self._events = _events(run, start)
        self._started = time.monotonic() - (kept[-1]["seconds"] if kept else 0)
        self._progress = bar(quiet=quiet)
        self._task = self._progress.add_task("training", total=steps, completed=start)
        self._progress.start()

    def row(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Write one row: `kind` ("train" or "validation"), 1-based step, seconds so far, values.

        Raises:
            TrainingDiverged: a value is not finite.
        """
        super().row(kind, step, values)
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)
        seconds = round(time.monotonic() - self._started, 2)
        self._file.write(json.dumps({"kind": kind, "step": step, "seconds": seconds, **values}) + "\n")
        self._file.flush()
        if kind == "train":
            self._progress.update(self._task, description=f"loss {values['loss']:.4f}")
        if kind == "validation":
            scores = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            self._progress.console.print(f"step {step}: {scores}")

    def advance(self) -> None:
        """One step is done."""
        self._progress.advance(self._task)

    def close(self) -> None:
        self._progress.stop()
        self._file.close()
        if self._events is not None:
            self._events.close()


def diverged(what: str, step: int, run: Path) -> TrainingDiverged:
    """The error for what is no longer finite."""
    return TrainingDiverged(
        f"{what} at step {step}",
        "Begin another run with a lower optimizer.lr, or with optimizer.clip=1.",
        path=run,
    )


def _events(run: Path, start: int) -> Any:
    """A writer for TensorBoard; None where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard.writer import SummaryWriter

    return SummaryWriter(Run(run).events, purge_step=start + 1)
