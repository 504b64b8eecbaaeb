"""`relume compare`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.errors import UsageError
from relume.options import DEFAULT_MODEL

if TYPE_CHECKING:
    from relume.enhancer import Enhancer
    from relume.evaluate.sheet import SheetRow


def compare(
    low: Annotated[Path, typer.Argument(help="Folder of dark photos, or one of them.")],
    high: Annotated[
        Path | None, typer.Argument(help="Targets with the same names, if there are any.")
    ] = None,
    models: Annotated[str, typer.Option(help="Models to compare, separated by commas.")] = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png or .html file.")] = Path("comparison.html"),
    limit: Annotated[int, typer.Option(help="Take this many photos only; 0 takes all.")] = 0,
) -> None:
    """Draw input, results and target side by side, with their scores, on one page."""
    from relume.cli.files import writing
    from relume.enhancer import Enhancer
    from relume.evaluate.sheet import comparison_html, comparison_png

    if out.suffix.lower() not in (".png", ".html"):
        raise UsageError(f"cannot draw '{out}'", "Give --out a name that ends in .png or .html.")
    names = [name.strip() for name in models.split(",") if name.strip()]
    columns = ["input", *names, *(["target"] if high is not None else [])]
    rows = _rows(low, high, [Enhancer(name) for name in names], limit)
    title = f"relume: {', '.join(names)}"
    draw = comparison_png if out.suffix.lower() == ".png" else comparison_html
    page = draw(rows, columns, title=title)
    with writing(out):
        out.write_bytes(page if isinstance(page, bytes) else page.encode())
    typer.echo(f"wrote {out}", err=True)


def _rows(low: Path, high: Path | None, enhancers: list[Enhancer], limit: int) -> Iterator[SheetRow]:
    from relume.cli.console import progress
    from relume.evaluate import find_pairs
    from relume.evaluate.sheet import comparison_row
    from relume.photo import read_photo
    from relume.pipeline.batch import find_inputs

    if high is not None:
        scenes = [(pair.name, pair.low, pair.high) for pair in find_pairs(low, high)]
    else:
        scenes = [(path.name, path, None) for path, _ in find_inputs([str(low)])]
    scenes = scenes[:limit] if limit else scenes
    with progress(len(scenes)) as advance:
        for name, dark, target in scenes:
            pixels = read_photo(dark).rgb_HWC
            results = [enhancer.enhance(pixels) for enhancer in enhancers]
            yield comparison_row(
                name, pixels, results, None if target is None else read_photo(target).rgb_HWC
            )
            advance()
