"""`relume doctor`."""

from __future__ import annotations

import json
from typing import Any

import typer

from relume.cli.outputs import JsonOption
from relume.errors import ExitCode


def doctor(as_json: JsonOption = False) -> None:
    """Show versions and devices, load every package, write and read a small picture in every format, and
    enhance it with every model, to see that all works.
    """
    from relume.doctor import exit_code, installed, tried

    facts = installed()
    if not as_json:
        _show_versions(facts)
    results = tried(facts["packages"])
    if as_json:
        typer.echo(json.dumps(facts | results, indent=2))
    else:
        _show_results(results)
    code = exit_code(results)
    if code is not ExitCode.OK:
        raise typer.Exit(int(code))


def _show_versions(facts: dict[str, Any]) -> None:
    typer.echo(f"relume {facts['relume']}, Python {facts['python']}, {facts['platform']}")
    for package, version in facts["packages"].items():
        typer.echo(f"  {package:<17} {version or 'not installed'}")
    for extra, state in facts["extras"].items():
        typer.echo(f"extra {extra}: {state}")


def _show_results(results: dict[str, Any]) -> None:
    for package, fault in results["faults"].items():
        typer.echo(f"{package}: {fault}")
    if not results["devices"]:
        typer.echo("devices, formats and models: not tried without these packages")
        return
    typer.echo(f"devices: {', '.join(results['devices'])}")
    for kind in ("format", "model"):
        for name, result in results[f"{kind}s"].items():
            typer.echo(f"{kind} {name}: {result}")
