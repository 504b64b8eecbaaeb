"""Options of commands come from dataclasses, and a look can be explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from relume.cli.app import whole
from relume.cli.options import Expand, expanded
from relume.errors import ExitCode
from relume.options import ControlKeywords, Controls, EnhanceKeywords, EnhanceOptions, Told
from shared import Result


@dataclass(frozen=True)
class Colours:
    """Options of a command that is made up."""

    warmth: float | Literal["auto"] = field(
        default="auto", metadata={"told": Told("How warm.", "Look", "auto|0..1")}
    )
    name: str = field(default="1", metadata={"told": Told("What it is called.", "Files")})
    hidden: int = 3


def test_each_field_becomes_an_option_and_comes_back_as_a_value() -> None:
    seen: list[tuple[str, Colours]] = []

    @expanded
    def command(path: str, colours: Annotated[Colours, Expand()] = Colours()) -> None:
        seen.append((path, colours))

    app = typer.Typer()
    app.command()(command)
    for arguments in (["a"], ["a", "--warmth", "0.5", "--name", "7"], ["a", "--warmth", "cold"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == [("a", Colours()), ("a", Colours(0.5, "7")), ("a", Colours("cold"))]  # type: ignore[arg-type]
    assert CliRunner().invoke(app, ["a", "--hidden", "4"]).exit_code == 2
    shown = CliRunner().invoke(app, ["--help"]).output
    assert re.search(r"Look.*--warmth.*auto\|0\.\.1.*Files.*--name", shown, re.DOTALL)


def test_only_some_fields_and_other_words() -> None:
    @expanded
    def command(
        colours: Annotated[Colours, Expand(["warmth"], {"warmth": "Of the light."})] = Colours("auto", "x"),
    ) -> None:
        assert colours.name == "x"

    app = typer.Typer()
    app.command()(command)
    assert CliRunner().invoke(app, []).exit_code == 0
    assert "Of the light." in CliRunner().invoke(app, ["--help"]).output
    assert CliRunner().invoke(app, ["--name", "y"]).exit_code == 2


@pytest.mark.parametrize("command", ["enhance", "video", "evaluate", "compare"])
def test_a_control_is_an_option_of_every_command(relume: Callable[..., Result], command: str) -> None:
    shown = relume(command, "--help").out.decode()
    for each in fields(Controls):
        assert f"--{each.name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("options", "keywords"), [(Controls, ControlKeywords), (EnhanceOptions, EnhanceKeywords)]
)
def test_keywords_are_the_fields(options: type, keywords: type) -> None:
    types = get_type_hints(options)
    assert get_type_hints(keywords).keys() == types.keys()
    assert all(get_type_hints(keywords)[name] == types[name] for name in types if name != "model")


def test_a_look_is_explained(photo: Callable[..., Path], relume: Callable[..., Result]) -> None:
    source = photo("a.png")
    said = relume("enhance", source, "--explain", "--quiet").err
    assert re.match(
        r"look: strength 1\.0, .*downsample 1, network stops \[[\d., -]+\], controls stops \[", said
    )
    assert relume("enhance", source, "--explain", "--quiet", "--strength", 0).err == (
        "look: the photo is left as it is\n"
    )
    assert relume("enhance", source, "--quiet").err == ""


def test_a_value_that_is_no_number(photo: Callable[..., Path], relume: Callable[..., Result]) -> None:
    for option in ("--strength", "--downsample"):
        assert relume("enhance", photo("a.png"), option, "much").code == ExitCode.USAGE


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for inner, found in command.commands.items():
            yield from _commands(found, f"{name} {inner}".strip())
    else:
        yield name, command


def test_a_word_is_spelled_and_used_alike_in_all_commands() -> None:
    used: dict[str, dict[tuple[object, ...], str]] = {}
    for name, command in _commands(whole()):
        for option in command.params:
            if option.param_type_name == "option":
                for word in option.opts:
                    long = option.opts[0] if len(word) == 2 else word
                    used.setdefault(word, {})[long, option.is_flag, option.metavar] = name
    assert {word: uses for word, uses in used.items() if len(uses) > 1} == {}
    assert {"--json", "--out", "--only", "--set", "--split"} <= used.keys()


def test_paragraphs_of_help_are_wrapped_by_the_terminal_alone() -> None:
    for name, command in _commands(whole()):
        assert command.help, name
        assert "\n" not in command.help.replace("\n\n", ""), name


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", ""],
        ["compare", "low", "-o", ""],
        ["export", "photo", "--to", "onnx", "-o", ""],
        ["watch", "in", "--out", ""],
        ["data", "verify", ""],
        ["train", "lol", "--data", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(relume: Callable[..., Result], arguments: list[str]) -> None:
    result = relume(*arguments)
    assert (result.code, result.err.count("\n")) == (ExitCode.USAGE, 1)
    assert "is empty. Name one" in result.err
