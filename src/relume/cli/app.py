"""The commands of `relume`: their names and what lists say of them; each is loaded when it is run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from relume.errors import ExitCode, UsageError
from relume.version import __version__

COMMANDS = {
    "enhance": "Enhance dark photos. Inputs are never overwritten unless you say --in-place.",
    "batch": "Enhance very many photos, here or on a cluster; the same command continues where it stopped.",
    "video": "Enhance dark clips, without flicker and with their sound. Inputs are never overwritten.",
    "watch": "Enhance photos as they come into a folder. Inputs are never overwritten.",
    "serve": "Serve enhancement over HTTP, for programs and for browsers.",
    "page": "Write the page as a static site: photos are enhanced in the browser and never leave it.",
    "study": "Ask people blindly which of two results is better, and fit scores to their answers.",
    "models": "List the models: those that are shipped and, with the laboratory installed, its networks.",
    "evaluate": "Score results against targets: full resolution, 8 bits, plain PSNR and SSIM first.",
    "compare": "Draw input, results and target side by side, with their scores, on one page.",
    "bench": "Measure what each shipped model takes here: time, memory and size, by engine and precision.",
    "doctor": "Show versions and devices, load every package, write and read a small picture in every "
    "format, and enhance it with every model, to see that all works.",
}
"""Each is the function of its name in the module of its name, whose help begins with these words."""

LABORATORY = {
    "data": "Check, describe, unpack, split, compare and show data sets.",
    "train": "Train a network by a recipe. An interrupted run resumes with --resume, to the same result.",
    "ablate": "Train every cell of a grid with every seed, and print one table.",
    "prune": "Make a trained network smaller: remove channels that matter least, and fine-tune the rest.",
    "search": "Search the two-pass network's options for the best quality within a time on this machine.",
    "lab": "Measure the laboratory, average, grow and restore runs, and trace the steps.",
    "plot": "Draw a run's losses, scores and learning rate, with its changes of resolution marked.",
    "export": "Export a finished run as ONNX graphs with half-precision weights, and a model card.",
}
"""Likewise, or a group `app` of commands."""

_SHARED: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": "rich"}


class _LoadedLate(TyperGroup):
    """A group that knows its commands by their names, until one of them is to do something."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that the arguments begin with."""
        if args and args[0] in self.commands:
            self.commands[args[0]] = _load(args[0])
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Without arguments, help: Typer counts on boxes to have printed it."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(int(ExitCode.USAGE))
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """In plain text: what draws the boxes of other help takes longer to load than all the rest."""
        super(TyperGroup, self).format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Those for photos, then those of the laboratory."""
        for title, told in (("Commands", COMMANDS), ("Laboratory", LABORATORY)):
            with formatter.section(title):
                formatter.write_dl(list(told.items()))


app = typer.Typer(
    name="relume",
    cls=_LoadedLate,
    help="Make dark photographs readable, offline.",
    epilog="Start with: relume enhance night.jpg",
    context_settings={"help_option_names": ["-h", "--help"]},
    **_SHARED,
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


def _not_loaded() -> None:
    """Stands for a command in lists."""


for _name, _told in {**COMMANDS, **LABORATORY}.items():
    app.command(_name, help=_told)(_not_loaded)


@cache
def whole() -> TyperGroup:
    """The command line with every command loaded, for what documents and checks it."""
    group = cast(TyperGroup, typer.main.get_command(app))
    group.commands.update({name: _load(name) for name in group.commands})
    return group


def _load(name: str) -> Any:
    """A command as its module has it."""
    module = import_module(f"relume.cli.{name}")
    part = typer.Typer(**_SHARED)
    if isinstance(group := getattr(module, "app", None), typer.Typer):
        part.add_typer(group, name=name)
    else:
        part.command(name)(getattr(module, name))
    _unwrap(part)
    command = typer.main.get_group(part).commands[name]
    _leave_files(command)
    return command


def _leave_files(command: Any) -> None:
    """Leave it to a command what may be read: it knows the exit code, and some paths it only writes to.

    An empty path, such as that of a variable that is not set, is refused: it would be the current folder.
    """
    for parameter in command.params:
        if hasattr(parameter.type, "readable"):
            parameter.type.readable = False
            parameter.type.convert = partial(_unless_empty, parameter.type.convert)
    for inner in getattr(command, "commands", {}).values():
        _leave_files(inner)


def _unless_empty(convert: Callable[..., Any], value: Any, parameter: Any, context: Any) -> Any:
    if value == "":
        name = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else parameter.name.upper()
        raise UsageError(f"the path of {name} is empty", "Name one; . is the current folder.")
    return convert(value, parameter, context)


def _unwrap(group: typer.Typer) -> None:
    """Let the terminal wrap the paragraphs of help, where docstrings are wrapped already."""
    for command in group.registered_commands:
        said = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in said.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap(inner.typer_instance)
