"""`relume evaluate` for clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relume.errors import DataError
from relume.files import check_target, write_file
from relume.options import DEFAULT_MODEL, Controls, Downsample

if TYPE_CHECKING:
    import numpy.typing as npt

    from relume.evaluate.clips import ClipScores

    Pictures = Iterator[tuple[float, npt.NDArray[Any]]]

_ONE_LENGTH = "Compare clips of one length."
_COLUMNS = ("flicker", "block_flicker", "change", "reference_change", "warping", "psnr", "ssim")


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
    if json_file not in (None, "-"):
        check_target(Path(json_file), [each for each in (low, high, pred) if each is not None])
    made: dict[str, Callable[[], Pictures]] = {"input": lambda: _stored(low)}
    if pred is not None:
        made[str(pred)] = lambda: _stored(pred)
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    for name in names or ([] if pred is not None else [DEFAULT_MODEL]):
        made[name] = lambda name=name: _enhanced(low, name, controls, smooth, downsample, threads)
    scores = {label: _scores(label, pictures(), low, high) for label, pictures in made.items()}
    text = json.dumps({label: each.to_json() for label, each in scores.items()}, indent=2) + "\n"
    if json_file == "-":
        typer.echo(text, nl=False)
        return
    if json_file is not None:
        write_file(Path(json_file), text)
    typer.echo(_table(scores))


def _scores(label: str, pictures: Pictures, low: Path, high: Path | None) -> ClipScores:
    from relume.cli.console import counting
    from relume.evaluate.clips import measure_clip

    with counting(label) as progress:
        pairs = _paired(pictures, _stored(high or low), high or low, progress)
        return measure_clip(pairs, has_target=high is not None, flow=_has_flow())


def _has_flow() -> bool:
    from importlib.util import find_spec

    return find_spec("cv2") is not None


def _paired(
    pictures: Pictures, references: Pictures, path: Path, progress: Callable[[int, int], None]
) -> Iterator[tuple[float, npt.NDArray[Any], npt.NDArray[Any]]]:
    expected = _expected(path)
    for number, (seconds, picture) in enumerate(pictures, 1):
        reference = next(references, None)
        if reference is None:
            raise DataError("has fewer pictures than the result", _ONE_LENGTH, path=path)
        progress(number, max(number, expected))
        yield seconds, picture, reference[1]
    if next(references, None) is not None:
        raise DataError("has more pictures than the result", _ONE_LENGTH, path=path)


def _expected(path: Path) -> int:
    """How many pictures a clip holds, about."""
    from relume.video.frames import open_clip

    with open_clip(path) as source:
        return source.expected or 0


def _stored(path: Path) -> Pictures:
    from relume.video.coding import Converter
    from relume.video.frames import Moment, open_clip

    with open_clip(path) as source:
        converter = Converter(source.coding)
        for item in source.items():
            if isinstance(item, Moment):
                yield item.seconds, converter.photo(item.frame).rgb_HWC


def _enhanced(
    path: Path, model: str, controls: Controls, smooth: float, downsample: Downsample, threads: int
) -> Pictures:
    from relume.enhancer import Enhancer
    from relume.video.clip import automatic_factor, pictures, sights
    from relume.video.coding import Converter
    from relume.video.frames import Packet, open_clip
    from relume.video.smooth import Smoother

    with open_clip(path) as source:
        factor = automatic_factor(source.width, source.height) if downsample == "auto" else downsample
        enhancer = Enhancer(model, downsample=factor, threads=threads)
        seen = sights(source, enhancer, controls)
        for item in pictures(seen, Smoother(smooth), enhancer, Converter(source.coding)):
            if not isinstance(item, Packet):
                yield item[0].seconds, item[2].rgb_HWC


def _table(scores: dict[str, ClipScores]) -> str:
    labels = [label.replace("_", " ") for label in _COLUMNS]
    width = max(map(len, scores))
    lines = [" " * width + "  " + "  ".join(labels)]
    for label, each in scores.items():
        lines.append(f"{label:<{width}}  " + "  ".join(_cells(asdict(each), labels)))
    return "\n".join(lines)


def _cells(values: dict[str, Any], labels: Sequence[str]) -> Iterator[str]:
    for name, label in zip(_COLUMNS, labels, strict=True):
        value = values[name]
        yield f"{'-' if value is None else f'{value:.3f}':>{len(label)}}"
