"""`relume train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.laboratory import AllowDownload, data_root, fetch_classifiers, require_laboratory
from relume.files import read_text


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a recipe.json of another run.")],
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; runs/RECIPE otherwise.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    allow_download: AllowDownload = False,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe as JSON and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a network by a recipe. An interrupted run goes on with --resume, to the same result.

    [bold]relume train lol --data ~/data[/bold]

    [bold]relume train lol --set phases.0.steps=100 --set optimizer.lr=5e-4 -o runs/try[/bold]
    """
    require_laboratory()
    from relume.lab.recipe import from_json, override, to_json
    from relume.lab.recipes import get_recipe
    from relume.lab.training.loop import train as run_training

    chosen = from_json(read_text(Path(recipe))) if recipe.endswith(".json") else get_recipe(recipe)
    chosen = override(chosen, changes or [])
    if show:
        typer.echo(to_json(chosen), nl=False)
        return
    if allow_download:
        fetch_classifiers([chosen])
    folder = out or Path("runs") / chosen.name
    weights = run_training(chosen, data_root(data), folder, device=device, resume=resume, quiet=quiet)
    typer.echo(f"wrote {weights}", err=True)
