"""`relume export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.console import report
from relume.cli.laboratory import require_laboratory
from relume.errors import OutputExists
from relume.files import read_json


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the graphs and the card.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a model of this name.")] = False,
    about: Annotated[
        Path | None,
        typer.Option(
            help="JSON with the card's summary, data, terms, limits and metrics; an earlier card serves."
        ),
    ] = None,
) -> None:
    """Export a finished run as ONNX graphs with half-precision weights, and a model card."""
    require_laboratory()
    target = out / f"{name}.json"
    if target.exists() and not force:
        raise OutputExists("holds an exported model already", "Add --force to replace it.", path=target)
    from relume.lab.export import export_run

    card = export_run(run, name, out, {} if about is None else read_json(about))
    report(f"wrote the card {target} and its graphs {', '.join(card.files)}")
