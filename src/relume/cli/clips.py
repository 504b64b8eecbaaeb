"""`relume evaluate` for clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from relume.files import check_target, write_file
from relume.options import DEFAULT_MODEL, Controls, Downsample

if TYPE_CHECKING:
    from relume.evaluate.clip_pictures import Pictures
    from relume.evaluate.clips import ClipScores


def evaluate_clip(
    low: Path,
    high: Path | None,
    *,
    models: str | None,
    pred: Path | None,
    controls: Controls,
    smooth: float,
    downsample: Downsample,
    threads: int,
    json_file: str | None,
) -> None:
    """Measure results for a dark clip: against its bright original, or against itself.

    Args:
        low: the dark clip.
        high: its original, picture by picture; None where there is none.
        models: names, separated by commas.
        pred: a finished result in their place.
        controls, downsample, threads: of the models.
        smooth: see `relume.video.clip.ClipOptions`.
        json_file: where to write the scores; `-` is stdout.
    """
    from relume.cli.video import require_video

    require_video()
    from relume.evaluate.clip_pictures import enhanced, stored
    from relume.evaluate.report import clips_table

    if json_file not in (None, "-"):
        check_target(Path(json_file), [each for each in (low, high, pred) if each is not None])
    made: dict[str, Callable[[], Pictures]] = {"input": lambda: stored(low)}
    if pred is not None:
        made[str(pred)] = lambda: stored(pred)
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    for name in names or ([] if pred is not None else [DEFAULT_MODEL]):
        made[name] = lambda name=name: enhanced(low, name, controls, smooth, downsample, threads)
    scores = {label: _scores(label, pictures(), low, high) for label, pictures in made.items()}
    text = json.dumps({label: each.to_json() for label, each in scores.items()}, indent=2) + "\n"
    if json_file == "-":
        typer.echo(text, nl=False)
        return
    if json_file is not None:
        write_file(Path(json_file), text)
    typer.echo(clips_table(scores), nl=False)


def _scores(label: str, results: Pictures, low: Path, high: Path | None) -> ClipScores:
    from relume.cli.console import counting
    from relume.evaluate.clip_pictures import paired, stored
    from relume.evaluate.clips import measure_clip

    with counting(label) as progress:
        pairs = paired(results, stored(high or low), high or low, progress)
        return measure_clip(pairs, has_target=high is not None, flow=find_spec("cv2") is not None)
