"""Many photos: what is read, where each result goes, and what became of it."""

from __future__ import annotations

import glob
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relume.errors import (
    ExitCode,
    InputTooLarge,
    InputUnreadable,
    OutputExists,
    OutputUnwritable,
    RelumeError,
    UsageError,
)
from relume.photo import FORMATS, READABLE_SUFFIXES, Photo, read_photo, write_photo
from relume.photo.formats import parse_format

MARK = ".relume"
"""Stands before the suffix of a result that lies beside its input: `night.jpg` -> `night.relume.jpg`."""

LEFT_ALONE = "pixels left as they are"
"""Noted where the strength is 0, given or found."""

_SUFFIXES = frozenset(suffix for form in FORMATS.values() for suffix in form.suffixes)


@dataclass(frozen=True)
class Output:
    """Where results go and how they are written.

    Attributes:
        path: a file for one input, else a folder; None puts `NAME.relume.EXT` beside each input.
        format: name of a format for all results; "" keeps each input's.
        quality: 1..100 for lossy formats; None for each format's default.
        strip: leave all metadata out.
        in_place: replace the inputs.
        skip_existing: leave results alone that are there already.
        max_pixels: most pixels of an input.
    """

    path: Path | None = None
    format: str = ""
    quality: int | None = None
    strip: bool = False
    in_place: bool = False
    skip_existing: bool = False
    max_pixels: int = 200_000_000

    def __post_init__(self) -> None:
        if self.in_place and (self.path is not None or self.format):
            raise UsageError("--in-place excludes --output and --format", "Choose one of them.")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"quality is {self.quality}", "Give a quality from 1 to 100.")


