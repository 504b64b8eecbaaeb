"""Which photos a command reads: files, folders and patterns -> photos, without results of earlier runs."""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import NoReturn

from relume.errors import InputUnreadable, UsageError
from relume.jobs.places import (
    Anywhere,
    Location,
    OnError,
    Url,
    Where,
    is_folder,
    location,
    matching,
    named,
    place_of,
)
from relume.photo import READABLE_SUFFIXES
from relume.photo.formats import IMAGE_SUFFIXES

MARK = ".relume"
"""Stands before the suffix of a result that lies beside its input: `night.jpg` -> `night.relume.jpg`."""


@dataclass(frozen=True)
class Kind:
    """What a command looks for.

    Attributes:
        noun: what messages call it.
        suffixes: of its files, in lower case.
        unread: those of files that are like them, but that relume does not read.
    """

    noun: str
    suffixes: Collection[str]
    unread: Collection[str] = ()


PHOTOS = Kind("photo", READABLE_SUFFIXES, IMAGE_SUFFIXES.difference(READABLE_SUFFIXES))

OnImage = Callable[[Location], object]


def _raise(error: InputUnreadable) -> NoReturn:
    raise error


def _ignore(_: Location) -> None:
    pass


def find_anywhere(
    patterns: Sequence[str],
    *,
    recursive: bool | None = False,
    results: Location | None = None,
    on_error: OnError = _raise,
    on_image: OnImage = _ignore,
    kind: Kind = PHOTOS,
) -> list[tuple[Location, Location]]:
    """Like `find_inputs`, of paths and URLs.

    Raises:
        InputUnreadable, UsageError: as there, and what `relume.jobs.places` refuses.
    """
    found: list[tuple[Location, Location]] = []
    for pattern in patterns:
        where = location(pattern)
        matches: Sequence[tuple[Location, Location]]
        if isinstance(where, Url):
            matches = _at_url(where, pattern, recursive, results, on_error, on_image, kind)
        else:
            matches = find_inputs(
                [str(where) if pattern else pattern],
                recursive=recursive,
                results=results,
                on_error=on_error,
                on_image=on_image,
                kind=kind,
            )
        found += matches
    return _once(found)


def find_inputs(
    patterns: Sequence[str],
    *,
    recursive: bool | None = False,
    results: Location | None = None,
    on_error: OnError = _raise,
    on_image: OnImage = _ignore,
    kind: Kind = PHOTOS,
) -> list[tuple[Path, Path]]:
    """Expand files, folders and glob patterns to photos, each with the folder that its place is relative to.

    Each file comes once, however often it is named. A folder gives the photos in it (by suffix), with
    `recursive` those of its folders too, except the folder
    of `results`. Hidden files and folders in it are passed over; so are results of earlier runs, which a
    pattern passes over too. A file that is named outright is taken whatever its name. The place of what a
    pattern with `**` finds is relative to the folder in which the pattern begins.

    Args:
        recursive: whether to look into folders of a folder; None where the command has no such option.
        kind: what to look for in place of photos.
        on_error: takes what goes wrong with a path, while the others continue; raises it by default.
        on_image: takes each image of a folder that is passed over, as relume reads no such files.

    Raises:
        InputUnreadable: a path or pattern that matches nothing, or a folder that may not be read.
        UsageError: an empty path.
    """
    found: list[tuple[Path, Path]] = []
    for pattern in patterns:
        path = Path(pattern)
        if not pattern:
            raise UsageError("a path is empty", f"Name a {kind.noun} or a folder; . is the current folder.")
        if is_folder(path):
            photos = _photos_in(path, recursive, results, on_error, on_image, kind)
            matches = [(photo, path) for photo in photos]
        elif glob.has_magic(pattern) and not os.path.lexists(path):
            base = _start(path)
            matches = [(photo, base or photo.parent) for photo in _photos_like(pattern, on_error, kind)]
        else:
            matches = [(path, path.parent)]
        found += matches
    return _once(found)


def _once(found: Iterable[tuple[Anywhere, Anywhere]]) -> list[tuple[Anywhere, Anywhere]]:
    """Each file once, as it was named first; a link to a file counts as one of its own."""
    parents: dict[Location, str] = {}
    kept: dict[tuple[str, str], tuple[Anywhere, Anywhere]] = {}
    for path, base in found:
        parent = path.parent
        if parent not in parents:
            parents[parent] = identity(parent)
        kept.setdefault((parents[parent], path.name), (path, base))
    return list(kept.values())


