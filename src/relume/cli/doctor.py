"""`relume doctor`."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from relume.errors import ExitCode, RelumeError
from relume.version import __version__

_PACKAGES = ("numpy", "onnxruntime", "pyvips", "torch", "safetensors", "pi-heif", "rawpy")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """Show versions and devices, and enhance a small picture with every model to see that all works."""
    report = {"relume": __version__, "python": platform.python_version(), "platform": platform.platform()}
    facts: dict[str, Any] = {**report, "packages": _versions(), "devices": _devices(), "models": _self_test()}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _show(facts)
    if any(result != "ok" for result in facts["models"].values()) or not facts["models"]:
        raise typer.Exit(int(ExitCode.MODEL))


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _devices() -> list[str]:
    from relume.engine import available_devices

    return available_devices()


def _self_test() -> dict[str, str]:
    """Each model brightens a dark gradient, keeps its size, and gives the same in tiles."""
    import numpy as np

    from relume.enhancer import Enhancer
    from relume.zoo import list_models

    ramp = np.linspace(2, 40, 200 * 220, dtype=np.float32).reshape(200, 220, 1)
    dark = np.repeat(ramp.astype(np.uint8), 3, axis=2)
    results: dict[str, str] = {}
    for name in list_models():
        try:
            whole = Enhancer(name, tile=0).enhance(dark).astype(int)
            tiled = Enhancer(name, tile=64).enhance(dark).astype(int)
        except RelumeError as error:
            results[name] = str(error)
            continue
        sound = whole.shape == dark.shape and whole.mean() > dark.mean() and abs(whole - tiled).max() <= 1
        results[name] = "ok" if sound else "wrong result; install relume again"
    return results


def _show(facts: dict[str, Any]) -> None:
    typer.echo(f"relume {facts['relume']}, Python {facts['python']}, {facts['platform']}")
    for package, version in facts["packages"].items():
        typer.echo(f"  {package:<12} {version or 'not installed'}")
    typer.echo(f"devices: {', '.join(facts['devices'])}")
    for model, result in facts["models"].items():
        typer.echo(f"model {model}: {result}")
