"""What `evaluate` and `compare` put side by side: models, runs, networks with weights, finished results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from relume.cli import completion
from relume.errors import DataError, UsageError
from relume.options import DEFAULT_MODEL, MODEL_ALONE, Controls, Downsample

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    Pixels: TypeAlias = npt.NDArray[Any]

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


@dataclass(frozen=True)
class Candidate:
    """Something that makes a result of a dark photo.

    Attributes:
        label: what tables call it.
        params: its parameters; None where that is not known.
        enhance: takes the photo's name (without suffix, composed) and its pixels, and returns the result's.
        files: what it was read from, so that no output replaces it.
        trained_on: folders or layouts that it was trained on, as far as they are known.
    """

    label: str
    params: int | None
    enhance: Callable[[str, Pixels], Pixels]
    files: tuple[Path, ...] = ()
    trained_on: tuple[str, ...] = ()


def candidates(
    models: str | None,
    runs: Sequence[Path] | None = None,
    networks: Sequence[str] | None = None,
    folder: Path | None = None,
    classical: str | None = None,
    *,
    controls: Controls = MODEL_ALONE,
    downsample: Downsample = 1,
    threads: int = 0,
) -> list[Candidate]:
    """Everything that was named, or the default model; controls and the factor are those of models.

    Raises:
        UsageError: two of the same label, or no `NAME=FILE`.
        RelumeError: what cannot be loaded.
    """
    found = [_classical(name) for name in _names(classical)]
    found += [_finished(folder)] if folder is not None else []
    found += [_network(assignment) for assignment in networks or []]
    found += [_run(run) for run in runs or []]
    names = _names(models)
    for name in names if names or found else [DEFAULT_MODEL]:
        found.append(_model(name, controls, downsample, threads))
    labels = [candidate.label for candidate in found]
    if len(set(labels)) < len(labels):
        raise UsageError(f"two of {', '.join(labels)} have one name", "Name each only once.")
    return found


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _classical(name: str) -> Candidate:
    from relume.evaluate.classical import CLASSICAL, apply_classical

    if name not in CLASSICAL:
        raise UsageError(f"no method is called '{name}'", f"Choose from: {', '.join(CLASSICAL)}.")
    return Candidate(name, 0, lambda _, pixels: apply_classical(name, pixels))


def _model(name: str, controls: Controls, downsample: Downsample, threads: int) -> Candidate:
    from relume.datasets.overlap import trained_on
    from relume.enhancer import Enhancer

    enhancer = Enhancer(name, threads=threads, downsample=downsample)
    return Candidate(
        enhancer.card.name,
        enhancer.card.params,
        lambda _, pixels: enhancer.enhance(pixels, **asdict(controls)),
        (Path(name),) if name.endswith(".json") else (),
        tuple(trained_on(enhancer.card.recipe)),
    )


def _run(run: Path) -> Candidate:
    from relume.cli.laboratory import require_laboratory

    require_laboratory()
    from relume.datasets.overlap import trained_on
    from relume.lab.run import RECIPE, WEIGHTS, load_run

    recipe, network = load_run(run)
    candidate = _of_network(run.resolve().name, network, (run / RECIPE, run / WEIGHTS))
    return replace(candidate, trained_on=tuple(trained_on(asdict(recipe))))


def _network(assignment: str) -> Candidate:
    from relume.cli.laboratory import require_laboratory

    name, separator, file = assignment.partition("=")
    if not separator:
        raise UsageError(f"'{assignment}' is no network with weights", "Write --network NAME=FILE.")
    require_laboratory()
    from relume.lab.networks import build
    from relume.lab.weights import load_weights

    network = build(name).eval()
    load_weights(Path(file), network)
    return _of_network(name, network, (Path(file),))


def _of_network(label: str, network: nn.Module, files: tuple[Path, ...]) -> Candidate:
    import torch

    from relume.evaluate.protocol import to_8_bits
    from relume.lab.networks.cost import count_parameters
    from relume.lab.training.validation import enhance_array

    cpu = torch.device("cpu")
    return Candidate(
        label,
        count_parameters(network),
        lambda _, pixels: enhance_array(network, to_8_bits(pixels), cpu),
        files,
    )


def _finished(folder: Path) -> Candidate:
    """Results that lie in a folder, by name."""
    from relume.datasets.pairs import images_by_name
    from relume.photo import read_photo

    results = images_by_name(folder)

    def read(name: str, _: Pixels) -> Pixels:
        if name not in results:
            raise DataError(f"holds no result for '{name}'", "Name a folder with all results.", path=folder)
        return read_photo(results[name]).rgb_HWC

    return Candidate(str(folder), None, read, tuple(results.values()))
