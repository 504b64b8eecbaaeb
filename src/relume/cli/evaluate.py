"""`relume evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.cli.candidates import (
    ClassicalOption,
    ModelsOption,
    NetworksOption,
    RunsOption,
    candidates,
)
from relume.cli.console import say
from relume.cli.options import MEASURED, LayoutOption, LimitOption, Measuring, SplitOption, expanded
from relume.cli.outputs import PICTURES, TABLES, JsonOption, Outputs, ResultsOption
from relume.cli.process import prepare
from relume.cli.stress import StressOption, evaluate_stress
from relume.cli.tasks import (
    LIGHTS,
    CameraOption,
    DarknessOption,
    TaskOption,
    evaluate_task,
)
from relume.errors import MissingExtra, UsageError, install

if TYPE_CHECKING:
    from relume.datasets.pairs import Pair
    from relume.datasets.selection import Selection
    from relume.evaluate import Perceptual, Report
    from relume.evaluate.candidates import Candidate
    from relume.evaluate.noreference import Changes


@expanded
def evaluate(
    low: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of dark photos, or one of them; or a set of pairs, both sides. With --task: of "
            "well-lit photos; without it, pictures are drawn.",
            show_default=False,
        ),
    ] = None,
    high: Annotated[
        Path | None,
        typer.Argument(help="Folder of targets with the same names, or one of them.", show_default=False),
    ] = None,
    models: ModelsOption = None,
    runs: RunsOption = None,
    networks: NetworksOption = None,
    classical: ClassicalOption = None,
    pred: Annotated[Path | None, typer.Option(help="Score these finished results instead.")] = None,
    layout: LayoutOption = None,
    split: SplitOption = None,
    options: Measuring = MEASURED,
    lpips: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Measure LPIPS with these weights of AlexNet or VGG16 (torchvision's file). Without it, "
            "LPIPS is measured if its package and a file among PyTorch's downloads are there.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    as_json: JsonOption = False,
    out: ResultsOption = None,
    images: Annotated[bool, typer.Option("--images", help="Print a row per image as well.")] = False,
    task: TaskOption = None,
    stress: StressOption = False,
    darkness: DarknessOption = LIGHTS,
    camera: CameraOption = "phone",
    limit: LimitOption = 0,
    smooth: Annotated[
        float, typer.Option(help="Of clips: seconds over which brightness is smoothed; 0: not at all.")
    ] = 1.0,
) -> None:
    """Score results against targets: full resolution, 8 bits, plain PSNR and SSIM first.

    Models are scored alone; `relume enhance` adds strength auto and its guards, which options add here too,
    to models only, not to runs and networks.

    [bold]relume evaluate eval15/low eval15/high[/bold] scores the default model.

    [bold]relume evaluate lol_v1/eval15[/bold] does the same: a set of pairs has folders low and high, or a
    pairs.csv that lists its frames.

    [bold]relume evaluate ~/LOL-v2 --layout lol-v2-real/test --run runs/mine[/bold] takes a published set as
    it was unpacked. What was trained on the same photographs under the name of another set is refused.

    [bold]relume evaluate LOW HIGH --models lol --run runs/mine --classical input,gamma,clahe[/bold] scores
    several side by side; JSON then holds a report for each, by name.

    [bold]relume evaluate --task ocr --models lol,photo --classical input,gamma,clahe[/bold] draws pages and
    signs, darkens them and scores how well their text can be read.

    [bold]relume evaluate PHOTOS --stress --models photo[/bold] darkens well-lit photos in ever worse ways:
    light, cameras, levels, JPEG, blur, colour of light, size, a dead channel.

    [bold]relume evaluate photos --strength auto[/bold] has no targets: it prints exposure, clipping, colour
    cast and noise before and after.

    [bold]relume evaluate dark.mp4 bright.mp4 --strength auto[/bold] measures a clip: flicker, errors along
    motion, and fidelity where there is a bright original. --pred scores a finished clip.
    """
    from relume.datasets.selection import select

    prepare(threads)
    named = (models, runs, networks, pred, classical)
    if task is not None or stress:
        other = {"HIGH": high, "--pred": pred, "--layout": layout, "--split": split, "--lpips": lpips}
        _refuse({**other, "each other": task if stress else None})
        found = candidates(*named, options=options, threads=threads)
        outputs = Outputs(as_json, out or (), (".json", *TABLES, *PICTURES))
        photos = [] if low is None else [low, *low.rglob("*")]
        outputs.check([*photos, *(file for candidate in found for file in candidate.files)])
        if task is None:
            evaluate_stress(low, found, outputs, limit=limit)
            return
        evaluate_task(task, low, found, outputs, lights=darkness, camera=camera, limit=limit, threads=threads)
        return
    if low is None:
        raise UsageError("no photos are named", "Name a folder of dark photos, a --task, or --stress.")
    if _is_clip(low):
        from relume.cli.clips import evaluate_clip

        other = {"--run": runs, "--network": networks, "--layout": layout, "--split": split, "--lpips": lpips}
        _refuse(other, "a clip takes")
        evaluate_clip(
            low,
            high,
            models=models,
            pred=pred,
            controls=options.controls,
            smooth=smooth,
            downsample=options.downsample,
            threads=threads,
            outputs=Outputs(as_json, out or ()),
        )
        return
    selected = select(low, high, split, layout).first(limit)
    if selected.note:
        say(selected.note)
    found = candidates(*named, options=options, threads=threads)
    outputs = Outputs(as_json, out or ())
    outputs.check([*selected.files, *(file for candidate in found for file in candidate.files)])
    _compare_with_targets(selected, found, outputs, lpips, rows=images)


def _refuse(options: Mapping[str, object], what: str = "--task and --stress take") -> None:
    """Refuse options that darkened pictures, or a clip, have no use for."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{what} no {', '.join(given)}", "Leave it out.")


