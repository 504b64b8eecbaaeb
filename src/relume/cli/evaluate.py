"""`relume evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.errors import DataError, UsageError
from relume.options import DEFAULT_MODEL

if TYPE_CHECKING:
    from relume.evaluate import Report
    from relume.evaluate.protocol import Predict


def evaluate(
    low: Annotated[Path, typer.Argument(help="Folder of dark photos, or one of them.")],
    high: Annotated[Path, typer.Argument(help="Folder of targets with the same names, or one of them.")],
    model: Annotated[str, typer.Option(help="Model to score.")] = DEFAULT_MODEL,
    run: Annotated[Path | None, typer.Option(help="Score a finished run of the laboratory instead.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Score these finished results instead.")] = None,
    only: Annotated[
        Path | None, typer.Option(help="Score the images that this split file holds out.")
    ] = None,
    strength: Annotated[float, typer.Option(help="As for enhance.")] = 1.0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is stdout.")
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Print a row an image as well.")] = False,
) -> None:
    """Score results against targets: full resolution, 8 bits, plain PSNR and SSIM first.

    [bold]relume evaluate eval15/low eval15/high[/bold] scores the default model.
    """
    from relume.cli.console import counting
    from relume.cli.files import writing
    from relume.evaluate import evaluate_pairs, find_pairs, load_perceptual
    from relume.evaluate.report import images_table, text_table

    pairs = find_pairs(low, high)
    if only is not None:
        names = _held_out(only)
        pairs = [pair for pair in pairs if pair.name in names]
    label, params, predict = _predictor(model, run, pred, strength, threads)
    with counting(label) as progress:
        report = evaluate_pairs(
            pairs, predict, params=params, perceptual=load_perceptual("alex"), progress=progress
        )
    if as_json == "-":
        typer.echo(json.dumps(report.to_json(), indent=2))
        return
    if as_json is not None:
        with writing(Path(as_json)):
            Path(as_json).write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    _show({label: report}, images_table(report) if images else "", text_table)


def _held_out(split: Path) -> set[str]:
    from relume.cli.files import read_json

    names = read_json(split)
    if not isinstance(names, dict) or not isinstance(names.get("validation"), list):
        raise DataError("holds no list `validation`", "Name a split file.", path=split)
    return set(names["validation"])


def _show(reports: dict[str, Report], rows: str, table: object) -> None:
    if rows:
        typer.echo(rows)
    typer.echo(table(reports))  # type: ignore[operator]


def _predictor(
    model: str, run: Path | None, pred: Path | None, strength: float, threads: int
) -> tuple[str, int | None, Predict]:
    """What is scored: its label, its parameters, and how a pair becomes a result."""
    if run is not None and pred is not None:
        raise UsageError("--run excludes --pred", "Choose one of them.")
    if pred is not None:
        return str(pred), None, _from_folder(pred)
    if run is not None:
        return _from_run(run)
    from relume.enhancer import Enhancer
    from relume.photo import read_photo

    enhancer = Enhancer(model, threads=threads)
    return (
        model,
        enhancer.card.params,
        lambda pair: enhancer.enhance(read_photo(pair.low), strength=strength).rgb_HWC,
    )


def _from_folder(folder: Path) -> Predict:
    from relume.photo import read_photo

    results = (
        {path.stem: path for path in sorted(folder.iterdir()) if path.is_file()} if folder.is_dir() else {}
    )

    def predict(pair):
        if pair.name not in results:
            raise DataError(
                f"holds no result for '{pair.name}'", "Name a folder with all results.", path=folder
            )
        return read_photo(results[pair.name]).rgb_HWC

    return predict


def _from_run(run: Path) -> tuple[str, int | None, Predict]:
    from relume.cli.laboratory import require_laboratory

    require_laboratory()
    import torch

    from relume.lab.data.paired import read_8_bits
    from relume.lab.export import load_run
    from relume.lab.networks.cost import count_parameters
    from relume.lab.training.validation import enhance_array

    recipe, network = load_run(run)
    cpu = torch.device("cpu")
    return (
        recipe.name,
        count_parameters(network),
        lambda pair: enhance_array(network, read_8_bits(pair.low), cpu),
    )
