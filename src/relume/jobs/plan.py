"""Where each result goes, decided before anything is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import NoReturn

from relume.errors import OutputExists, OutputUnwritable, UsageError
from relume.jobs.inputs import MARK, identity, keys
from relume.jobs.places import Location, Url, check_writable, is_folder, named
from relume.options import DEFAULT_MAX_PIXELS, Saving
from relume.photo import FORMATS, READABLE_SUFFIXES
from relume.photo.formats import IMAGE_SUFFIXES, TITLES, parse_format

ELSEWHERE = "Leave out --in-place, and name another place with -o."
WRITABLE_SUFFIXES = frozenset(suffix for form in FORMATS.values() for suffix in form.suffixes)
READ_ONLY = READABLE_SUFFIXES.keys() - WRITABLE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class Output(Saving):
    """Where results go and how they are saved.

    Attributes:
        path: a file for one input, else a folder; None puts `NAME.relume.EXT` beside each input.
        folder: `path` is a folder, whatever it looks like.
        in_place: replace the inputs.
        again: in place, enhance also what was enhanced in place before.
        skip_existing: leave results alone that are there already.
        max_pixels: most pixels of an input.
        hashed: tell size and hash of each result.
    """

    path: Location | None = None
    in_place: bool = False
    skip_existing: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    folder: bool = False
    again: bool = False
    hashed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.in_place and (self.path is not None or self.format or self.skip_existing):
            raise UsageError("--in-place excludes --out, --format and --skip-existing", "Choose one of them.")
        if self.path is None:
            return
        check_writable(self.path)
        suffix = "" if self.folder or not self.format else self.path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES or suffix in parse_format(self.format).suffixes:
            return
        if not is_folder(self.path):
            raise UsageError(
                f"--format {self.format} contradicts the output's name",
                "Change one of them.",
                path=named(self.path),
            )


@dataclass(frozen=True)
class Job:
    """One photo to enhance."""

    source: Location
    target: Location


OnConflict = Callable[[Job, OutputExists], object]


def _raise(_: Job, error: OutputExists) -> NoReturn:
    raise error


def plan(
    inputs: Sequence[tuple[Location, Location]],
    output: Output,
    *,
    left_out: int = 0,
    on_conflict: OnConflict = _raise,
) -> list[Job]:
    """Decide every target before anything is read; folders are mirrored below the output folder.

    Args:
        left_out: how many more inputs were named, which are no photos to enhance.
        on_conflict: as for `check_targets`.

    Raises:
        OutputExists: a target is an input, or the target of two inputs.
        OutputUnwritable: an unknown format, or a file where a folder is needed.
        UsageError: the name of an image file, still to be made, where a folder is needed; or URLs in place.
    """
    elsewhere = [source for source, _ in inputs if isinstance(source, Url)]
    if output.in_place and elsewhere:
        raise UsageError("photos at URLs are not replaced in place", ELSEWHERE, path=str(elsewhere[0]))
    single = names_file(inputs, output) and not left_out
    if output.path is not None and inputs and not single:
        _check_folder(output.path, output.folder)
    jobs = [
        Job(source, output.path if single and output.path else _target(source, base, output))
        for source, base in inputs
    ]
    jobs = _once(jobs) if output.in_place else _apart(jobs)
    return check_targets(jobs, in_place=output.in_place, on_conflict=on_conflict)


def names_file(inputs: Sequence[tuple[Location, Location]], output: Output) -> bool:
    """Whether the output's path is that of a file: for one input that was named as a file, if it looks so."""
    if len(inputs) != 1 or output.path is None or output.folder:
        return False
    source, base = inputs[0]
    looks_so = output.path.suffix.lower() in READABLE_SUFFIXES and not is_folder(output.path)
    return looks_so and source.parent == base


def _check_folder(folder: Location, whatever: bool) -> None:
    if is_folder(folder):
        return
    if not isinstance(folder, Url) and os.path.lexists(folder):
        raise OutputUnwritable("this is not a folder", "Name a folder for the results.", path=folder)
    if whatever:
        return
    suffix = folder.suffix.lower()
    if suffix in READABLE_SUFFIXES:
        raise UsageError(
            "this is a file's name, but the results need a folder", "Name a folder.", path=named(folder)
        )
    if suffix in IMAGE_SUFFIXES:
        raise UsageError(f"relume writes no {suffix} files", f"Choose one of {TITLES}.", path=named(folder))


def _target(source: Location, base: Location, output: Output) -> Location:
    if output.in_place:
        return source
    suffix = _suffix(output.format, source)
    if output.path is None:
        return source.with_name(f"{source.stem}{MARK}{suffix}")
    return output.path / _below(source, base).with_suffix(suffix)


def _below(source: Location, base: Location) -> PurePath:
    """A photo's place, seen from the folder that it was found in."""
    if isinstance(source, Url):
        return source.path.relative_to(base.path if isinstance(base, Url) else "")
    return source.relative_to(base if isinstance(base, Path) else "")


def _suffix(name: str, source: Location) -> str:
    form = parse_format(name) if name else READABLE_SUFFIXES.get(source.suffix.lower())
    return source.suffix if form is None or source.suffix.lower() in form.suffixes else form.suffixes[0]


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """Photos of read-only formats get a new suffix; one that meets a namesake there keeps its old one too.

    `IMG.HEIC` and `IMG.JPG` become `IMG.HEIC.jpg` and `IMG.JPG`.
    """
    names = [identity(job.target) for job in jobs]
    counts = Counter(names)
    return [
        replace(
            job, target=job.target.with_name(job.target.name.replace(job.source.stem, job.source.name, 1))
        )
        if counts[name] > 1 and job.source.suffix.lower() not in WRITABLE_SUFFIXES
        else job
        for job, name in zip(jobs, names, strict=True)
    ]


def _once(jobs: Iterable[Job]) -> list[Job]:
    """Each file once, where links lead to it under several names; by its own name, if that is among them."""
    kept: dict[str, Job] = {}
    for job in jobs:
        key = identity(job.target)
        if key not in kept or (_is_link(kept[key].target) and not _is_link(job.target)):
            kept[key] = job
    return list(kept.values())


def _is_link(path: Location) -> bool:
    return not isinstance(path, Url) and path.is_symlink()


def check_targets(
    jobs: Iterable[Job], *, in_place: bool = False, on_conflict: OnConflict = _raise
) -> list[Job]:
    """Refuse to write over inputs, or twice into one file.

    Args:
        in_place: a target may be an input.
        on_conflict: takes a job that is refused, and why, while the others continue; raises it by default.

    Returns:
        The jobs that are not refused.

    Raises:
        OutputExists: a target is an input, or the target of two inputs.
    """
    jobs = list(jobs)
    sources = {key for job in jobs if not in_place for key in keys(job.source)}
    targets: dict[object, Job] = {}
    for job in jobs:
        target, *on_disk = keys(job.target)
        if not sources.isdisjoint((target, *on_disk)):
            reason, remedy = "would be overwritten, but is an input", "Name another output."
            on_conflict(job, OutputExists(reason, remedy, path=named(job.target)))
        elif target in targets:
            reason = f"would be written twice, for {targets[target].source} and {job.source}"
            remedy = "Enhance them one by one, or into different folders."
            on_conflict(job, OutputExists(reason, remedy, path=named(job.target)))
        else:
            targets[target] = job
    return list(targets.values())
