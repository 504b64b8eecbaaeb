"""`relume lab`: what is measured of the laboratory itself, and what few need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.laboratory import BatchWorkers, data_roots, require_laboratory
from relume.errors import UsageError
from relume.files import check_folder, check_target, make_folder, write_file

app = typer.Typer(
    help="Measure the laboratory, average, grow and restore runs, and trace the steps.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def _several() -> None:
    """Measure the laboratory, average, grow and restore runs, and trace the steps."""


@app.command()
def graphs(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the graphs; those there are replaced.")
    ],
) -> None:
    """Trace the steps around a network into ONNX graphs, which the page runs; takes minutes.

    [bold]relume lab graphs -o src/relume/page/graphs[/bold], whenever a step changes what it computes.
    """
    require_laboratory("torch", "onnx", "onnxscript")
    from relume.lab.page_graphs import page_graphs

    check_folder(out)
    make_folder(out)
    for name, graph in page_graphs().items():
        write_file(out / f"{name}.onnx", graph)
        typer.echo(f"wrote {out / name}.onnx, {len(graph):,} bytes", err=True)


@app.command()
def bench(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Names of recipes; all that come with relume otherwise.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data root, or part of a pack; RELUME_DATA otherwise. May be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    least: Annotated[
        float, typer.Option("--least-seconds", min=0.1, help="Measure each figure for at least so long.")
    ] = 3.0,
    workers: BatchWorkers = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv file beside the table.")] = None,
) -> None:
    """Crops per second of each recipe here: of the loader alone, of the step alone, and of a run.

    [bold]relume lab bench lol photo --data ~/data -o bench.csv[/bold]
    """
    if out is not None:
        check_target(out, [])
    require_laboratory()
    from relume.lab.bench import as_csv, measure, table
    from relume.lab.recipes import RECIPES, find_recipe

    chosen = [find_recipe(name) for name in recipes or sorted(RECIPES)]
    roots = data_roots(data)
    speeds = [one for recipe in chosen for one in measure(recipe, roots, device, least, workers)]
    typer.echo(table(speeds), nl=False)
    if out is not None:
        write_file(out, as_csv(speeds))


@app.command()
def soup(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs of one network.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run that is made.")],
    shares: Annotated[
        str | None, typer.Option(help="Share of each run, separated by commas; equal ones otherwise.")
    ] = None,
) -> None:
    """Average the weights of runs into one, which costs what each of them does.

    [bold]relume lab soup runs/long runs/start --shares 0.7,0.3 -o runs/soup[/bold], and then
    [bold]relume evaluate LOW HIGH --run runs/long --run runs/soup[/bold] says whether it is any better.
    """
    require_laboratory()
    from relume.lab.soups import write_soup

    write_soup(runs, _numbers(shares) if shares is not None else (), out)
    typer.echo(f"wrote {out}", err=True)


@app.command()
def grow(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of a two-pass network.")],
    recipe: Annotated[str, typer.Argument(help="Recipe, or file of one, whose network is wanted.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run that is made.")],
) -> None:
    """Make a run's network as large as a recipe's; it computes the same until it is trained further.

    [bold]relume lab grow runs/photo-shipped photo-best -o runs/photo-grown[/bold];
    [bold]relume train photo-best[/bold] goes on from there.
    """
    require_laboratory()
    from relume.lab.growth import write_grown
    from relume.lab.recipes import find_recipe

    write_grown(run, find_recipe(recipe), out)
    typer.echo(f"wrote {out}", err=True)


@app.command()
def restore(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or the file of a card.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run that is made.")],
) -> None:
    """Make a model a run again, whose weights can be trained further, averaged, pruned or taught from.

    [bold]relume lab restore photo -o runs/photo-shipped[/bold], and then
    [bold]relume train photo --set start=runs/photo-shipped -o runs/mine[/bold] goes on from what is shipped.
    """
    require_laboratory()
    from relume.lab.restore import write_restored

    write_restored(model, out)
    typer.echo(f"wrote {out}", err=True)


@app.command()
def units(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run of a two-pass network.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data root, or part of a pack; RELUME_DATA otherwise. May be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of a run that computes the same, its silent units begun anew."
        ),
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave silent units of the local pass out of --out instead.")
    ] = False,
) -> None:
    """Count hidden units that act on no held-out picture, and learn nothing any more.

    [bold]relume lab units runs/photo --data ~/data[/bold]

    [bold]relume lab units runs/photo -o runs/photo-revived[/bold] gives them random weights that nothing
    looks at yet, so that further training can use them.

    [bold]relume lab units runs/photo -o runs/photo-narrow --leave-out[/bold] makes a smaller network that
    computes the same on those pictures in less time.
    """
    if leave_out and out is None:
        raise UsageError("--leave-out has no effect without --out", "Name a folder for the smaller run.")
    require_laboratory()
    from relume.evaluate.report import markdown_table
    from relume.lab.units import write_counted

    counts = write_counted(run, data_roots(data), out, leave_out=leave_out)
    rows = [[name, str(count), str(silent)] for name, count, silent in counts]
    typer.echo(markdown_table([["layer", "units", "silent"], *rows]), nl=False)
    if out is not None:
        typer.echo(f"wrote {out}", err=True)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"'{text}' are not shares", "Write numbers with commas: 0.7,0.3.") from error
