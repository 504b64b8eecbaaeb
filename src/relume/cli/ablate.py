"""`relume ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli import completion
from relume.cli.console import report
from relume.cli.laboratory import AllowDownload, data_root, fetch_classifiers, require_laboratory
from relume.cli.options import QuietOption
from relume.cli.process import prepare
from relume.errors import UsageError
from relume.files import check_target


def ablate(
    grid: Annotated[
        str | None,
        typer.Argument(
            help="Name of the grid; without it the grids are listed.", autocompletion=completion.grids
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the runs; runs/ablate-GRID otherwise.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Results, one line per run; OUT/results.csv otherwise.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value in every cell.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Cells to train, separated by commas; all of the grid otherwise.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            metavar="CSV",
            help="Of grids of the mirror method: how much of each map depends on the image, a line per map.",
        ),
    ] = None,
    show: Annotated[
        Path | None, typer.Option("--from", metavar="CSV", help="Print the table of these results and stop.")
    ] = None,
    allow_download: AllowDownload = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.training_devices)
    ] = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train every cell of a grid with every seed, and print one table.

    What is finished is kept: the same command resumes after an interruption, and other seeds join the table.

    [bold]relume ablate iaml --data ~/data[/bold]

    [bold]relume ablate iaml --from benchmarks/results/ablation_iaml.csv[/bold]
    """
    require_laboratory()
    from relume.lab.ablation import finished, only, results_of, run_folder, run_grid, table, write_results
    from relume.lab.recipes.ablations import GRIDS, get_grid

    if grid is None:
        for name, known in GRIDS.items():
            typer.echo(f"{name:<20} {known.question}")
        return
    chosen = get_grid(grid)
    if show is not None:
        typer.echo(f"{chosen.question}\n\n{table(chosen, results_of(chosen, show))}", nl=False)
        return
    trained = only(chosen, cells.split(",")) if cells else chosen
    for file in (csv, features):
        if file is not None:
            check_target(file, [])
    if allow_download:
        fetch_classifiers(chosen.cell(cell, 0, changes or []) for cell in trained.cells)
    folder = out or Path("runs") / f"ablate-{grid}"
    target = csv or folder / "results.csv"
    prepare()
    results = run_grid(
        trained, data_root(data), folder, _seeds(seeds), changes=changes or [], device=device, quiet=quiet
    )
    try:
        for result in results:
            write_results(finished(chosen, folder), target)
            report(f"{result.cell}, seed {result.seed}: {result.psnr:.2f} dB", quiet=quiet)
    finally:
        if there := finished(chosen, folder):
            typer.echo(f"{chosen.question}\n\n{table(chosen, there)}", nl=False)
    if features is not None:
        runs = {(one.cell, one.seed): run_folder(folder, one.cell, one.seed) for one in there}
        _write_features(runs, data_root(data), features)
        report(f"wrote {features}", quiet=quiet)


def _write_features(runs: dict[tuple[str, int], Path], root: Path, target: Path) -> None:
    from relume.files import write_file
    from relume.lab.features import statistics_csv, statistics_of_run

    write_file(target, statistics_csv({key: statistics_of_run(run, root) for key, run in runs.items()}))


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise UsageError(f"'{text}' are not seeds", "Write whole numbers with commas: 0,1,2.") from error
