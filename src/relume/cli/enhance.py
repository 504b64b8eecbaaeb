"""`relume enhance`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.options import (
    Enhancing,
    Expand,
    ExplainOption,
    JsonLinesOption,
    MaxPixelsOption,
    QuietOption,
    RecursiveOption,
    SkipOption,
    VerboseOption,
    WorkersOption,
    expanded,
)
from relume.cli.process import prepare
from relume.errors import (
    DEBUG_VARIABLE,
    InputUnreadable,
    OutputUnwritable,
    RelumeError,
    UsageError,
    as_failure,
)
from relume.options import DEFAULT_MAX_PIXELS, FILES, EnhanceOptions, Saving

if TYPE_CHECKING:
    from relume.jobs.batch import Outcome, Tally
    from relume.jobs.places import Location
    from relume.jobs.plan import Job, Output
    from relume.photo import Photo

STDIO = "-"
_SEPARATORS = ("/", os.sep)
_LEAST_TILE = 64
"""Side below which a tile's surroundings cost far more than the tile."""

_NAMED = 5
"""Images that a line names, at most."""


@expanded
def enhance(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Photos, folders or glob patterns, as paths or URLs (s3://bucket/folder, gs://, az://, "
            "sftp://, zip://FOLDER::ARCHIVE.zip); - reads a photo from stdin.",
            metavar="PATH...",
        ),
    ],
    options: Enhancing = EnhanceOptions(),  # noqa: B008 - frozen
    output: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="A file for one photo, otherwise a folder, as a path or URL; - writes to stdout. "
            "Without it: NAME.relume.EXT beside each photo. Earlier results are replaced.",
            rich_help_panel=FILES,
        ),
    ] = None,
    saving: Annotated[Saving, Expand()] = Saving(),  # noqa: B008 - frozen
    recursive: RecursiveOption = False,
    skip_existing: SkipOption = False,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace the photos themselves.", rich_help_panel=FILES)
    ] = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    workers: WorkersOption = 0,
    explain: ExplainOption = False,
    as_json: JsonLinesOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Enhance dark photos. Inputs are never overwritten unless you say --in-place.

    [bold]relume enhance night.jpg[/bold] writes night.relume.jpg.

    [bold]relume enhance holiday/ -o brighter/ --recursive --skip-existing[/bold] mirrors a folder and can be
    interrupted at any time.

    [bold]relume enhance s3://bucket/dark -o s3://bucket/bright -r --skip-existing --workers 2[/bold] does so
    from bucket to bucket (extra cloud, and s3fs); each result appears whole or not at all.

    [bold]curl -s URL | relume enhance - -o - > out.jpg[/bold] works in a pipe.
    """
    set_up(options, verbose)
    from relume.jobs.places import location
    from relume.jobs.plan import Output

    if output == "":
        raise UsageError("the output's name is empty", "Name a file or a folder with -o, or leave it out.")
    to_stdout = output == STDIO or (output is None and STDIO in paths)
    place = Output(
        **asdict(saving),
        path=None if output is None or to_stdout else location(output),
        in_place=in_place,
        skip_existing=skip_existing,
        max_pixels=max_pixels,
        folder=bool(output) and output[-1] in _SEPARATORS,
        again=options.strength != "auto" or options.exposure is not None,
    )
    if to_stdout or STDIO in paths:
        if len(paths) > 1 or recursive or in_place or skip_existing or as_json:
            raise UsageError(
                "- stands for one photo and excludes other paths, "
                "--recursive, --in-place, --skip-existing and --json",
                "Name either - or paths.",
            )
        _single(paths[0], options, place, explain, quiet)
    else:
        _batch(paths, recursive, options, place, workers, explain, as_json, quiet)


def set_up(options: EnhanceOptions, verbose: bool) -> None:
    """Set the process up for photos.

    Raises:
        UsageError: tiles too small to be of use.
    """
    from relume.threads import available

    if verbose:
        os.environ[DEBUG_VARIABLE] = "1"
    if 0 < options.tile < _LEAST_TILE:
        raise UsageError(
            f"--tile {options.tile} would take many times as long",
            f"Give at least {_LEAST_TILE}, or 0 for the whole photo at once.",
        )
    prepare(options.threads or available())


def _single(source: str, options: EnhanceOptions, output: Output, explain: bool, quiet: bool) -> None:
    """One photo from stdin or to stdout.

    Raises:
        RelumeError: whatever it fails in.
    """
    from relume.cli.console import say
    from relume.jobs.batch import naming_bytes

    if output.path is None and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("stdout is a terminal", "Add -o FILE, or redirect stdout.")
    if source == STDIO and sys.stdin is None:
        raise InputUnreadable("cannot be read (it is closed)", "Redirect it.", path="stdin")
    name = "stdin" if source == STDIO else source
    try:
        with naming_bytes(name):
            notes = _enhanced(source, options, output, explain)
    except RelumeError:
        raise
    except Exception as error:
        raise as_failure(error, name) from error
    for note in () if quiet else notes:
        say(note)


def _enhanced(source: str, options: EnhanceOptions, output: Output, explain: bool) -> tuple[str, ...]:
    from relume.cli.console import emit, say
    from relume.files import read_at_most
    from relume.jobs.batch import Result
    from relume.jobs.places import location, place_of
    from relume.photo import read_photo
    from relume.photo.read import MAX_BYTES
    from relume.threads import begun

    # A byte beyond the limit is enough to be refused; an endless stream is not read to its end.
    if source == STDIO:
        data = read_at_most(sys.stdin.buffer, MAX_BYTES + 1)
    else:
        where = location(source)
        data = place_of(where).read(where)
    reading = begun(lambda: read_photo(data, max_pixels=output.max_pixels))
    work = work_of(options, explain, say)
    photo = reading()
    result = Result(photo, work(photo), data, output)
    if output.path is not None:
        return result.write(output.path, output.format).notes
    encoded, notes = result.encode()
    emit(encoded)
    return notes


def work_of(options: EnhanceOptions, explain: bool, say: Callable[[str], object]) -> Callable[[Photo], Photo]:
    """What is done with each photo, by a model that is loaded now; with `explain`, said beforehand."""
    from relume.enhancer import load_enhancer

    enhancer = load_enhancer(options)

    def work(photo: Photo) -> Photo:
        look = enhancer.decide(photo, options.controls)
        if explain:
            say(str(look))
        return enhancer.render(photo, look)

    return work


def _batch(
    paths: list[str],
    recursive: bool,
    options: EnhanceOptions,
    output: Output,
    workers: int,
    explain: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from relume.jobs.batch import not_found
    from relume.jobs.inputs import find_anywhere, without_results
    from relume.jobs.plan import plan

    started = perf_counter()
    errors: list[InputUnreadable] = []
    others: list[Location] = []
    found = find_anywhere(
        paths, recursive=recursive, results=output.path, on_error=errors.append, on_image=others.append
    )
    inputs, results = without_results(found)
    jobs = plan(inputs, output, left_out=len(results))
    if not quiet:
        announce(inputs, results, output)
    done = _done(jobs, options, output, workers, explain)
    tally = follow(chain(map(not_found, errors), done), len(errors) + len(jobs), as_json, quiet, done)
    if not quiet:
        summarise(tally, others, perf_counter() - started)
    raise typer.Exit(int(tally.exit_code))


def follow(
    outcomes: Iterable[Outcome], total: int, as_json: bool, quiet: bool, work: Generator[Outcome]
) -> Tally:
    """Tell what becomes of each photo as it is known, and count it.

    Args:
        work: what is to end, whatever happens here.

    Raises:
        OutputUnwritable: a JSON line could not be written; the work is done all the same.
    """
    from relume.cli.console import progress
    from relume.jobs.batch import Tally

    tally, lines = Tally(), Lines(as_json)
    with progress(total, quiet=quiet or total == 1) as advance, closing(work):
        for outcome in outcomes:
            tally.add(outcome)
            lines.add(outcome)
            report(outcome, quiet)
            advance()
    lines.close()
    return tally


def _done(
    jobs: Sequence[Job], options: EnhanceOptions, output: Output, workers: int, explain: bool
) -> Generator[Outcome]:
    """What becomes of each photo, in this process or in as many as are wanted."""
    from relume.cli.console import say
    from relume.jobs.batch import read_first, run_batch

    if not workers:
        read = read_first(jobs, output)
        return run_batch(jobs, output, work_of(options, explain, say), read)
    from relume.jobs.crew import run_in_processes
    from relume.threads import share

    threads = options.threads or share(workers)
    begin = partial(begin_worker, replace(options, threads=threads), explain)
    return run_in_processes(jobs, output, begin, workers, say)


def begin_worker(
    options: EnhanceOptions, explain: bool, say: Callable[[str], object]
) -> Callable[[Photo], Photo]:
    """What a worker does with each photo; it ends by SIGTERM as a command does, tidily."""
    from relume.cli import interrupt

    signal.signal(signal.SIGTERM, interrupt)
    prepare(options.threads)
    return work_of(options, explain, say)


def announce(
    inputs: Sequence[tuple[Location, Location]], results: Sequence[Location], output: Output
) -> None:
    """Say what is not plain from the command: inputs left out, and a folder that looks like a file."""
    from relume.cli.console import say
    from relume.jobs.places import is_folder
    from relume.jobs.plan import names_file

    say_left_out(results)
    folder = output.path
    if folder is not None and folder.suffix and not is_folder(folder) and not names_file(inputs, output):
        say(f"{folder}: a new folder for the results, as relume writes no {folder.suffix} files")


def say_left_out(results: Sequence[Location]) -> None:
    """Say which inputs are results of others, and so are none."""
    from relume.cli.console import say

    if results:
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        say(f"{results[0]}{more} left out: results of other inputs")


def summarise(tally: Tally, others: Sequence[Location], seconds: float) -> None:
    """One line about a batch, and one about images in its folders that relume cannot read."""
    from relume.cli.console import say

    if others:
        names = ", ".join(map(str, others[:_NAMED])) + (", ..." if len(others) > _NAMED else "")
        say(f"{len(others)} image(s) of formats that relume does not read: {names}")
    if tally.counts.total() > 1:
        say(f"{tally}; {seconds:.1f} s")


class Lines:
    """JSON lines on stdout; one that cannot be written is told at the end, when the work is done."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._error: OutputUnwritable | None = None

    def add(self, outcome: Outcome) -> None:
        """Print a line."""
        from relume.cli.console import emit

        if not self._wanted or self._error is not None:
            return
        try:
            emit(json.dumps(outcome.to_json()).encode() + b"\n")
        except OutputUnwritable as error:
            self._error = error

    def close(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


def report(outcome: Outcome, quiet: bool) -> None:
    """Tell on stderr what became of an input."""
    from relume.cli.console import say, say_where

    if outcome.error is not None:
        say(f"relume: {outcome.error}")
        say_where(outcome.error)
    elif not quiet:
        arrow = f"{outcome.job.source} -> {outcome.job.target}"
        detail = "exists, skipped" if outcome.status == "skipped" else f"{outcome.seconds:.2f} s"
        if outcome.frames is not None and outcome.seconds > 0:
            detail += f", {outcome.frames} pictures, {outcome.frames / outcome.seconds:.1f} per second"
        say("; ".join((f"{arrow}  {detail}", *outcome.notes)))
