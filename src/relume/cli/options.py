"""Options of commands: a dataclass becomes one for each of its fields, and what several commands share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

import typer

from relume.cli import completion
from relume.errors import UsageError
from relume.options import FILES, MODEL_ALONE, MOST_THREADS, SPEED, Controls, EnhanceOptions, Told

RecursiveOption = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="Look into subfolders, too.", rich_help_panel=FILES),
]
SkipOption = Annotated[
    bool, typer.Option("--skip-existing", help="Leave results alone that exist.", rich_help_panel=FILES)
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPLIT",
        help="Take the images that this split holds out: our485_scenes, sice_scenes, or a .json file.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME/PART",
        help="How a published set lies in the folder, such as lol-v2-real/test; see relume data layouts.",
    ),
]
LimitOption = Annotated[
    int, typer.Option(min=0, help="Take this many photos only; 0 takes all, and with --stress four.")
]
MaxPixelsOption = Annotated[
    int, typer.Option(min=1, help="Refuse photos with more pixels.", rich_help_panel=SPEED)
]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST_THREADS,
        help="Processes that enhance, each with its share of the threads; one that dies costs a photo at "
        "most. 0: none but this one.",
        rich_help_panel=SPEED,
    ),
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Say what was decided for each photo, and why it looks so.")
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON line per photo on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr but errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show where in the program an input failed.")]


@dataclass(frozen=True)
class Expand:
    """Marks a parameter of a command, a dataclass, whose fields `expanded` makes options.

    Attributes:
        only: names of the fields; none for all that have something to tell.
        help: other words for some of them.
    """

    only: Collection[str] = ()
    help: Mapping[str, str] = field(default_factory=dict[str, str])


_OF_A_MODEL = (*(each.name for each in fields(Controls)), "downsample", "precision")
Enhancing = Annotated[EnhanceOptions, Expand()]
"""All options of an enhancement."""

Measuring = Annotated[EnhanceOptions, Expand(_OF_A_MODEL)]
"""Those that change what a model is measured as."""

MEASURED = EnhanceOptions(
    **{each.name: getattr(MODEL_ALONE, each.name) for each in fields(Controls)},
    downsample=1,
    precision="float32",
)
"""The model alone, at full resolution."""


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters marked by `Expand` are given field by field, as options.

    The parameter's default gives the defaults of the options.
    """
    parameters: list[inspect.Parameter] = []
    marked: dict[str, tuple[Any, dict[str, bool]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        marks = [mark for mark in get_args(parameter.annotation)[1:] if isinstance(mark, Expand)]
        if not marks:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        own = list(_parameters(parameter.default, marks[0]))
        parameters += own
        types = get_type_hints(cast("type[Any]", type(parameter.default)))
        words = {each.name: _takes_words(types[each.name]) for each in own}
        marked[parameter.name] = parameter.default, words

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, (default, words) in marked.items():
            values = {each: given.pop(each) for each in words}
            read = {each: _value(value) if words[each] else value for each, value in values.items()}
            given[name] = replace(default, **read)
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _parameters(default: Any, mark: Expand) -> Iterator[inspect.Parameter]:
    """A keyword for each field of a dataclass, as Typer reads them."""
    types = get_type_hints(cast("type[Any]", type(default)))
    for each in fields(default):
        told: Told | None = each.metadata.get("told")
        if told is None or (mark.only and each.name not in mark.only):
            continue
        kind, value = types[each.name], getattr(default, each.name)
        if _takes_words(kind):
            kind, value = str, f"{value:g}" if isinstance(value, int | float) else value
        flag = () if kind is not bool else (f"--{each.name.replace('_', '-')}",)  # without its opposite
        about = typer.Option(
            *flag,
            help=mark.help.get(each.name, told.help),
            rich_help_panel=told.panel,
            metavar=told.metavar or None,
            show_default=told.default or True,
            autocompletion=completion.OF_FIELDS.get(each.name),
        )
        annotation = Annotated[kind, about]
        yield inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation
        )


def _takes_words(kind: Any) -> bool:
    """Whether a type is of numbers or a word, such as `auto`."""
    return any(get_origin(part) is Literal for part in get_args(kind) if part is not NoneType)


def _value(typed: str) -> int | float | str:
    """A number or a word as it was typed."""
    for read in (int, float):
        try:
            return read(typed)
        except ValueError:
            continue
    return typed


LARGEST = 100_000_000
"""Pixels of a photo that is made up."""


def sides(text: str) -> tuple[int, int]:
    """Width and height of a photo that is made up, as they were typed: `1920x1080`.

    Raises:
        UsageError: none of either, or more than `LARGEST`.
    """
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < width * height <= LARGEST:
        raise UsageError(f"--size is '{text}'", "Give width and height, such as 1920x1080.")
    return width, height
