"""`relume compare`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from relume.cli.candidates import (
    Candidate,
    ClassicalOption,
    ModelsOption,
    NetworksOption,
    RunsOption,
    candidates,
)
from relume.errors import UsageError

if TYPE_CHECKING:
    from relume.evaluate.sheet import SheetRow

Item = TypeVar("Item")
Sheet: TypeAlias = "tuple[str, list[str], Iterator[SheetRow]]"
"""Title, names of the columns, rows."""


def compare(
    low: Annotated[
        Path, typer.Argument(help="Folder of dark photos, or one of them; or a set of pairs, both sides.")
    ],
    high: Annotated[
        Path | None, typer.Argument(help="Targets with the same names, if there are any.")
    ] = None,
    models: ModelsOption = None,
    runs: RunsOption = None,
    networks: NetworksOption = None,
    classical: ClassicalOption = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Draw the feature maps of this run of the mirror method instead."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png or .html file.")] = Path("comparison.html"),
    limit: Annotated[int, typer.Option(help="Take this many photos only; 0 takes all.")] = 0,
) -> None:
    """Draw input, results and target side by side, with their scores, on one page.

    [bold]relume compare eval15/low eval15/high --models lol -o page.html[/bold]

    [bold]relume compare LOW HIGH --features runs/iaml-cpu --limit 1 -o maps.png[/bold] shows what
    the decoder of a dark image and the teacher's of the clean one see, scale by scale.
    """
    from relume.cli.files import writing
    from relume.evaluate.sheet import comparison_html, comparison_png

    if out.suffix.lower() not in (".png", ".html"):
        raise UsageError(f"cannot draw '{out}'", "Give --out a name that ends in .png or .html.")
    if features is None:
        found = candidates(models, runs, networks, classical=classical)
        title, columns, rows = _results(low, high, found, limit)
    else:
        title, columns, rows = _features(low, high, features, limit)
    draw = comparison_png if out.suffix.lower() == ".png" else comparison_html
    page = draw(rows, columns, title=title)
    with writing(out):
        out.write_bytes(page if isinstance(page, bytes) else page.encode())
    typer.echo(f"wrote {out}", err=True)


def _results(low: Path, high: Path | None, found: Sequence[Candidate], limit: int) -> Sheet:
    from relume.evaluate.sheet import comparison_row
    from relume.photo import read_photo

    def row(name: str, dark: Path, target: Path | None) -> SheetRow:
        pixels = read_photo(dark).rgb_HWC
        results = [candidate.enhance(name, pixels) for candidate in found]
        return comparison_row(name, pixels, results, None if target is None else read_photo(target).rgb_HWC)

    names = [candidate.label for candidate in found]
    scenes = _scenes(low, high, limit)
    columns = ["input", *names, *(["target"] if scenes[0][2] else [])]
    return f"relume: {', '.join(names)}", columns, (row(*scene) for scene in _counted(scenes))


def _features(low: Path, high: Path | None, run: Path, limit: int) -> Sheet:
    from relume.cli.laboratory import require_laboratory

    require_laboratory()
    from relume.evaluate.pairs import Pair
    from relume.lab.data.paired import load_pair
    from relume.lab.features import COLUMNS, feature_rows, load_mirror

    scenes = [Pair(name, dark, target) for name, dark, target in _scenes(low, high, limit) if target]
    if not scenes:
        raise UsageError("--features needs targets: the teacher sees the clean image", "Name both folders.")
    method = load_mirror(run)
    loaded = (load_pair(pair) for pair in _counted(scenes))
    rows = (row for pair in loaded for row in feature_rows(method, pair.name, pair.low_HWC, pair.high_HWC))
    return f"relume: feature maps of {run.name}", list(COLUMNS), rows


def _scenes(low: Path, high: Path | None, limit: int) -> list[tuple[str, Path, Path | None]]:
    """Name, dark photo and target of each scene."""
    from relume.evaluate.pairs import pairs_of
    from relume.pipeline.batch import find_inputs

    scenes: list[tuple[str, Path, Path | None]]
    pairs = pairs_of(low, high)
    if pairs is not None:
        scenes = [(pair.name, pair.low, pair.high) for pair in pairs]
    else:
        scenes = [(path.name, path, None) for path, _ in find_inputs([str(low)])]
    return scenes[:limit] if limit else scenes


def _counted(items: Sequence[Item]) -> Iterator[Item]:
    """The items, with progress on stderr."""
    from relume.cli.console import progress

    with progress(len(items)) as advance:
        for item in items:
            yield item
            advance()