def _at_url(
    where: Url,
    pattern: str,
    recursive: bool | None,
    results: Location | None,
    on_error: OnError,
    on_image: OnImage,
    kind: Kind,
) -> list[tuple[Url, Url]]:
    try:
        if pattern.endswith("/") or where.path == PurePosixPath() or is_folder(where):
            photos = _photos_in(where, recursive, results, on_error, on_image, kind)
            return [(photo, where) for photo in photos]
        if not glob.has_magic(str(where.path)) or place_of(where).is_whole(where):
            return [(where, where.parent)]
        matches = [each for each in matching(where) if not each.stem.endswith(MARK)]
    except InputUnreadable as error:
        on_error(error)
        return []
    if not matches:
        on_error(_nothing_like(pattern, kind))
    base = _start(where.path)
    start = None if base is None else replace(where, path=PurePosixPath(base))
    return [(photo, start or photo.parent) for photo in matches]


def _start(pattern: PurePath) -> Path | None:
    """The folder in which a pattern with `**` begins; None for other patterns."""
    if "**" not in pattern.parts:
        return None
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*fixed)


def _photos_like(pattern: str, on_error: OnError, kind: Kind) -> list[Path]:
    names = (Path(name) for name in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    photos = [path for path in names if _is_file(path) and not path.stem.endswith(MARK)]
    if not photos:
        on_error(_nothing_like(pattern, kind))
    return photos


def _nothing_like(pattern: str, kind: Kind) -> InputUnreadable:
    remedy = "Check the pattern; results of earlier runs do not count."
    return InputUnreadable(f"no {kind.noun} matches the pattern", remedy, path=pattern)


def _photos_in(
    folder: Where,
    recursive: bool | None,
    results: Location | None,
    on_error: OnError,
    on_image: OnImage,
    kind: Kind,
) -> list[Where]:
    failed: list[InputUnreadable] = []
    apart = results if results is not None and _lies_in(results, folder) else None
    known = {*kind.suffixes, *kind.unread}
    files: Iterator[Where] = place_of(folder).list(folder, bool(recursive), failed.append)
    images = [
        path
        for path in files
        if path.suffix.lower() in known
        and _is_file(path)
        and not path.stem.endswith(MARK)
        and (apart is None or not _lies_in(path, apart))
    ]
    photos = [path for path in images if path.suffix.lower() in kind.suffixes]
    for path in sorted(set(images).difference(photos)):
        on_image(path)
    if not photos and not failed:
        hint = "" if recursive is not False else " Add --recursive to look into its folders."
        remedy = f"Name a folder with {kind.noun}s.{hint}"
        failed.append(InputUnreadable(f"the folder holds no {kind.noun}", remedy, path=named(folder)))
    for error in failed:
        on_error(error)
    return sorted(photos)


def _lies_in(path: Location, folder: Location) -> bool:
    """Whether a folder holds it, at any depth, whatever links lead there."""
    if isinstance(path, Url) or isinstance(folder, Url):
        return isinstance(path, Url) and isinstance(folder, Url) and path.lies_in(folder)
    return Path(identity(folder)) in Path(identity(path)).parents


def _is_file(path: Location) -> bool:
    """Whether it is a file; where that may not be known, reading it will tell why."""
    if isinstance(path, Url):  # a store lists files alone
        return True
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def without_results(
    inputs: Sequence[tuple[Anywhere, Anywhere]], marks: Sequence[str] = (MARK,)
) -> tuple[list[tuple[Anywhere, Anywhere]], list[Anywhere]]:
    """Part inputs from results of earlier runs that lie beside them.

    A shell's `*.jpg` names both `a.jpg` and `a.relume.jpg`.

    Args:
        marks: what stands before the suffix of a result.

    Returns:
        The inputs that are left, and the results.
    """
    names = {
        identity(path.with_name(f"{name}{mark}"))
        for path, _ in inputs
        for name in (path.stem, path.name)
        for mark in marks
    }
    results = {path: None for path, _ in inputs if identity(path.with_name(path.stem)) in names}
    return [(path, base) for path, base in inputs if path not in results], list(results)


def identity(path: Location) -> str:
    """A path under which a file goes whatever links lead to it; a URL itself."""
    if isinstance(path, Url):
        return str(path)
    return os.path.normcase(os.path.realpath(path))


def keys(path: Location) -> list[object]:
    """Under which a file is known: its name whatever links lead to it, then what it is on the disk, if it is
    there.
    """
    return [key for key in (identity(path), _on_disk(path)) if key]


def _on_disk(path: Location) -> tuple[int, int] | None:
    """What a file is, whatever name leads to it (mounts, upper and lower case); None where there is none."""
    if isinstance(path, Url):
        return None
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None
