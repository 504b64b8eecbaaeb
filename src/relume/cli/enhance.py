"""`relume enhance`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.controls import (
    ColourOption,
    DenoiseOption,
    DownsampleOption,
    ExposureOption,
    HighlightOption,
    StrengthOption,
    controls,
    downsample_factor,
)
from relume.errors import InputUnreadable, OutputUnwritable, UsageError
from relume.options import DEFAULT_MAX_PIXELS, DEFAULT_MODEL, DEFAULT_TILE, Controls, EnhanceOptions

if TYPE_CHECKING:
    from relume.pipeline.batch import Outcome
    from relume.pipeline.plan import Output

STDIO = "-"


def enhance(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Photos, folders or glob patterns; - reads a photo from stdin.", metavar="PATH..."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file for one photo, otherwise a folder; - writes to stdout. "
            "Without it: NAME.relume.EXT beside each photo. Earlier results are replaced.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Model to use; `relume models` lists them.")] = DEFAULT_MODEL,
    strength: StrengthOption = "auto",
    denoise: DenoiseOption = Controls.denoise,
    exposure: ExposureOption = Controls.exposure,
    highlight_guard: HighlightOption = Controls.highlight_guard,
    colour_guard: ColourOption = Controls.colour_guard,
    format: Annotated[str, typer.Option(help="Write jpeg, png, webp, tiff or avif.")] = "",  # noqa: A002
    quality: Annotated[
        int | None, typer.Option(help="1 to 100; without it JPEG 95, WebP 90, AVIF 80.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders of folders.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave results alone that exist.")
    ] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Replace the photos themselves.")] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out EXIF, GPS, XMP, IPTC, comments and profiles.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml or directml.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    tile: Annotated[
        int,
        typer.Option(help="Side of the tiles; smaller: less memory, the same picture; 0: none."),
    ] = DEFAULT_TILE,
    downsample: DownsampleOption = "auto",
    max_pixels: Annotated[int, typer.Option(help="Refuse photos with more pixels.")] = DEFAULT_MAX_PIXELS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a photo on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Report errors only.")] = False,
) -> None:
    """Enhance dark photos. Inputs are never overwritten unless you say --in-place.

    [bold]relume enhance night.jpg[/bold] writes night.relume.jpg.

    [bold]relume enhance holiday/ -o brighter/ --recursive --skip-existing[/bold] mirrors a folder and can be
    interrupted at any time.

    [bold]curl -s URL | relume enhance - -o - > out.jpg[/bold] works in a pipe.
    """
    from relume.photo.vips import set_limits
    from relume.pipeline.plan import Output

    options = EnhanceOptions(
        **asdict(controls(strength, denoise, exposure, highlight_guard, colour_guard)),
        model=model,
        device=device,
        threads=threads,
        tile=tile,
        downsample=downsample_factor(downsample),
    )
    set_limits(threads)
    if STDIO in paths:
        if len(paths) > 1 or recursive or in_place or skip_existing or as_json:
            raise UsageError(
                "- stands for one photo and excludes other paths, "
                "--recursive, --in-place, --skip-existing and --json",
                "Name either - or paths.",
            )
        target = None if output in (None, STDIO) else Path(output)
        _through_pipe(options, Output(target, format, quality, strip, max_pixels=max_pixels), quiet)
        return
    if output == "":
        raise UsageError("the output's name is empty", "Name a file or a folder with -o, or leave it out.")
    if output == STDIO:
        raise UsageError("-o - needs the photo from stdin", "Write: relume enhance - -o - < in.jpg > out.jpg")
    folder = None if output is None else Path(output)
    _batch(
        paths,
        recursive,
        options,
        Output(folder, format, quality, strip, in_place, skip_existing, max_pixels),
        as_json,
        quiet,
    )


def _through_pipe(options: EnhanceOptions, output: Output, quiet: bool) -> None:
    from relume.cli.console import emit, say
    from relume.enhancer import load_enhancer
    from relume.photo import read_photo
    from relume.photo.read import MAX_BYTES
    from relume.pipeline.batch import Result

    if output.path is None and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("stdout is a terminal", "Add -o FILE, or redirect stdout.")
    if sys.stdin is None:
        raise InputUnreadable("cannot be read (it is closed)", "Redirect it.", path="stdin")
    # One byte beyond the limit is enough to be refused; an endless stream is not read to its end.
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    photo = read_photo(data, max_pixels=output.max_pixels)
    enhancer = load_enhancer(options)
    result = Result(photo, enhancer.enhance(photo, **asdict(options.controls)), data, output)
    if output.path is not None:
        notes = result.write(output.path, output.format)
    else:
        encoded, notes = result.encode()
        emit(encoded)
    for note in () if quiet else notes:
        say(note)


def _batch(
    paths: list[str], recursive: bool, options: EnhanceOptions, output: Output, as_json: bool, quiet: bool
) -> None:
    from relume.cli.console import progress, say
    from relume.enhancer import load_enhancer
    from relume.pipeline.batch import exit_code, not_found, run_batch
    from relume.pipeline.inputs import find_inputs, without_results
    from relume.pipeline.plan import plan

    errors: list[InputUnreadable] = []
    found = find_inputs(paths, recursive=recursive, results=output.path, on_error=errors.append)
    inputs, results = without_results(found)
    jobs = plan(inputs, output)
    if results and not quiet:
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        say(f"{results[0]}{more} left out: results of other inputs")
    enhancer = load_enhancer(options)
    outcomes: list[Outcome] = []
    lines = _Lines(as_json)
    total = len(errors) + len(jobs)
    with progress(total, quiet=quiet or total == 1) as advance:
        for outcome in chain(
            map(not_found, errors),
            run_batch(jobs, output, lambda photo: enhancer.enhance(photo, **asdict(options.controls))),
        ):
            outcomes.append(outcome)
            lines.add(outcome)
            _report(outcome, quiet)
            advance()
    lines.close()
    raise typer.Exit(int(exit_code(outcomes)))


class _Lines:
    """JSON lines on stdout; one that cannot be written is told at the end, when the photos are done."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._error: OutputUnwritable | None = None

    def add(self, outcome: Outcome) -> None:
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


def _report(outcome: Outcome, quiet: bool) -> None:
    from relume.cli.console import say

    if outcome.error is not None:
        say(f"relume: {outcome.error}")
    elif not quiet:
        arrow = f"{outcome.job.source} -> {outcome.job.target}"
        detail = "exists, skipped" if outcome.status == "skipped" else f"{outcome.seconds:.2f} s"
        say("; ".join((f"{arrow}  {detail}", *outcome.notes)))
