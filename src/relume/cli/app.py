"""The commands of `relume`."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from relume.cli import (
    ablate,
    compare,
    data,
    doctor,
    enhance,
    evaluate,
    export,
    lab,
    models,
    page,
    plot,
    serve,
    study,
    train,
    video,
    watch,
)
from relume.version import __version__

app = typer.Typer(
    name="relume",
    help="Make dark photographs readable, offline.",
    epilog="Start with: relume enhance night.jpg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relume {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


app.command("enhance")(enhance.enhance)
app.command("video")(video.video)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.command("page")(page.page)
app.command("study")(study.study)
app.command("models")(models.models)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data", rich_help_panel="Laboratory")
app.command("train", rich_help_panel="Laboratory")(train.train)
app.command("ablate", rich_help_panel="Laboratory")(ablate.ablate)
app.add_typer(lab.app, name="lab", rich_help_panel="Laboratory")
app.command("plot", rich_help_panel="Laboratory")(plot.plot)
app.command("export", rich_help_panel="Laboratory")(export.export)


def _unwrap(group: typer.Typer) -> None:
    """Let the terminal wrap the paragraphs of help, where docstrings are wrapped already."""
    for command in group.registered_commands:
        said = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in said.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap(inner.typer_instance)


_unwrap(app)
