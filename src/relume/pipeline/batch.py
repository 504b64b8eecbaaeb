"""Many photos: what is read, where each result goes, and what became of it."""

from __future__ import annotations

import glob
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from relume.errors import (
    ExitCode,
    InputTooLarge,
    InputUnreadable,
    OutputExists,
    OutputUnwritable,
    RelumeError,
    UsageError,
)
from relume.photo import FORMATS, READABLE_SUFFIXES, Photo, encode_photo, read_photo, write_photo
from relume.photo.formats import IMAGE_SUFFIXES, TITLES, parse_format
from relume.photo.write import copy_photo, keeps_format

MARK = ".relume"
"""Stands before the suffix of a result that lies beside its input: `night.jpg` -> `night.relume.jpg`."""

_LEFT_ALONE = "left as it is"
_PIXELS_LEFT_ALONE = "pixels left as they are"

_SUFFIXES = frozenset(suffix for form in FORMATS.values() for suffix in form.suffixes)
_READ_ONLY = READABLE_SUFFIXES.keys() - _SUFFIXES
_NOT_WRITTEN = "HEIC and camera raw are read, not written"
_ELSEWHERE = "Leave out --in-place, and name another place with -o."


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
        if self.in_place and (self.path is not None or self.format or self.skip_existing):
            raise UsageError(
                "--in-place excludes --output, --format and --skip-existing", "Choose one of them."
            )
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"quality is {self.quality}", "Give a quality from 1 to 100.")
        suffix = "" if self.path is None or _is_folder(self.path) else self.path.suffix.lower()
        if self.format and suffix in IMAGE_SUFFIXES and suffix not in parse_format(self.format).suffixes:
            raise UsageError(
                f"--format {self.format} contradicts the output's name", "Change one of them.", path=self.path
            )


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


@dataclass(frozen=True)
class Result:
    """An enhanced photo on its way out.

    A photo that is left alone keeps its file byte for byte, unless something else is asked for.

    Attributes:
        photo: as it was read.
        enhanced: what became of it; `photo` itself where it is left alone.
        source: its file, or the bytes of one.
        output: how to write it.
    """

    photo: Photo
    enhanced: Photo
    source: Path | bytes
    output: Output

    def write(self, target: Path, format: str) -> tuple[str, ...]:  # noqa: A002
        """Write it, and make its folder.

        Args:
            format: as for `write_photo`.

        Returns:
            Notes on what reading or writing had to change.

        Raises:
            OutputUnwritable: what `write_photo` refuses; in place, a file that holds more than relume writes.
        """
        output = self.output
        if self._stays(target, format):
            if not output.in_place:
                _make_folder(target.parent)
                copy_photo(self.source, target)
            return (_LEFT_ALONE,)
        if output.in_place and not self.photo.stored:
            raise OutputUnwritable(_NOT_WRITTEN, _ELSEWHERE, path=target)
        if output.in_place and self.photo.several:
            raise OutputUnwritable(
                "the file holds further pictures or a video, which would be lost", _ELSEWHERE, path=target
            )
        _make_folder(target.parent)
        return self._noted(
            write_photo(
                self.enhanced,
                target,
                format=format,
                quality=output.quality,
                strip=output.strip,
                in_place=output.in_place,
            )
        )

    def encode(self) -> tuple[bytes, tuple[str, ...]]:
        """The bytes of an image file, and notes as for `write`."""
        output = self.output
        if isinstance(self.source, bytes) and self._stays(None, output.format):
            return self.source, (_LEFT_ALONE,)
        encoded, notes = encode_photo(
            self.enhanced, format=output.format, quality=output.quality, strip=output.strip
        )
        return encoded, self._noted(notes)

    def _stays(self, target: Path | None, format: str) -> bool:  # noqa: A002
        """Whether the photo's own file is the result."""
        if self.enhanced is not self.photo or self.output.strip or self.output.quality is not None:
            return False
        return keeps_format(self.photo, target, format=format)

    def _noted(self, notes: Iterable[str]) -> tuple[str, ...]:
        unchanged = (_PIXELS_LEFT_ALONE,) if self.enhanced is self.photo else ()
        return (*self.photo.notes, *unchanged, *notes)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(
            f"the folder cannot be made ({error.strerror})", "Name another output folder.", path=folder
        ) from error


OnError = Callable[[InputUnreadable], object]


def _raise(error: InputUnreadable) -> NoReturn:
    raise error


