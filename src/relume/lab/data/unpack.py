"""Unpacking: a tree of JPEG XL copies becomes the same tree of PNG files, which load faster and anywhere.

Folders `low` and `high` side by side hold pairs; a file without partner is reported before anything is done.
Files appear complete or not at all and existing ones are left alone, so an interrupted run just continues.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from relume.datasets.pairs import find_pairs
from relume.errors import DataError, InputInvalid, MissingExtra, UsageError, install
from relume.files import files_in, make_folder, replacing
from relume.photo.write import copy_photo

Progress = Callable[[int, int], None]

JPEG_XL = ".jxl"
_SIDES = ("low", "high")


@dataclass(frozen=True)
class Unpacked:
    """What an unpacking did.

    Attributes:
        written: files made by this run.
        existing: files that were there already.
        pairs: pairs of a dark and a well-lit image among all of them.
    """

    written: int
    existing: int
    pairs: int


def unpack(
    source: Path, target: Path, *, only: str = "", workers: int = 2, progress: Progress | None = None
) -> Unpacked:
    """Mirror a folder: JPEG XL files become PNG, all others but hidden ones are copied.

    Args:
        source: folder of the copies.
        target: folder to fill; made when missing.
        only: take nothing but folders of this name, such as `eval15`.
        workers: processes that decode and encode.
        progress: called with files done and in all.

    Raises:
        DataError: `source` is missing or has nothing to unpack, a pair is incomplete, or two files would get
            one name.
        UsageError: `target` lies inside `source`.
        InputInvalid: a file is damaged.
        MissingExtra: there are JPEG XL files and their decoder is not installed.
        OutputUnwritable: no permission, no space.
    """
    _check_folders(source, target)
    files = list(_files(source, only))
    if not files:
        named = f"the folder holds no folder '{only}'" if only else "the folder holds no file"
        raise DataError(named, "Check the path and --only.", path=source)
    pairs = _count_pairs({path.parent for path in files})
    jobs = _jobs(files, source, target)
    waiting = [job for job in jobs if not job[1].exists()]
    if any(_is_jpeg_xl(path) for path, _ in waiting):
        require_jpeg_xl()
    for done, _ in enumerate(_run(waiting, workers), start=1):
        if progress:
            progress(done, len(waiting))
    return Unpacked(len(waiting), len(jobs) - len(waiting), pairs)


def require_jpeg_xl() -> None:
    """Raises MissingExtra unless JPEG XL can be decoded."""
    if find_spec("pillow_jxl") is None:
        raise MissingExtra("JPEG XL needs pillow-jxl-plugin", install("lab"))


def _check_folders(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise DataError("there is no such folder", "Check the path.", path=source)
    if target.resolve().is_relative_to(source.resolve()):
        # The next run would take its own results for sources.
        raise UsageError(f"{target} lies inside {source}", "Choose a folder elsewhere.")


def _files(source: Path, only: str) -> Iterator[Path]:
    for path in sorted(files_in(source, recursive=True)):
        if path.is_file() and (not only or only in path.relative_to(source).parts[:-1]):
            yield path


def _count_pairs(folders: Iterable[Path]) -> int:
    """Number of pairs in all folders that hold `low` or `high`; DataError for a file without partner."""
    parents = {folder.parent for folder in folders if folder.name in _SIDES}
    return sum(len(find_pairs(parent / "low", parent / "high")) for parent in sorted(parents))


def _jobs(files: Iterable[Path], source: Path, target: Path) -> list[tuple[Path, Path]]:
    jobs: dict[Path, Path] = {}
    for path in files:
        relative = path.relative_to(source)
        result = target / (relative.with_suffix(".png") if _is_jpeg_xl(path) else relative)
        other = jobs.setdefault(result, path)
        if other is not path:
            raise DataError(
                f"{other.name} would become the same file {result}", "Keep one of the two.", path=path
            )
    return [(path, result) for result, path in jobs.items()]


def _run(jobs: list[tuple[Path, Path]], workers: int) -> Iterator[None]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(_unpack_file, jobs)
        return
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts) as pool:
        try:
            yield from pool.map(_unpack_file, jobs, chunksize=4)
        except BaseException:
            # Otherwise the pool would work through all that waits before the error shows.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that started the others stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unpack_file(job: tuple[Path, Path]) -> None:
    source, target = job
    make_folder(target.parent)
    if _is_jpeg_xl(source):
        _convert(source, target)
    else:
        copy_photo(source, target)


def _convert(source: Path, target: Path) -> None:
    import pillow_jxl  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers the decoder
    from PIL import Image

    try:
        image = Image.open(source)
        image.load()
    except Exception as error:  # the decoder raises errors of its own
        raise InputInvalid(
            "the JPEG XL image is damaged or truncated", "Get a new copy of it.", path=source
        ) from error
    with image, replacing(target) as file:
        # Small files do not matter here, loading them fast does.
        image.save(file, format="PNG", compress_level=1)


def _is_jpeg_xl(path: Path) -> bool:
    return path.suffix.lower() == JPEG_XL
