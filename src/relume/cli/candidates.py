"""Which models, runs, networks and finished results a command puts side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli import completion
from relume.cli.laboratory import require_laboratory
from relume.cli.options import MEASURED
from relume.errors import UsageError
from relume.options import DEFAULT_MODEL, EnhanceOptions

if TYPE_CHECKING:
    from relume.evaluate.candidates import Candidate

ModelsOption = Annotated[
    str | None,
    typer.Option(
        "--models",
        "--model",
        help=f"Models, separated by commas: shipped ones by name, others by their card (.json); "
        f"{DEFAULT_MODEL} if nothing else is named.",
        autocompletion=completion.models,
    ),
]
RunsOption = Annotated[
    list[Path] | None, typer.Option("--run", help="A finished run of the laboratory; may be repeated.")
]
ClassicalOption = Annotated[
    str | None, typer.Option(help="Methods without a network, separated by commas: input, gamma, clahe.")
]
NetworksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        metavar="NAME=FILE",
        help="A network of the laboratory with weights from a file, such as a teacher; may be repeated.",
    ),
]


def candidates(
    models: str | None,
    runs: Sequence[Path] | None = None,
    networks: Sequence[str] | None = None,
    folder: Path | None = None,
    classical: str | None = None,
    *,
    options: EnhanceOptions = MEASURED,
    threads: int = 0,
) -> list[Candidate]:
    """Everything that was named, or the default model; the options are those of models.

    Raises:
        UsageError: two of the same label, or no `NAME=FILE`.
        RelumeError: what cannot be loaded.
    """
    from relume.evaluate import candidates as of

    found = [of.classical(name) for name in _names(classical)]
    found += [of.finished(folder)] if folder is not None else []
    found += _of_the_laboratory(networks or (), runs or ())
    names = _names(models)
    for name in names if names or found else [DEFAULT_MODEL]:
        found.append(of.model(name, options, threads))
    labels = [candidate.label for candidate in found]
    if len(set(labels)) < len(labels):
        raise UsageError(f"two of {', '.join(labels)} have one name", "Name each only once.")
    return found


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _of_the_laboratory(networks: Sequence[str], runs: Sequence[Path]) -> Iterator[Candidate]:
    if not networks and not runs:
        return
    named = [assignment.partition("=") for assignment in networks]
    for name, separator, _ in named:
        if not separator:
            raise UsageError(f"'{name}' is not a network with weights", "Write --network NAME=FILE.")
    require_laboratory()
    from relume.lab.candidates import of_network, of_run

    yield from (of_network(name, Path(file)) for name, _, file in named)
    yield from map(of_run, runs)
