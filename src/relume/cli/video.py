"""`relume video`."""

from __future__ import annotations

import functools
import importlib
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.options import Expand, QuietOption, RecursiveOption, SkipOption, VerboseOption, expanded
from relume.cli.process import prepare
from relume.errors import DEBUG_VARIABLE, InputUnreadable, MissingExtra, UsageError, install
from relume.files import check_target, write_file
from relume.options import EnhanceOptions

if TYPE_CHECKING:
    from relume.enhancer import Enhancer
    from relume.jobs.batch import Done, Outcome
    from relume.jobs.plan import Job
    from relume.video.clip import ClipOptions, Made

_STEP = 0.2
"""Seconds between two looks at how fast the work goes."""


_DOWNSAMPLE = "Factor by which the network sees pictures reduced; auto: 2 for 1080p, 3 for 4K."


@expanded
def video(
    paths: Annotated[list[str], typer.Argument(help="Clips, folders or glob patterns.", metavar="PATH...")],
    output: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="A file for one clip, otherwise a folder. Without it: NAME.relume.EXT beside each clip. "
            "Earlier results are replaced.",
        ),
    ] = None,
    options: Annotated[EnhanceOptions, Expand(help={"downsample": _DOWNSAMPLE})] = EnhanceOptions(),  # noqa: B008 - frozen
    smooth: Annotated[
        float,
        typer.Option(
            help="Seconds ahead over which brightness is smoothed, thrice as many back; 0: not at all."
        ),
    ] = 1.0,
    average: Annotated[
        float,
        typer.Option(help="Seconds over which results are averaged where nothing moves, against grain."),
    ] = 0.0,
    start: Annotated[float, typer.Option(help="Begin so many seconds into the clip.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Take so many seconds only.")] = None,
    preview: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Take so many seconds, before and after side by side."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw brightness over time, before and after, into this .png file.")
    ] = None,
    codec: Annotated[
        str,
        typer.Option(help="h264, hevc, vp9, av1, prores or ffv1; otherwise the clip's own, or h264."),
    ] = "",
    crf: Annotated[int | None, typer.Option(help="Quality of the codec, smaller is better.")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the codec, by its own name or number.")] = "",
    format: Annotated[str, typer.Option(help="Write mp4, mov, mkv or webm.")] = "",  # noqa: A002
    recursive: RecursiveOption = False,
    skip_existing: SkipOption = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Write what can be decoded of a damaged clip.")
    ] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse clips with larger pictures.")] = 36_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per clip on stdout.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Enhance dark clips, without flicker and with their sound. Inputs are never overwritten.

    [bold]relume video night.mp4[/bold] writes night.relume.mp4.

    [bold]relume video night.mp4 --preview 10[/bold] shows ten seconds, before on the left and after on the
    right.

    [bold]relume video clips/ -o brighter/ --skip-existing[/bold] mirrors a folder and can be interrupted at
    any time.
    """
    if verbose:
        os.environ[DEBUG_VARIABLE] = "1"
    if output == "":
        raise UsageError("the output's name is empty", "Name a file or a folder with -o, or leave it out.")
    if preview is not None and duration is not None:
        raise UsageError("--preview and --duration both name a length", "Give one of them.")
    if not 0 <= smooth <= _LONGEST:
        raise UsageError(f"smooth is {smooth}", f"Give 0 to {_LONGEST:.0f} seconds.")
    if not 0 <= average <= _LONGEST:
        raise UsageError(f"average is {average}", f"Give 0 to {_LONGEST:.0f} seconds.")
    require_video()
    from relume.threads import available
    from relume.video.clip import ClipOptions
    from relume.video.encode import Encoding
    from relume.video.frames import Span

    prepare(options.threads or available())
    how = ClipOptions(
        smooth=smooth,
        average=average,
        span=Span(start, duration if preview is None else preview),
        beside=preview is not None,
        salvage=salvage,
        max_pixels=max_pixels,
        encoding=Encoding(codec, crf, preset),
        threads=options.threads or available(),
    )
    _Batch(options, how, plot, skip_existing, as_json, quiet).run(
        paths, None if output is None else Path(output), format, recursive
    )


_LONGEST = 10.0
"""Seconds to smooth over at most: pictures wait that long, in memory."""


def require_video() -> None:
    """Raises MissingExtra, with the remedy, where PyAV is not installed."""
    try:
        import av  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingExtra("relume video needs PyAV", install("video")) from error


class _Batch:
    """All clips of one command."""

    def __init__(
        self,
        options: EnhanceOptions,
        how: ClipOptions,
        plot: Path | None,
        skip_existing: bool,
        as_json: bool,
        quiet: bool,
    ) -> None:
        self._options = options
        self._how = how
        self._plot = plot
        self._skip_existing = skip_existing
        self._as_json = as_json
        self._quiet = quiet
        # Clips of one factor share a loaded model.
        self._enhancer = functools.cache(self._load)

    def run(self, paths: list[str], output: Path | None, format_name: str, recursive: bool) -> None:
        # What is heavy is loaded before the first clip, whose fault it would seem to be otherwise.
        importlib.import_module("relume.enhancer")
        importlib.import_module("relume.video.clip")
        from relume.cli.enhance import Lines, report, say_left_out
        from relume.jobs.batch import exit_code, not_found, run_jobs
        from relume.jobs.inputs import MARK, find_inputs, without_results
        from relume.video.plan import CLIPS, PREVIEW_MARK, plan_clips

        errors: list[InputUnreadable] = []
        found = find_inputs(paths, recursive=recursive, results=output, on_error=errors.append, kind=CLIPS)
        inputs, results = without_results(found, (MARK, PREVIEW_MARK))
        jobs = plan_clips(inputs, output, format_name, preview=self._how.beside, left_out=len(results))
        self._check_plot(jobs)
        if not self._quiet:
            say_left_out(results)
        outcomes: list[Outcome] = []
        lines = Lines(self._as_json)
        for outcome in chain(
            map(not_found, errors), run_jobs(jobs, self._work, skip_existing=self._skip_existing)
        ):
            outcomes.append(outcome)
            lines.add(outcome)
            report(outcome, self._quiet)
        lines.close()
        raise typer.Exit(int(exit_code(outcomes)))

    def _check_plot(self, jobs: list[Job]) -> None:
        if self._plot is None:
            return
        if len(jobs) != 1:
            raise UsageError("--plot draws one clip", "Name one clip.")
        if self._plot.suffix.lower() != ".png":
            raise UsageError(f"cannot draw a '{self._plot.suffix}' file", "Give a name that ends in .png.")
        from relume.jobs.places import local

        check_target(self._plot, [local(jobs[0].source)])

    def _load(self, factor: int) -> Enhancer:
        from relume.enhancer import load_enhancer

        wanted = self._options.downsample
        return load_enhancer(replace(self._options, downsample=factor if wanted == "auto" else wanted))

    def _work(self, job: Job) -> Done:
        from relume.files import make_folder
        from relume.jobs.batch import Done
        from relume.jobs.places import local
        from relume.video.clip import enhance_clip

        source, target = local(job.source), local(job.target)
        make_folder(target.parent)
        with _speed(source.name, self._quiet) as progress:
            made = enhance_clip(source, target, self._enhancer, self._options.controls, self._how, progress)
        self._draw(job, made)
        return Done(made.width, made.height, made.bits, made.notes, made.frames)

    def _draw(self, job: Job, made: Made) -> None:
        if self._plot is None:
            return
        from relume.evaluate.timeline import timeline_png

        told = made.brightness
        curves = {"before": told.before, "after": told.after}
        write_file(self._plot, timeline_png(told.seconds, curves, told.cuts, title=job.source.name))


@contextmanager
def _speed(name: str, quiet: bool) -> Generator[Callable[[int, int | None], None]]:
    """A bar with the time left and pictures per second; silent where stderr is not a terminal."""
    from relume.progress import bar, is_terminal

    if quiet or not is_terminal():
        yield lambda done, total: None
        return
    with bar() as shown:
        task = shown.add_task(name, total=None)
        started = last = time.perf_counter()

        def advance(done: int, total: int | None) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last < _STEP:
                return
            last = now
            speed = f"{name}  {done / (now - started):.1f} pictures per second"
            shown.update(task, completed=done, total=total, description=speed)

        yield advance