@dataclass(frozen=True)
class Job:
    """One photo to enhance."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        status: `ok`, `skipped` or `failed`.
        seconds: from reading to the finished file.
        width, height, bits: of the photo if `ok`; not its pixels, for a batch keeps all outcomes.
        notes: what reading or writing had to change.
        error: why it failed.
    """

    job: Job
    status: str
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    bits: int = 0
    notes: tuple[str, ...] = ()
    error: RelumeError | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat, JSON-ready record."""
        record: dict[str, Any] = {
            "input": str(self.job.source),
            "output": str(self.job.target) if self.status != "failed" else None,
            "status": self.status,
            "seconds": round(self.seconds, 3),
        }
        if self.status == "ok":
            record |= {"width": self.width, "height": self.height, "bits": self.bits}
            record["notes"] = list(self.notes)
        if self.error is not None:
            record["error"] = {
                "code": int(self.error.exit_code),
                "kind": type(self.error).__name__,
                "message": str(self.error),
            }
        return record


def find_inputs(
    patterns: Sequence[str], *, recursive: bool = False, results: Path | None = None
) -> list[tuple[Path, Path]]:
    """Expand files, folders and glob patterns to photos, each with the folder that its place is relative to.

    A folder gives the photos in it (by suffix, results of earlier runs left out), with `recursive` those of
    its folders too, except the folder of `results`. A file that is named outright is taken whatever its
    suffix.

    Raises:
        InputUnreadable: a path or pattern that matches nothing.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        if _is_folder(path):
            matches = [(photo, path) for photo in _photos_in(path, recursive, results)]
            if not matches:
                hint = "" if recursive else " Add --recursive to look into its folders."
                raise InputUnreadable(
                    "the folder holds no photo", f"Name a folder with photos.{hint}", path=path
                )
        elif glob.has_magic(pattern) and not os.path.lexists(path):
            matches = [(Path(name), Path(name).parent) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
            matches = [(photo, base) for photo, base in matches if photo.is_file()]
            if not matches:
                raise InputUnreadable("no file matches the pattern", "Check the pattern.", path=pattern)
        else:
            matches = [(path, path.parent)]
        for photo, base in matches:
            found.setdefault(photo, base)
    return list(found.items())


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - takes any name, where Path.is_dir fails with too long ones


def _photos_in(folder: Path, recursive: bool, results: Path | None) -> Iterator[Path]:
    apart = None if results is None else Path(_identity(results))
    if apart is not None and Path(_identity(folder)) not in apart.parents:
        apart = None
    try:
        found = sorted(folder.rglob("*") if recursive else folder.iterdir())
    except OSError as error:
        raise InputUnreadable(
            f"the folder cannot be read ({error.strerror})", "Check its permissions.", path=folder
        ) from error
    for path in found:
        hidden = path.name.startswith(".")
        if (
            path.suffix.lower() in READABLE_SUFFIXES
            and path.is_file()
            and not hidden
            and not path.stem.endswith(MARK)
            and apart not in Path(_identity(path)).parents
        ):
            yield path


def plan(inputs: Sequence[tuple[Path, Path]], output: Output) -> list[Job]:
    """Decide every target before anything is read; folders are mirrored below the output folder.

    Raises:
        OutputExists: a target is an input, or the target of two inputs.
        OutputUnwritable: an unknown format, or a file where a folder is needed.
    """
    single = len(inputs) == 1 and output.path is not None and _is_file_target(output.path, inputs[0])
    folder = None if single else output.path
    if folder is not None and os.path.lexists(folder) and not _is_folder(folder):
        raise OutputUnwritable("this is no folder", "Name a folder for the results.", path=folder)
    jobs = [
        Job(source, output.path if single and output.path else _target(source, base, output))
        for source, base in inputs
    ]
    jobs = _apart(jobs)
    _check_targets(jobs, output)
    return jobs


def _is_file_target(path: Path, only: tuple[Path, Path]) -> bool:
    """`-o` names a file when the one input was named as a file and `-o` looks like an image file."""
    source, base = only
    return source.parent == base and path.suffix.lower() in READABLE_SUFFIXES and not _is_folder(path)


def _target(source: Path, base: Path, output: Output) -> Path:
    if output.in_place:
        return source
    suffix = _suffix(output.format, source)
    if output.path is None:
        return source.with_name(f"{source.stem}{MARK}{suffix}")
    return output.path / source.relative_to(base).with_suffix(suffix)


def _suffix(name: str, source: Path) -> str:
    form = parse_format(name) if name else READABLE_SUFFIXES.get(source.suffix.lower())
    return source.suffix if form is None or source.suffix.lower() in form.suffixes else form.suffixes[0]


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """Photos of read-only formats get a new suffix; one that meets a namesake there keeps its old one too.

    `IMG.HEIC` and `IMG.JPG` become `IMG.HEIC.jpg` and `IMG.JPG`.
    """
    counts = Counter(_identity(job.target) for job in jobs)
    return [
        replace(
            job, target=job.target.with_name(job.target.name.replace(job.source.stem, job.source.name, 1))
        )
        if counts[_identity(job.target)] > 1 and job.source.suffix.lower() not in _SUFFIXES
        else job
        for job in jobs
    ]


def _check_targets(jobs: Iterable[Job], output: Output) -> None:
    sources = {_identity(job.source): job for job in jobs}
    targets: dict[str, Job] = {}
    for job in jobs:
        if job.target.suffix.lower() in READABLE_SUFFIXES.keys() - _SUFFIXES:
            raise OutputUnwritable(
                "HEIC and camera raw are read, not written",
                "Choose another format or output.",
                path=job.target,
            )
        target = _identity(job.target)
        if target in sources and not output.in_place:
            raise OutputExists(
                "would be overwritten, but is an input", "Add --in-place to allow it.", path=job.target
            )
        if target in targets:
            raise OutputExists(
                f"would be written twice, for {targets[target].source} and {job.source}",
                "Enhance them one by one, or into different folders.",
                path=job.target,
            )
        targets[target] = job


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def run_batch(
    jobs: Sequence[Job],
    output: Output,
    enhance: Callable[[Photo], Photo],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outcome]:
    """Enhance one job after another; one that fails does not stop the rest.

    Args:
        jobs: from `plan`.
        output: as for `plan`.
        enhance: what to do with each photo.
    """
    for job in jobs:
        if output.skip_existing and not output.in_place and os.path.exists(job.target):  # noqa: PTH110 - as above
            yield Outcome(job, "skipped")
            continue
        started = clock()
        try:
            photo, notes = _run(job, output, enhance)
        except RelumeError as error:
            error.path = error.path or job.source
            yield Outcome(job, "failed", clock() - started, error=error)
        else:
            yield Outcome(job, "ok", clock() - started, photo.width, photo.height, photo.bits, notes)


def _run(job: Job, output: Output, enhance: Callable[[Photo], Photo]) -> tuple[Photo, tuple[str, ...]]:
    photo = read_photo(job.source, max_pixels=output.max_pixels)
    try:
        enhanced = enhance(photo)
    except MemoryError as error:
        raise InputTooLarge(
            "there is not enough memory for the photo", "Take smaller tiles, such as --tile 512."
        ) from error
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(
            f"the folder cannot be made ({error.strerror})",
            "Name another output folder.",
            path=job.target.parent,
        ) from error
    by_source = output.in_place or job.target.suffix.lower() not in _SUFFIXES
    format_name = output.format or (photo.format if by_source else "")
    notes = write_photo(enhanced, job.target, format=format_name, quality=output.quality, strip=output.strip)
    unchanged = (LEFT_ALONE,) if enhanced is photo else ()
    return enhanced, (*photo.notes, *unchanged, *notes)


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """0 when all went well, the error's own code for a single photo, 11 when part of a batch failed."""
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not failed:
        return ExitCode.OK
    return failed[0].exit_code if len(outcomes) == 1 else ExitCode.BATCH_PARTLY_FAILED
