"""Where what a command has measured goes: a table or JSON on stdout, and files of any of their kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from relume.errors import UsageError
from relume.files import check_target, write_file

TABLES, PICTURES = (".md", ".csv"), (".png", ".svg")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, in place of text.")]
ResultsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        "-o",
        help="Write the results to a file as well, of the kind that its name tells: .json, .md or .csv; with "
        "--task or --stress also a picture, .png or .svg. May be repeated.",
    ),
]


@dataclass(frozen=True)
class Outputs:
    """Options of a command.

    Attributes:
        as_json: whether stdout gets JSON, in place of the table.
        files: JSON, tables and pictures, by their names.
        kinds: endings of names that the command has something for.
    """

    as_json: bool
    files: Sequence[Path] = ()
    kinds: Sequence[str] = (".json", *TABLES)

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse files that cannot be written, that are inputs, that are of another kind, or named twice."""
        if len({file.resolve() for file in self.files}) < len(self.files):
            raise UsageError("two outputs name one file", "Give each its own.")
        for file in self.files:
            check_target(file, inputs)
            if file.suffix not in self.kinds:
                remedy = f"Give --out a name that ends in {', '.join(self.kinds)}."
                raise UsageError(f"the results cannot be written as '{file}'", remedy)

    def write(
        self,
        text: str,
        markdown: str,
        csv: str,
        content: object,
        picture: Callable[[str], bytes] | None = None,
    ) -> None:
        """Write what was asked for; the text goes to stdout unless JSON does.

        Args:
            picture: draws one, given the ending of its file's name.
        """
        as_json = json.dumps(content, indent=2) + "\n"
        texts = {".json": as_json, ".md": markdown, ".csv": csv}
        for file in self.files:
            if picture is not None and file.suffix in PICTURES:
                write_file(file, picture(file.suffix))
            else:
                write_file(file, texts[file.suffix])
        typer.echo(as_json if self.as_json else text, nl=False)
