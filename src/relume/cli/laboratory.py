"""What the laboratory's commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.errors import DataError, MissingExtra, install

if TYPE_CHECKING:
    from relume.lab.recipe import Recipe

BatchWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Processes that make batches; all cores but one on CUDA, else none."
    ),
]

AllowDownload = Annotated[
    bool,
    typer.Option(
        "--allow-download",
        help="Fetch the perceptual term's weights from torchvision's host if no file of them is there.",
    ),
]

DATA_VARIABLE = "RELUME_DATA"


def require_laboratory(*packages: str) -> None:
    """Raises MissingExtra unless the laboratory's dependencies are installed, or those named of them."""
    wanted = packages or ("torch", "safetensors", "pydantic")
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"the laboratory needs {', '.join(missing)}", install("lab"))


def list_named(makers: Mapping[str, Callable[[], Recipe]]) -> None:
    """Print names, and the first sentence about each."""
    for name, make in makers.items():
        typer.echo(f"{name:<20} {(make.__doc__ or '').strip().splitlines()[0]}")


def data_root(given: Path | None) -> Path:
    """The data root: as given, else from the environment.

    Raises:
        DataError: neither, or no such folder.
    """
    root = given or (Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None)
    if root is None:
        raise DataError("no data root is known", f"Name the data root, or set {DATA_VARIABLE}.")
    if not root.is_dir():
        raise DataError(
            "there is no such folder", "Unpack the data there: relume data unpack --help", path=root
        )
    return root


def data_roots(given: list[Path] | None) -> list[Path]:
    """The folders given for the data, else the data root from the environment.

    Raises:
        DataError: as `data_root`.
    """
    return [data_root(folder) for folder in given] if given else [data_root(None)]


def fetch_classifiers(recipes: Iterable[Recipe]) -> None:
    """Download the weights of perceptual terms that name no file, unless they are on this machine.

    Raises:
        ModelError, UsageError: as `relume.lab.losses.perceptual.fetch`.
    """
    from relume.lab.losses.perceptual import DEFAULT_BACKBONE, fetch

    for recipe in recipes:
        options: dict[str, Any] = recipe.method_options.get("perceptual") or {}
        if recipe.losses.get("perceptual") and not options.get("file"):
            fetch(options.get("backbone", DEFAULT_BACKBONE))
