"""Where what a command has measured goes: a table on stdout, JSON, a table in a file, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from relume.errors import UsageError
from relume.files import check_target, write_file


@dataclass(frozen=True)
class Outputs:
    """Options of a command.

    Attributes:
        json_file: a file for JSON; `-` is stdout, where it takes the place of the table.
        table: a file for a table, CSV or Markdown by its name.
        picture: a file for a picture.
    """

    json_file: str | None
    table: Path | None = None
    picture: Path | None = None

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse files that cannot be written, that are inputs, or that are named twice."""
        if self.table is not None and self.table.suffix not in (".md", ".csv"):
            raise UsageError(
                f"cannot write a table to '{self.table}'", "Give a name that ends in .md or .csv."
            )
        if self.picture is not None and self.picture.suffix not in (".png", ".svg"):
            raise UsageError(f"cannot draw '{self.picture}'", "Give a name that ends in .png or .svg.")
        targets = [
            Path(file) for file in (self.json_file, self.table, self.picture) if file not in (None, "-")
        ]
        if len({target.resolve() for target in targets}) < len(targets):
            raise UsageError("two outputs name one file", "Give each its own.")
        for target in targets:
            check_target(target, inputs)

    def write(
        self, text: str, markdown: str, csv: str, content: object, picture: bytes | None = None
    ) -> None:
        """Write what was asked for; the text goes to stdout unless JSON does."""
        if self.table is not None:
            write_file(self.table, csv if self.table.suffix == ".csv" else markdown)
        if self.picture is not None and picture is not None:
            write_file(self.picture, picture)
        as_json = json.dumps(content, indent=2) + "\n"
        if self.json_file not in (None, "-"):
            write_file(Path(self.json_file), as_json)
        typer.echo(as_json if self.json_file == "-" else text, nl=False)
