"""`relume evaluate --task`: does enhancement help a reader?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.console import counting
from relume.cli.laboratory import require_laboratory
from relume.cli.outputs import Outputs
from relume.errors import UsageError
from relume.private import lend_folder_to_matplotlib

if TYPE_CHECKING:
    from relume.evaluate.candidates import Candidate
    from relume.evaluate.tasks.protocol import Measured, Method, Task

TaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="Score a reader of the results instead: ocr, detection or faces; needs relume\\[tasks,lab].",
    ),
]
DarknessOption = Annotated[
    str, typer.Option(metavar="LIGHTS", help="With --task: shares of the light, separated by commas.")
]
CameraOption = Annotated[
    str,
    typer.Option(help="With --task: whose noise: full-frame, aps-c, compact, phone, webcam."),
]

LIGHTS = "1/4,1/16,1/64,1/128,1/256"
MATCHED = "matched"
"""The control that has the right brightness and nothing else."""


def evaluate_task(
    name: str,
    folder: Path | None,
    found: Sequence[Candidate],
    outputs: Outputs,
    *,
    lights: str,
    camera: str,
    limit: int,
    threads: int,
) -> None:
    """Darken pictures, enhance them, have them read, and print the scores.

    Raises:
        MissingExtra: the reader or the laboratory is not installed.
        UsageError: no such task or camera, or no shares of light.
        RelumeError: as the candidates and `items_of`.
    """
    require_laboratory()
    from relume.evaluate.tasks import make_task, run_task
    from relume.evaluate.tasks.items import items_of
    from relume.evaluate.tasks.report import task_csv, task_picture, task_table
    from relume.lab.data.cameras import darkened, get_camera

    exposures = parse_lights(lights)
    taken = get_camera(camera)
    task = make_task(name, threads)
    items = items_of(task, folder, limit)
    with counting(task.name) as progress:
        measured = run_task(
            task,
            items,
            _methods(found),
            exposures,
            lambda item, exposure: darkened(item.name, item.clean_HWC, taken.in_the_dark(exposure)),
            progress,
        )
    lend_folder_to_matplotlib()
    way = "higher" if task.higher_is_better else "lower"
    heading = f"{task.score}, {way} is better; * differs from input; {task.reader}\n"
    outputs.write(
        heading + task_table(measured),
        task_table(measured, markdown=True),
        task_csv(task, measured),
        _report(task, camera, measured),
        partial(task_picture, task, measured),
    )


def parse_lights(text: str) -> list[float]:
    """Shares of the light: `1/4,1/16` or `0.25`.

    Raises:
        UsageError: one is none, or not in (0, 1].
    """
    try:
        shares = [_share(part) for part in text.split(",") if part.strip()]
    except (ValueError, ZeroDivisionError):
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UsageError(f"'{text}' are not shares of light", f"Write for example {LIGHTS}.")
    return shares


def _share(text: str) -> float:
    whole, _, parts = text.strip().partition("/")
    return float(whole) / float(parts or 1)


def _methods(found: Sequence[Candidate]) -> Mapping[str, Method]:
    """The candidates by label, and the control of the right brightness."""
    from relume.evaluate.tasks.protocol import match_brightness

    methods: dict[str, Method] = {
        each.label: (lambda name, dark, _, each=each: each.enhance(name, dark)) for each in found
    }
    methods[MATCHED] = lambda _, dark, clean: match_brightness(dark, clean)
    return methods


def _report(task: Task, camera: str, measured: Sequence[Measured]) -> dict[str, object]:
    return {
        "task": task.name,
        "reader": task.reader,
        "licence": task.licence,
        "measure": task.score,
        "higher_is_better": task.higher_is_better,
        "camera": camera,
        "rows": [each.to_json() for each in measured],
    }
