"""`relume models`."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from relume.cli import completion
from relume.cli.outputs import JsonOption


def models(
    name: Annotated[
        str | None, typer.Argument(help="Show this model's whole card.", autocompletion=completion.models)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models: those that are shipped and, with the laboratory installed, its networks."""
    from relume.models import load_card

    if name is not None:
        typer.echo(json.dumps(asdict(load_card(name)), indent=2))
        return
    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        kind = "shipped" if row["shipped"] else "network"
        cost = f"{row['params']:>10,} parameters {row['gmacs_256']:>7.2f} GMACs"
        typer.echo(f"{row['name']:<20} {kind:<8} {cost}  {row['summary']}")


def _rows() -> list[dict[str, Any]]:
    """Models, then networks, as counted when they were last changed: PyTorch takes seconds to load."""
    from relume.models import describe_models

    rows = describe_models()
    if find_spec("torch") is None:
        return rows
    networks = json.loads(files("relume.lab").joinpath("networks.json").read_text(encoding="utf-8"))
    return rows + [{**row, "shipped": False} for row in networks]
