"""What is put side by side: models, methods without a network, finished results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from relume.arrays import Numbers
from relume.datasets.overlap import trained_on
from relume.datasets.pairs import images_by_name
from relume.enhancer import Enhancer
from relume.errors import DataError, UsageError
from relume.evaluate.classical import CLASSICAL, apply_classical
from relume.options import EnhanceOptions
from relume.photo import read_photo


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
    enhance: Callable[[str, Numbers], Numbers]
    files: tuple[Path, ...] = ()
    trained_on: tuple[str, ...] = ()


def classical(name: str) -> Candidate:
    """A method of `CLASSICAL`.

    Raises:
        UsageError: no such method.
    """
    if name not in CLASSICAL:
        raise UsageError(f"no method is called '{name}'", f"Choose from: {', '.join(CLASSICAL)}.")
    return Candidate(name, 0, lambda _, pixels: apply_classical(name, pixels))


def model(name: str, options: EnhanceOptions, threads: int) -> Candidate:
    """A shipped model by name, or another by its card, with the controls, factor and precision of options.

    Raises:
        ModelError: what cannot be loaded.
    """
    enhancer = Enhancer(name, threads=threads, downsample=options.downsample, precision=options.precision)
    controls = asdict(options.controls)
    return Candidate(
        enhancer.card.name,
        enhancer.card.params,
        lambda _, pixels: enhancer.enhance(pixels, **controls),
        (Path(name),) if name.endswith(".json") else (),
        tuple(trained_on(enhancer.card.recipe)),
    )


def finished(folder: Path) -> Candidate:
    """Results that lie in a folder, by name."""
    results = images_by_name(folder)

    def read(name: str, _: Numbers) -> Numbers:
        if name not in results:
            raise DataError(f"holds no result for '{name}'", "Name a folder with all results.", path=folder)
        return read_photo(results[name]).rgb_HWC

    return Candidate(str(folder), None, read, tuple(results.values()))
