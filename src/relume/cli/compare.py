"""`relume compare`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from relume.cli.candidates import (
    ClassicalOption,
    ModelsOption,
    NetworksOption,
    RunsOption,
    candidates,
)
from relume.cli.console import report, say
from relume.cli.options import MEASURED, LayoutOption, LimitOption, Measuring, SplitOption, expanded
from relume.cli.process import prepare
from relume.errors import DataError, UsageError

if TYPE_CHECKING:
    from relume.datasets.selection import Selection
    from relume.evaluate.candidates import Candidate
    from relume.evaluate.sheet import SheetRow

Item = TypeVar("Item")
Scene: TypeAlias = "tuple[str, Path, Path | None]"
"""Name, dark photo, and target if there is one."""

Sheet: TypeAlias = "tuple[str, list[str], Iterator[SheetRow]]"
"""Title, names of the columns, rows."""


@expanded
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
    layout: LayoutOption = None,
    split: SplitOption = None,
    limit: LimitOption = 0,
    options: Measuring = MEASURED,
) -> None:
    """Draw input, results and target side by side, with their scores, on one page.

    Models are drawn alone; `relume enhance` adds strength auto and its guards, which options add here too,
    to models only, not to runs and networks.

    [bold]relume compare eval15/low eval15/high --models lol -o page.html[/bold]

    [bold]relume compare photos --strength auto --models lol -o page.html[/bold] needs no targets.

    [bold]relume compare LOW HIGH --features runs/iaml-cpu --limit 1 -o maps.png[/bold] shows what
    the decoder of a dark image and the teacher's of the clean one see, scale by scale; with several images
    it also says how much of the maps depends on the image at all, and how well both agree.
    """
    from relume.datasets.selection import select
    from relume.evaluate.sheet import comparison_html, comparison_png
    from relume.files import check_target, write_file

    if out.suffix.lower() not in (".png", ".html"):
        raise UsageError(f"cannot draw '{out}'", "Give --out a name that ends in .png or .html.")
    prepare()
    selected = select(low, high, split, layout).first(limit)
    if selected.note:
        say(selected.note)
    check_target(out, selected.files)
    scenes = _scenes(selected)
    if features is None:
        found = candidates(models, runs, networks, None, classical, options=options)
        title, columns, rows = _results(scenes, found)
    else:
        title, columns, rows = _features(scenes, features)
    draw = comparison_png if out.suffix.lower() == ".png" else comparison_html
    write_file(out, draw(rows, columns, title=title))
    report(f"wrote {out}")


def _results(scenes: Sequence[Scene], found: Sequence[Candidate]) -> Sheet:
    from relume.evaluate.sheet import comparison_row
    from relume.photo import read_photo

    def row(name: str, dark: Path, target: Path | None) -> SheetRow:
        pixels = read_photo(dark).rgb_HWC
        results = [candidate.enhance(name, pixels) for candidate in found]
        target_HWC = None if target is None else read_photo(target).rgb_HWC
        try:
            return comparison_row(name, pixels, results, target_HWC)
        except DataError as error:
            error.path = error.path or dark
            raise

    names = [candidate.label for candidate in found]
    columns = ["input", *names, *(["target"] if scenes[0][2] else [])]
    return f"relume: {', '.join(names)}", columns, (row(*scene) for scene in _counted(scenes))


def _features(scenes: Sequence[Scene], run: Path) -> Sheet:
    from relume.cli.laboratory import require_laboratory

    require_laboratory()
    from relume.datasets.pairs import Pair
    from relume.lab.data.paired import load_pair, read_8_bits
    from relume.lab.features import COLUMNS, feature_rows, load_mirror, map_statistics

    pairs = [Pair(name, dark, target) for name, dark, target in scenes if target]
    if not pairs:
        raise UsageError("--features needs targets: the teacher sees the clean image", "Name both folders.")
    method = load_mirror(run)
    if len(pairs) > 1:
        images = [(read_8_bits(pair.low), read_8_bits(pair.high)) for pair in pairs]
        for one in map_statistics(method, images):
            width, height = one.cells
            projected = "" if one.share is None else f", of its projection {one.share:.2%}"
            report(
                f"map of {width} x {height}: {one.raw_share:.2%} depends on the image{projected}; "
                f"correlation with the teacher's of its clean image {one.own:.2f}, of others {one.other:.2f}"
            )
    loaded = (load_pair(pair) for pair in _counted(pairs))
    rows = (row for pair in loaded for row in feature_rows(method, pair.name, pair.low_HWC, pair.high_HWC))
    return f"relume: feature maps of {run.name}", list(COLUMNS), rows


def _scenes(selected: Selection) -> list[Scene]:
    scenes: list[Scene] = [(path.name, path, None) for path in selected.photos]
    return scenes + [(pair.name, pair.low, pair.high) for pair in selected.pairs or []]


def _counted(items: Sequence[Item]) -> Iterator[Item]:
    """The items, with progress on stderr."""
    from relume.cli.console import progress

    with progress(len(items)) as advance:
        for item in items:
            yield item
            advance()
