"""What `relume prune` and `relume search` share: what a network's time is measured with, and the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.console import report
from relume.cli.options import sides
from relume.cli.outputs import PICTURES, TABLES, Outputs
from relume.options import ENGINES, MOST_THREADS
from relume.private import lend_folder_to_matplotlib

if TYPE_CHECKING:
    from relume.lab.trials import Clock, Trial

DataOption = Annotated[
    list[Path] | None,
    typer.Option("--data", help="Data root, or part of a pack; RELUME_DATA otherwise. May be repeated."),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", help="Folder of the runs, from which the same command resumes.")
]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; may be repeated."),
]
SizeOption = Annotated[
    str, typer.Option(metavar="WxH", help="Width and height of the photo whose time is measured.")
]
EngineOption = Annotated[str, typer.Option(help=f"What runs the exported graphs: {' or '.join(ENGINES)}.")]
ThreadsOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="CPU threads of the engine. With 1 it is processor time that counts.",
    ),
]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="CSV", help="Show these results, train nothing."),
]
ResultsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        "-o",
        help="Write the results to a file as well, of the kind that its name tells: .json, .md, .csv, or a "
        "picture, .png or .svg. May be repeated.",
    ),
]


def results_to(out: list[Path] | None, *, as_json: bool) -> Outputs:
    """Where results go.

    Raises:
        UsageError, OutputUnwritable: as `Outputs.check`.
    """
    outputs = Outputs(as_json, out or (), (".json", *TABLES, *PICTURES))
    outputs.check([])
    return outputs


def clock(folder: Path, engine: str, size: str, threads: int) -> Clock:
    """What measures, with its figures kept in the folder of the runs.

    Raises:
        UsageError: no such engine, or no size.
    """
    from relume.errors import UsageError
    from relume.lab.trials import Clock

    if engine not in ENGINES:
        raise UsageError(f"no engine is called '{engine}'", f"Choose {' or '.join(ENGINES)}.")
    width, height = sides(size)
    return Clock(folder / "costs.json", engine, width, height, threads)


def gathered(
    trials: Iterable[Trial],
    outputs: Outputs,
    rows: Callable[[Sequence[Trial]], list[list[str]]],
    picture: Callable[[Sequence[Trial], str], bytes],
    *,
    quiet: bool,
) -> list[Trial]:
    """All trials, each reported when it is finished; what there is is written, also when they are cut off."""
    done: list[Trial] = []
    try:
        for one in trials:
            done.append(one)
            said = (
                f"{one.psnr:.2f} dB, GT-mean {one.psnr_gt_mean:.2f} dB, SSIM {one.ssim:.4f}, {one.ms:.0f} ms"
            )
            report(f"{one.stage} {one.name}, seed {one.seed}: {said}", quiet=quiet)
    finally:
        if done:
            write_trials(outputs, done, rows, picture)
    return done


def write_trials(
    outputs: Outputs,
    trials: Sequence[Trial],
    rows: Callable[[Sequence[Trial]], list[list[str]]],
    picture: Callable[[Sequence[Trial], str], bytes],
) -> None:
    """A table on stdout, or JSON, and the files that were asked for."""
    from relume.evaluate.report import aligned, markdown_table
    from relume.lab.trials import as_csv

    lend_folder_to_matplotlib()
    table = rows(trials)
    outputs.write(
        aligned(table),
        markdown_table(table),
        as_csv(trials),
        [asdict(trial) for trial in trials],
        lambda suffix: picture(trials, suffix),
    )
