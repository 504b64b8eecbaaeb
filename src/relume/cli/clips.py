"""`relume evaluate` for clips."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from relume.options import DEFAULT_MODEL, Controls, Downsample

if TYPE_CHECKING:
    from relume.cli.outputs import Outputs
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
    outputs: Outputs,
) -> None:
    """Measure results for a dark clip: against its bright original, or against itself.

    Args:
        low: the dark clip.
        high: its original, picture by picture; None where there is none.
        models: names, separated by commas.
        pred: a finished result in their place.
        controls, downsample, threads: of the models.
        smooth: see `relume.video.clip.ClipOptions`.
        outputs: where the scores go.
    """
    from relume.cli.video import require_video

    require_video()
    from relume.evaluate.clip_pictures import enhanced, stored
    from relume.evaluate.report import clips_csv, clips_table

    outputs.check([each for each in (low, high, pred) if each is not None])
    made: dict[str, Callable[[], Pictures]] = {"input": lambda: stored(low)}
    if pred is not None:
        made[str(pred)] = lambda: stored(pred)
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    for name in names or ([] if pred is not None else [DEFAULT_MODEL]):
        made[name] = lambda name=name: enhanced(low, name, controls, smooth, downsample, threads)
    scores = {label: _scores(label, pictures(), low, high) for label, pictures in made.items()}
    content = {label: each.to_json() for label, each in scores.items()}
    outputs.write(clips_table(scores), clips_table(scores, markdown=True), clips_csv(scores), content)


def _scores(label: str, results: Pictures, low: Path, high: Path | None) -> ClipScores:
    from relume.cli.console import counting
    from relume.evaluate.clip_pictures import paired, stored
    from relume.evaluate.clips import measure_clip

    with counting(label) as progress:
        pairs = paired(results, stored(high or low), high or low, progress)
        return measure_clip(pairs, has_target=high is not None, flow=find_spec("cv2") is not None)
