"""`relume study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relume.cli.outputs import JsonOption
from relume.errors import UsageError

MAKING, SCORING = "Making a study", "Scoring it"

_NAMED = 5
"""Photos that a line names, at most."""


def study(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHEET|FILES",
            help="A folder with one folder of results per method and the same file names in each (one called "
            "input holds the dark photos); with --score, files of answers.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the page; with --score a picture, .png or .svg."),
    ] = None,
    asked: Annotated[
        int, typer.Option(min=1, help="Comparisons for each visitor.", rich_help_panel=MAKING)
    ] = 40,
    checks: Annotated[
        int,
        typer.Option(min=0, help="Further comparisons in which one side is spoilt.", rich_help_panel=MAKING),
    ] = 4,
    score: Annotated[
        bool, typer.Option("--score", help="Fit scores to answers.", rich_help_panel=SCORING)
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="The .key.json beside the study.", rich_help_panel=SCORING)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask people blindly which of two results is better, and fit scores to their answers.

    [bold]relume study SHEET -o study[/bold] writes a page for any host of files, and study.key.json beside
    it, which says whose each picture is. Visitors save their answers as a file; nothing is sent.

    [bold]relume study --score anna.json ben.json --key study.key.json -o scores.png[/bold] prints
    Bradley-Terry scores with 95 % intervals over the photos.
    """
    if score:
        _score(paths, key, out, as_json=as_json)
        return
    if len(paths) != 1 or out is None or key is not None or as_json:
        raise UsageError("this makes no study", "Give one SHEET and --out; to score answers add --score.")
    from relume.evaluate.study.sheet import make_study
    from relume.photo.vips import set_limits

    set_limits()
    made = make_study(paths[0], out, asked=asked, checks=checks)
    told = f"{made.pairs} comparisons and {made.checks} checks"
    typer.echo(f"wrote {out} with {told}, and its key {made.key}", err=True)
    if made.left_out:
        some = ", ".join(made.left_out[:_NAMED]) + (" ..." if len(made.left_out) > _NAMED else "")
        typer.echo(f"left out, as not every folder has them: {len(made.left_out)} ({some})", err=True)


def _score(files: list[Path], key: Path | None, out: Path | None, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from relume.cli.outputs import PICTURES
    from relume.evaluate.study.scores import as_table, picture, score_study
    from relume.files import check_target, write_file

    if key is None:
        raise UsageError("answers are scored with the key of their study", "Give --key study.key.json.")
    if out is not None:
        if out.suffix not in PICTURES:
            raise UsageError(
                f"scores cannot be drawn as '{out}'", "Give --out a name that ends in .png or .svg."
            )
        check_target(out, [*files, key])
    found = score_study(key, files)
    typer.echo(json.dumps(asdict(found), indent=2) + "\n" if as_json else as_table(found), nl=False)
    if out is not None:
        write_file(out, picture(found, out.suffix))
