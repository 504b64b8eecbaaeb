"""Which photos a command reads: files, folders and patterns -> photos, without results of earlier runs."""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from relume.errors import InputUnreadable, UsageError
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

OnError = Callable[[InputUnreadable], object]
OnImage = Callable[[Path], object]


def _raise(error: InputUnreadable) -> NoReturn:
    raise error


def _ignore(_: Path) -> None:
    pass


def find_inputs(
    patterns: Sequence[str],
    *,
    recursive: bool = False,
    results: Path | None = None,
    on_error: OnError = _raise,
    on_image: OnImage = _ignore,
    kind: Kind = PHOTOS,
) -> list[tuple[Path, Path]]:
    """Expand files, folders and glob patterns to photos, each with the folder that its place is relative to.

    A folder gives the photos in it (by suffix), with `recursive` those of its folders too, except the folder
    of `results`. Hidden files and folders in it are passed over; so are results of earlier runs, which a
    pattern passes over too. A file that is named outright is taken whatever its name. The place of what a
    pattern with `**` finds is relative to the folder in which the pattern begins.

    Args:
        kind: what to look for in place of photos.
        on_error: takes what goes wrong with a path, while the others go on; raises it by default.
        on_image: takes each image of a folder that is passed over, as relume reads no such files.

    Raises:
        InputUnreadable: a path or pattern that matches nothing, or a folder that may not be read.
        UsageError: an empty path.
    """
    found: dict[Path, Path] = {}
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
        for photo, base in matches:
            found.setdefault(photo, base)
    return list(found.items())


def is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - takes any name, where Path.is_dir fails with too long ones


def _start(pattern: Path) -> Path | None:
    """The folder in which a pattern with `**` begins; None for other patterns."""
    if "**" not in pattern.parts:
        return None
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*fixed)


def _photos_like(pattern: str, on_error: OnError, kind: Kind) -> list[Path]:
    names = (Path(name) for name in sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
    photos = [path for path in names if _is_file(path) and not path.stem.endswith(MARK)]
    if not photos:
        remedy = "Check the pattern; results of earlier runs do not count."
        on_error(InputUnreadable(f"no {kind.noun} matches the pattern", remedy, path=pattern))
    return photos


def _photos_in(
    folder: Path,
    recursive: bool,
    results: Path | None,
    on_error: OnError,
    on_image: OnImage,
    kind: Kind,
) -> list[Path]:
    failed: list[InputUnreadable] = []
    apart = None if results is None else Path(identity(results))
    if apart is not None and Path(identity(folder)) not in apart.parents:
        apart = None
    known = {*kind.suffixes, *kind.unread}
    images = [
        path
        for path in _files_in(folder, recursive, failed.append)
        if path.suffix.lower() in known
        and _is_file(path)
        and not path.stem.endswith(MARK)
        and apart not in Path(identity(path)).parents
    ]
    photos = [path for path in images if path.suffix.lower() in kind.suffixes]
    for path in sorted(set(images).difference(photos)):
        on_image(path)
    if not photos and not failed:
        hint = "" if recursive else " Add --recursive to look into its folders."
        remedy = f"Name a folder with {kind.noun}s.{hint}"
        failed.append(InputUnreadable(f"the folder holds no {kind.noun}", remedy, path=folder))
    for error in failed:
        on_error(error)
    return sorted(photos)


def _files_in(folder: Path, recursive: bool, on_error: OnError) -> Iterator[Path]:
    """Everything in a folder, or below it, that is not a folder and not hidden."""

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
        identity(path.with_name(f"{name}{MARK}")) for path, _ in inputs for name in (path.stem, path.name)
    }
    results = {path: None for path, _ in inputs if identity(path.with_name(path.stem)) in names}
    return [(path, base) for path, base in inputs if path not in results], list(results)


def identity(path: Path) -> str:
    """A path under which a file goes whatever links lead to it."""
    return os.path.normcase(os.path.realpath(path))
