"""`relume watch`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from relume.cli.options import (
    Enhancing,
    Expand,
    ExplainOption,
    JsonLinesOption,
    MaxPixelsOption,
    QuietOption,
    RecursiveOption,
    VerboseOption,
    expanded,
)
from relume.errors import ExitCode, InputUnreadable, MissingExtra, OutOfResources, UsageError, install
from relume.options import DEFAULT_MAX_PIXELS, FILES, EnhanceOptions, Saving

_PASSING = (ExitCode.INPUT_UNREADABLE, ExitCode.OUTPUT_UNWRITABLE, ExitCode.RESOURCES)
"""Of failures that may be gone later, while the photo stays the same."""

_NO_TEXT = "Unable to decode path"
"""What watchfiles says, and ends with, where a file changes whose name is not text."""


@expanded
def watch(
    folder: Annotated[Path, typer.Argument(help="The folder that photos come into.")],
    output: Annotated[
        Path, typer.Option("--out", "-o", help="The folder for results.", rich_help_panel=FILES)
    ],
    options: Enhancing = EnhanceOptions(),  # noqa: B008 - frozen
    saving: Annotated[Saving, Expand()] = Saving(),  # noqa: B008 - frozen
    recursive: RecursiveOption = False,
    settle: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=3600,
            help="Seconds that a file must have stayed the same to count as complete.",
            rich_help_panel=FILES,
        ),
    ] = 2.0,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    explain: ExplainOption = False,
    as_json: JsonLinesOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Enhance photos as they come into a folder. Inputs are never overwritten.

    [bold]relume watch camera/ -o brighter/[/bold] enhances what is there, and what comes, until Ctrl-C.

    What has a result that is not older than it is left out, so that a watch can be stopped and started again
    at any time.
    """
    from relume.cli.console import say
    from relume.cli.enhance import Lines, report, set_up, work_of
    from relume.files import check_target, make_folder
    from relume.jobs.batch import run_batch
    from relume.jobs.inputs import identity
    from relume.jobs.places import is_folder
    from relume.jobs.plan import Output
    from relume.jobs.watch import Arrivals, arriving

    require_watchfiles()
    set_up(options, verbose)
    if not is_folder(folder):
        raise InputUnreadable("this is not a folder", "Name the folder that photos come into.", path=folder)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputUnreadable("the folder cannot be read", "Change its permissions.", path=folder)
    if identity(folder) == identity(output):
        raise UsageError("results cannot go into the same folder", "Name another one with -o.", path=output)
    make_folder(output)
    check_target(output / ".relume.watch", [])
    place = Output(**asdict(saving), path=output, folder=True, max_pixels=max_pixels)
    work = work_of(options, explain, say)
    arrivals = Arrivals(settle)
    lines, done, failed = Lines(as_json), 0, 0
    try:
        for jobs in arriving(
            folder,
            place,
            _changes(folder, recursive, settle),
            recursive=recursive,
            arrivals=arrivals,
            on_error=lambda error: say(f"relume: {error}"),
        ):
            for outcome in run_batch(jobs, place, work):
                lines.add(outcome)
                report(outcome, quiet)
                if outcome.error is not None and outcome.error.exit_code in _PASSING:
                    arrivals.again(outcome.job)
                done, failed = done + (outcome.status == "ok"), failed + (outcome.status == "failed")
    except KeyboardInterrupt:
        if not quiet:
            say(f"{done} done, {failed} failed")
    lines.close()


def _changes(folder: Path, recursive: bool, settle: float) -> Iterator[bool]:
    """Whether something has changed, a few times while a file settles; at first it is taken to have.

    Raises:
        OutOfResources: the system does not tell.
    """
    import watchfiles

    while True:
        heard = watchfiles.watch(
            folder,
            watch_filter=None,
            recursive=recursive,
            rust_timeout=max(50, round(settle * 500)),
            yield_on_timeout=True,
            raise_interrupt=True,
            ignore_permission_denied=True,
        )
        try:
            for number, changes in enumerate(heard):
                yield not number or bool(changes)
            return
        except (OSError, RuntimeError) as error:
            said = " ".join(str(error).split())
            if _NO_TEXT not in said:
                raise OutOfResources(
                    f"the system does not tell of changes in the folder ({said[:100]})",
                    "Set WATCHFILES_FORCE_POLLING=1, or raise the system's limits "
                    "(fs.inotify.max_user_watches).",
                    path=folder,
                ) from error


def require_watchfiles() -> None:
    """Raises MissingExtra, with the remedy, where watchfiles is not installed."""
    try:
        import watchfiles  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingExtra("relume watch needs watchfiles", install("serve")) from error