def _compare_with_targets(
    selected: Selection, found: Sequence[Candidate], outputs: Outputs, lpips: Path | None, *, rows: bool
) -> None:
    from relume.datasets.overlap import refuse_overlap

    for candidate in found:
        refuse_overlap(candidate.trained_on, selected.where, candidate.label)
    if selected.pairs is None:
        _describe(selected.photos, found, outputs, rows=rows)
    else:
        _score(selected.pairs, found, outputs, _perceptual(lpips), rows=rows)


def _is_clip(path: Path) -> bool:
    from relume.video.plan import CLIPS

    return path.suffix.lower() in CLIPS.suffixes and path.is_file()


def _score(
    pairs: Sequence[Pair],
    found: Sequence[Candidate],
    outputs: Outputs,
    perceptual: Perceptual | None,
    *,
    rows: bool,
) -> None:
    from relume.evaluate.report import format_csv, format_table, images_table, text_table

    reports = {candidate.label: _report(candidate, pairs, perceptual) for candidate in found}
    single = [images_table(report) + "\n" for report in reports.values()] if rows else []
    outputs.write(
        "".join([*single, text_table(reports) + "\n"]),
        format_table(reports),
        format_csv(reports),
        _alone({label: report.to_json() for label, report in reports.items()}),
    )


def _perceptual(weights: Path | None) -> Perceptual | None:
    """LPIPS, where its parts are there.

    Raises:
        MissingExtra: weights were named, and something else is not installed.
        ModelError: the weights are none.
    """
    missing = [name for name in ("torch", "safetensors", "lpips") if find_spec(name) is None]
    if not missing:
        from relume.lab.losses.lpips import load_lpips

        return load_lpips(weights)
    if weights is not None:
        raise MissingExtra(f"LPIPS needs {', '.join(missing)}", install("metrics"))
    return None


def _report(candidate: Candidate, pairs: Sequence[Pair], perceptual: Perceptual | None) -> Report:
    from relume.cli.console import counting
    from relume.evaluate import evaluate_pairs
    from relume.photo import read_photo

    with counting(candidate.label) as progress:
        return evaluate_pairs(
            pairs,
            lambda pair: candidate.enhance(pair.name, read_photo(pair.low).rgb_HWC),
            params=candidate.params,
            perceptual=perceptual,
            progress=progress,
        )


def _describe(photos: Sequence[Path], found: Sequence[Candidate], outputs: Outputs, *, rows: bool) -> None:
    """Statistics of photos that have no targets, before and after."""
    from relume.evaluate.report import changes_csv, changes_images_table, changes_table

    changes = {candidate.label: _changes(candidate, photos) for candidate in found}
    single = [changes_images_table(each) + "\n" for each in changes.values()] if rows else []
    outputs.write(
        "".join([*single, changes_table(changes) + "\n"]),
        changes_table(changes, markdown=True),
        changes_csv(changes),
        _alone({label: each.to_json() for label, each in changes.items()}),
    )


def _changes(candidate: Candidate, photos: Sequence[Path]) -> Changes:
    from relume.cli.console import counting
    from relume.datasets.pairs import image_name
    from relume.evaluate.noreference import measure_changes
    from relume.photo import read_photo

    with counting(candidate.label) as progress:
        return measure_changes(
            photos,
            lambda path: read_photo(path).rgb_HWC,
            lambda path, pixels: candidate.enhance(image_name(path), pixels),
            progress=progress,
        )


def _alone(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One report as it is, several by name."""
    return reports if len(reports) > 1 else next(iter(reports.values()))
