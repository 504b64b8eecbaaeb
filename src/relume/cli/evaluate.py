"""`relume evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.cli.candidates import Candidate, ModelsOption, NetworksOption, RunsOption, candidates
from relume.cli.files import writing
from relume.errors import DataError, UsageError

if TYPE_CHECKING:
    from relume.evaluate import Report
    from relume.evaluate.pairs import Pair


def evaluate(
    low: Annotated[Path, typer.Argument(help="Folder of dark photos, or one of them.")],
    high: Annotated[Path, typer.Argument(help="Folder of targets with the same names, or one of them.")],
    models: ModelsOption = None,
    runs: RunsOption = None,
    networks: NetworksOption = None,
    pred: Annotated[Path | None, typer.Option(help="Score these finished results instead.")] = None,
    only: Annotated[
        Path | None, typer.Option(help="Score the images that this split file holds out.")
    ] = None,
    strength: Annotated[float, typer.Option(help="As for enhance.")] = 1.0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is stdout.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write a table: Markdown (.md), or CSV (.csv) with a line an image.")
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Print a row an image as well.")] = False,
) -> None:
    """Score results against targets: full resolution, 8 bits, plain PSNR and SSIM first.

    [bold]relume evaluate eval15/low eval15/high[/bold] scores the default model.

    [bold]relume evaluate LOW HIGH --models lol --run runs/mine --network zero-dce=Epoch99.pth[/bold] scores
    several side by side; JSON then holds a report for each, by name.
    """
    from relume.evaluate import find_pairs
    from relume.evaluate.report import format_csv, format_table, images_table, text_table

    if table is not None and table.suffix not in (".md", ".csv"):
        raise UsageError(f"cannot write a table to '{table}'", "Give a name that ends in .md or .csv.")
    if pred is not None and runs:
        raise UsageError("--run excludes --pred", "Choose one of them.")
    pairs = find_pairs(low, high)
    if only is not None:
        names = _held_out(only)
        pairs = [pair for pair in pairs if pair.name in names]
    found = candidates(models, runs, networks, pred, strength=strength, threads=threads)
    reports = {candidate.label: _score(candidate, pairs) for candidate in found}
    if table is not None:
        _write(table, format_csv(reports) if table.suffix == ".csv" else format_table(reports))
    if as_json is not None:
        text = json.dumps(_as_json(reports), indent=2) + "\n"
        if as_json == "-":
            typer.echo(text, nl=False)
            return
        _write(Path(as_json), text)
    for report in reports.values() if images else ():
        typer.echo(images_table(report))
    typer.echo(text_table(reports))


def _score(candidate: Candidate, pairs: Sequence[Pair]) -> Report:
    from relume.cli.console import counting
    from relume.evaluate import evaluate_pairs, load_perceptual
    from relume.photo import read_photo

    with counting(candidate.label) as progress:
        return evaluate_pairs(
            pairs,
            lambda pair: candidate.enhance(pair.name, read_photo(pair.low).rgb_HWC),
            params=candidate.params,
            perceptual=load_perceptual("alex"),
            progress=progress,
        )


def _as_json(reports: dict[str, Report]) -> Any:
    """One report as it is; several by name."""
    by_name = {label: report.to_json() for label, report in reports.items()}
    return by_name if len(by_name) > 1 else next(iter(by_name.values()))


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.write_text(text, encoding="utf-8")


def _held_out(split: Path) -> set[str]:
    from relume.cli.files import read_json

    names = read_json(split)
    if not isinstance(names, dict) or not isinstance(names.get("validation"), list):
        raise DataError("holds no list `validation`", "Name a split file.", path=split)
    return set(names["validation"])
