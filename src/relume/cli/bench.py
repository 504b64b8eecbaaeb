"""`relume bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.candidates import ModelsOption
from relume.cli.console import progress
from relume.cli.options import QuietOption, sides
from relume.cli.outputs import PICTURES, TABLES, JsonOption, Outputs
from relume.options import MOST_THREADS


def bench(
    models: ModelsOption = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WxH", help="Width and height of a photo; 600x400, 1920x1080 and 4000x3000 otherwise."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=0, max=MOST_THREADS, help="CPU threads; 0 takes all that the process may use.")
    ] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each process runs, after a first time.")] = 3,
    as_json: JsonOption = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="Write the results to a file as well, of the kind that its name tells: .json, .md, .csv, or "
            "a picture, .png or .svg. May be repeated.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure what each shipped model takes here: time, memory and size, by engine and precision.

    Whole processes count, from file to file; the ratio is to a process that decodes the photo and encodes the
    result, measured in the same rounds. Medians of all rounds; leave the machine alone meanwhile.

    [bold]relume bench -o bench.csv -o bench.png[/bold] writes a file with machine and versions, and a picture
    of quality against time and against operations, with what was published of other methods.
    """
    outputs = Outputs(as_json, out or (), (".json", *TABLES, *PICTURES))
    outputs.check([])
    from relume.evaluate.bench import (
        SIZES,
        Cost,
        as_csv,
        machine,
        measure,
        picture,
        records,
        rows,
        variants,
    )
    from relume.evaluate.report import aligned, markdown_table
    from relume.threads import available

    sizes = [sides(each) for each in size] if size else SIZES
    chosen = variants(models.split(",") if models else [])
    costs: list[Cost] = []
    with progress(len(sizes), "sizes", quiet=quiet) as advance:
        for width, height in sizes:
            costs += measure(chosen, width, height, threads=threads or available(), rounds=rounds)
            advance()
    table = rows(costs)
    facts = ", ".join(f"{name} {fact}" for name, fact in machine().items())
    outputs.write(
        aligned(table) + f"{facts}\n",
        markdown_table(table) + f"\n{facts}\n",
        as_csv(costs),
        records(costs),
        lambda suffix: picture(costs, suffix),
    )