def find_inputs(
    patterns: Sequence[str],
    *,
    recursive: bool = False,
    results: Path | None = None,
    on_error: OnError = _raise,
) -> list[tuple[Path, Path]]:
    """Expand files, folders and glob patterns to photos, each with the folder that its place is relative to.

    A folder gives the photos in it (by suffix), with `recursive` those of its folders too, except the folder
    of `results`. Hidden files and folders in it are passed over; so are results of earlier runs, which a
    pattern passes over too. A file that is named outright is taken whatever its name.

    Args:
        on_error: takes what goes wrong with a path, while the others go on; raises it by default.

    Raises:
        InputUnreadable: a path or pattern that matches nothing, or a folder that may not be read.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        if _is_folder(path):
            matches = [(photo, path) for photo in _photos_in(path, recursive, results, on_error)]
        elif glob.has_magic(pattern) and not os.path.lexists(path):
            matches = [(photo, photo.parent) for photo in _photos_like(pattern, on_error)]
        else:
            matches = [(path, path.parent)]
        for photo, base in matches:
            found.setdefault(photo, base)
    return list(found.items())


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - takes any name, where Path.is_dir fails with too long ones


def _photos_like(pattern: str, on_error: OnError) -> list[Path]:
    names = (Path(name) for name in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    photos = [path for path in names if _is_file(path) and not path.stem.endswith(MARK)]
    if not photos:
        remedy = "Check the pattern; results of earlier runs do not count."
        on_error(InputUnreadable("no photo matches the pattern", remedy, path=pattern))
    return photos


def _photos_in(folder: Path, recursive: bool, results: Path | None, on_error: OnError) -> list[Path]:
    failed: list[InputUnreadable] = []
    apart = None if results is None else Path(_identity(results))
    if apart is not None and Path(_identity(folder)) not in apart.parents:
        apart = None
    photos = [
        path
        for path in _files_in(folder, recursive, failed.append)
        if path.suffix.lower() in READABLE_SUFFIXES
        and _is_file(path)
        and not path.stem.endswith(MARK)
        and apart not in Path(_identity(path)).parents
    ]
    if not photos and not failed:
        hint = "" if recursive else " Add --recursive to look into its folders."
        remedy = f"Name a folder with photos.{hint}"
        failed.append(InputUnreadable("the folder holds no photo", remedy, path=folder))
    for error in failed:
        on_error(error)
    return sorted(photos)


def _files_in(folder: Path, recursive: bool, on_error: OnError) -> Iterator[Path]:
    """Everything in a folder, or below it, that is no folder and not hidden."""

    def unreadable(error: OSError) -> None:
        reason = f"the folder cannot be read ({error.strerror})"
        on_error(InputUnreadable(reason, "Check its permissions.", path=error.filename))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_file(path: Path) -> bool:
    """Whether it is a file; where that may not be known, reading it will tell why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def without_results(inputs: Sequence[tuple[Path, Path]]) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """Part inputs from results of earlier runs that lie beside them.

    A shell's `*.jpg` names both `a.jpg` and `a.relume.jpg`.

    Returns:
        The inputs that are left, and the results.
    """
    names = {
        _identity(path.with_name(f"{name}{MARK}")) for path, _ in inputs for name in (path.stem, path.name)
    }
    results = {path: None for path, _ in inputs if _identity(path.with_name(path.stem)) in names}
    return [(path, base) for path, base in inputs if path not in results], list(results)


def not_found(error: InputUnreadable) -> Outcome:
    """What became of a path that gave no photo."""
    path = Path(error.path or "")
    return Outcome(Job(path, path), "failed", error=error)


def plan(inputs: Sequence[tuple[Path, Path]], output: Output) -> list[Job]:
    """Decide every target before anything is read; folders are mirrored below the output folder.

    Raises:
        OutputExists: a target is an input, or the target of two inputs.
        OutputUnwritable: an unknown format, or a file where a folder is needed.
        UsageError: the name of an image file, still to be made, where a folder is needed.
    """
    single = len(inputs) == 1 and output.path is not None and _is_file_target(output.path, inputs[0])
    if output.path is not None and inputs and not single:
        _check_folder(output.path)
    jobs = [
        Job(source, output.path if single and output.path else _target(source, base, output))
        for source, base in inputs
    ]
    jobs = _apart(jobs)
    _check_targets(jobs, output)
    return jobs


def _check_folder(folder: Path) -> None:
    if _is_folder(folder):
        return
    if os.path.lexists(folder):
        raise OutputUnwritable("this is no folder", "Name a folder for the results.", path=folder)
    suffix = folder.suffix.lower()
    if suffix in READABLE_SUFFIXES:
        raise UsageError(
            "this is a file's name, but the results need a folder", "Name a folder.", path=folder
        )
    if suffix in IMAGE_SUFFIXES:
        raise UsageError(f"relume writes no {suffix} files", f"Choose one of {TITLES}.", path=folder)


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
    sources = {_identity(job.source) for job in jobs}
    targets: dict[str, Job] = {}
    for job in jobs:
        target = _identity(job.target)
        if target in sources and not output.in_place:
            allowed = output.path is None and target == _identity(job.source)
            remedy = "Add --in-place to allow it." if allowed else "Name another output folder."
            raise OutputExists("would be overwritten, but is an input", remedy, path=job.target)
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
        if output.skip_existing and os.path.exists(job.target):  # noqa: PTH110 - as above
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
    if job.target.suffix.lower() in _READ_ONLY:
        remedy = _ELSEWHERE if output.in_place else "Choose another format or output."
        raise OutputUnwritable(_NOT_WRITTEN, remedy, path=job.target)
    photo = read_photo(job.source, max_pixels=output.max_pixels)
    try:
        enhanced = enhance(photo)
    except MemoryError as error:
        raise InputTooLarge(
            "there is not enough memory for the photo", "Take smaller tiles, such as --tile 512."
        ) from error
    by_source = output.in_place or job.target.suffix.lower() not in _SUFFIXES
    format_name = output.format or (photo.format if by_source else "")
    return enhanced, Result(photo, enhanced, job.source, output).write(job.target, format_name)


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """0 when all went well, the error's own code for a single photo, 11 when part of a batch failed."""
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not failed:
        return ExitCode.OK
    return failed[0].exit_code if len(outcomes) == 1 else ExitCode.BATCH_PARTLY_FAILED
