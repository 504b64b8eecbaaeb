"""`relume train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli import completion
from relume.cli.laboratory import AllowDownload, data_root, fetch_classifiers, list_named, require_laboratory
from relume.files import read_text


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name of a recipe, or a recipe.json of another run; without it the recipes are listed.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data root; the environment variable RELUME_DATA otherwise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; runs/RECIPE otherwise.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value; may be repeated.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint, by the recipe in the run folder."),
    ] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.training_devices)
    ] = "auto",
    allow_download: AllowDownload = False,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe as JSON and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a network by a recipe. An interrupted run goes on with --resume, to the same result.

    [bold]relume train lol --data ~/data[/bold]

    [bold]relume train lol --set phases.0.steps=100 --set optimizer.lr=5e-4 -o runs/try[/bold]
    """
    require_laboratory("pydantic")
    from relume.lab.recipe import from_json, override, to_json
    from relume.lab.recipes import RECIPES, get_recipe

    if recipe is None:
        list_named(RECIPES)
        return
    chosen = from_json(read_text(Path(recipe))) if recipe.endswith(".json") else get_recipe(recipe)
    chosen = override(chosen, changes or [])
    if show:
        typer.echo(to_json(chosen), nl=False)
        return
    require_laboratory()
    from relume.lab.run import recipe_to_resume
    from relume.lab.training.loop import train as run_training

    folder = out or Path("runs") / chosen.name
    if resume and not changes:
        chosen = recipe_to_resume(folder, chosen)
    if allow_download:
        fetch_classifiers([chosen])
    weights = run_training(chosen, data_root(data), folder, device=device, resume=resume, quiet=quiet)
    typer.echo(f"wrote {weights}", err=True)
