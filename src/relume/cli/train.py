"""`relume train`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from relume.cli import completion
from relume.cli.console import report
from relume.cli.laboratory import (
    AllowDownload,
    BatchWorkers,
    data_roots,
    fetch_classifiers,
    list_named,
    require_laboratory,
)
from relume.cli.options import QuietOption
from relume.cli.process import prepare
from relume.options import MOST_THREADS


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name of a recipe, or a recipe.json of another run; without it the recipes are listed.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data root, or part of a pack; RELUME_DATA otherwise. May be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; runs/RECIPE otherwise.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value; may be repeated.")
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0, help="Scale the phases so that all is done in this time; 0 leaves them as they are."
        ),
    ] = 0.0,
    max_file_mib: Annotated[
        int,
        typer.Option(min=0, help="Add weights in half precision and split larger files; 0 does neither."),
    ] = 0,
    workers: BatchWorkers = None,
    nproc: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_THREADS, help="Processes of this machine that train together, sharing each batch."
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume from the last checkpoint, by the recipe in the run folder."),
    ] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", autocompletion=completion.training_devices)
    ] = "auto",
    allow_download: AllowDownload = False,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe as JSON and stop.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network by a recipe. An interrupted run resumes with --resume, to the same result.

    [bold]relume train lol --data ~/data[/bold]

    [bold]relume train lol --data ~/packs/lol --minutes 9[/bold]

    [bold]relume train lol --nproc 4[/bold]; on several machines torchrun --nnodes ... -m relume train lol.

    [bold]relume train lol --set phases.0.steps=100 --set optimizer.lr=5e-4 -o runs/try[/bold]
    """
    require_laboratory("pydantic")
    from relume.lab.recipe import to_json
    from relume.lab.recipes import RECIPES, find_recipe

    if recipe is None:
        list_named(RECIPES)
        return
    chosen = find_recipe(recipe, changes or [])
    if show:
        typer.echo(to_json(chosen), nl=False)
        return
    require_laboratory()
    from relume.lab.run import Run
    from relume.lab.training.loop import train as run_training
    from relume.lab.training.together import is_leading, launch

    folder = out or Path("runs") / chosen.name
    if resume and not changes:
        chosen = Run(folder).recipe_to_resume(chosen)
    if allow_download:
        fetch_classifiers([chosen])
    prepare()
    run = partial(
        run_training,
        chosen,
        data_roots(data),
        folder,
        device=device,
        resume=resume,
        quiet=quiet,
        minutes=minutes,
        workers=workers,
    )
    if nproc > 1:
        launch(nproc, run)
    else:
        run()
    if not is_leading():
        return
    if max_file_mib:
        Run(folder).keep_small(max_file_mib << 20)
    report(f"wrote {Run(folder).weights_file}", quiet=quiet)
