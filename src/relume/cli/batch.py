"""`relume batch`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from relume.cli.options import (
    Expand,
    JsonLinesOption,
    MaxPixelsOption,
    QuietOption,
    RecursiveOption,
    VerboseOption,
    expanded,
)
from relume.errors import InputUnreadable, UsageError
from relume.options import DEFAULT_MAX_PIXELS, FILES, EnhanceOptions, Saving

if TYPE_CHECKING:
    from relume.jobs.batch import Outcome
    from relume.jobs.manifest import Manifest
    from relume.jobs.places import Location
    from relume.jobs.plan import Job, Output

MANIFEST = "manifest.jsonl"
_WHERE = "Where it runs"
_SPEED_ALONE = ("threads", "device", "tile")
"""Options that change no pixel by more than rounding, under which results count as the same."""

_OFFERED = tuple(each.name for each in fields(EnhanceOptions) if each.name != "engine")


@expanded
def batch(
    source: Annotated[
        str,
        typer.Argument(help="A folder, a pattern or a photo, as a path or URL.", metavar="INPUT"),
    ],
    target: Annotated[
        str, typer.Argument(help="The folder for results, as a path or URL.", metavar="OUTPUT")
    ],
    options: Annotated[EnhanceOptions, Expand(_OFFERED)] = EnhanceOptions(),  # noqa: B008 - frozen
    saving: Annotated[Saving, Expand()] = Saving(),  # noqa: B008 - frozen
    engine: Annotated[
        str,
        typer.Option(help="local: processes of this machine; ray: a Ray cluster.", rich_help_panel=_WHERE),
    ] = "local",
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=100_000,
            help="Photos at a time, each in a process with its own model; 0: as many as there is room for.",
            rich_help_panel=_WHERE,
        ),
    ] = 0,
    address: Annotated[
        str,
        typer.Option(
            help="A Ray cluster that runs: HOST:6379, or auto on one of its machines; without it one of this "
            "machine is started, and ended with the batch.",
            rich_help_panel=_WHERE,
        ),
    ] = "",
    gpus: Annotated[
        float,
        typer.Option(
            min=0, help="GPUs of a worker on Ray; 0.25 lets four share one.", rich_help_panel=_WHERE
        ),
    ] = 0.0,
    tries: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Workers that may be lost over a photo on Ray.", rich_help_panel=_WHERE
        ),
    ] = 3,
    record: Annotated[
        Path | None,
        typer.Option(
            help=f"Manifest: JSON lines, one per photo. OUTPUT/{MANIFEST} by default, if OUTPUT is a path.",
            rich_help_panel=FILES,
        ),
    ] = None,
    recursive: RecursiveOption = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    as_json: JsonLinesOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Enhance very many photos, here or on a cluster; the same command continues where it stopped.

    [bold]relume batch photos/ brighter/ -r[/bold] uses all processors of this machine.

    [bold]relume batch s3://bucket/dark s3://bucket/bright -r --engine ray --address auto --record
    night.jsonl[/bold] runs on a Ray cluster (extras cloud and ray), from bucket to bucket.

    The manifest says of each photo: path, output, size and sha256 of the result, status, exit code, error and
    seconds. What it says is done under the same options, and whose result is there, is left alone; failed
    photos are tried again.
    """
    from relume.cli.enhance import announce, follow, set_up, summarise
    from relume.jobs.batch import not_found
    from relume.jobs.inputs import find_anywhere, without_results
    from relume.jobs.places import location
    from relume.jobs.plan import Output, plan

    set_up(options, verbose)
    _check(engine, target, address, gpus)
    started = perf_counter()
    place = Output(**asdict(saving), path=location(target), folder=True, max_pixels=max_pixels, hashed=True)
    errors: list[InputUnreadable] = []
    others: list[Location] = []
    found = find_anywhere(
        [source], recursive=recursive, results=place.path, on_error=errors.append, on_image=others.append
    )
    inputs, results = without_results(found)
    jobs = plan(inputs, place)
    manifest = _opened(record, place, options)
    with closing(manifest):
        left = manifest.keep(jobs, _there(place))
        if not quiet:
            announce(inputs, results, place)
            _tell(manifest, len(jobs) - len(left))
        on = Where(engine, workers, address, gpus, tries)
        done = _recorded(on.run(left, options, place), manifest)
        tally = follow(chain(map(not_found, errors), done), len(errors) + len(left), as_json, quiet, done)
    if not quiet:
        summarise(tally, others, perf_counter() - started)
    raise typer.Exit(int(tally.exit_code))


def _check(engine: str, target: str, address: str, gpus: float) -> None:
    if not target:
        raise UsageError("the output's name is empty", "Name a folder.")
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine {engine} is unknown", "Give local or ray.")
    if engine == "local" and (address or gpus):
        raise UsageError("--address and --gpus are Ray's", "Add --engine ray, or leave them out.")


@dataclass(frozen=True)
class Where:
    """Where a batch runs; attributes as the command's options."""

    engine: str
    workers: int
    address: str
    gpus: float
    tries: int

    def run(self, jobs: Sequence[Job], options: EnhanceOptions, output: Output) -> Generator[Outcome]:
        """What becomes of each photo."""
        from relume.cli.console import say
        from relume.cli.enhance import begin_worker
        from relume.jobs.cluster import Cluster, run_on_ray
        from relume.jobs.crew import Setup, run_in_processes
        from relume.threads import available, share

        local = self.workers or available()
        threads = options.threads or (1 if self.address else share(local))
        begin = partial(begin_worker, replace(options, threads=threads), False)
        if self.engine == "local":
            return run_in_processes(jobs, output, begin, local, say)
        workers = self.workers if self.address else local
        cluster = Cluster(self.address, workers, threads, self.gpus, self.tries)
        return run_on_ray(jobs, Setup(begin, output), cluster)


def _opened(file: Path | None, output: Output, options: EnhanceOptions) -> Manifest:
    from relume.jobs.manifest import Manifest, settings_of
    from relume.jobs.places import Url
    from relume.version import __version__

    if file is None and isinstance(output.path, Url):
        raise UsageError("a batch into a URL needs a file for its manifest", "Add --record FILE.jsonl.")
    kept = {key: value for key, value in asdict(options).items() if key not in _SPEED_ALONE}
    saving = {each.name: getattr(output, each.name) for each in fields(Saving)}
    settings = settings_of({**kept, **saving, "relume": __version__})
    return Manifest.open(file or Path(str(output.path), MANIFEST), settings)


def _there(output: Output) -> set[str]:
    """Names of all results that exist; a folder that is not there yet has none."""
    from relume.jobs.places import Url, place_of

    assert output.path is not None  # noqa: S101
    errors: list[InputUnreadable] = []
    there = {str(each) for each in place_of(output.path).list(output.path, True, errors.append)}
    if errors and isinstance(output.path, Url):  # no such bucket, or no rights: better known before the work
        raise errors[0]
    return there


def _recorded(done: Generator[Outcome], manifest: Manifest) -> Generator[Outcome]:
    with closing(done):
        for outcome in done:
            manifest.add(outcome)
            yield outcome


def _tell(manifest: Manifest, done: int) -> None:
    from relume.cli.console import say

    if done:
        say(f"{manifest.path}: {done} done before, left alone")
    if manifest.others:
        say(f"{manifest.path}: {manifest.others} were done under other options, and are done again")
