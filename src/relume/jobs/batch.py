"""Many photos: read, enhanced and written one by one, and what became of each."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from relume.errors import ExitCode, InputUnreadable, OutputUnwritable, RelumeError, as_failure
from relume.files import make_folder
from relume.jobs.places import Location, Url, local, location, named, place_of
from relume.jobs.plan import ELSEWHERE, READ_ONLY, WRITABLE_SUFFIXES, Job, Output
from relume.jobs.stamp import PACKET, is_bare, is_stamped, stamped
from relume.photo import Photo, encode_photo, read_photo, write_photo
from relume.photo.opened import IN_MEMORY
from relume.photo.write import copy_photo, keeps_format
from relume.threads import begun

_LEFT_ALONE = "left as it is"
_DONE_BEFORE = f"{_LEFT_ALONE}: enhanced in place before (--strength 1 does it again)"
_PIXELS_LEFT_ALONE = "pixels left as they are"

_NOT_WRITTEN = "files of this format are read, not written"


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        status: `ok`, `skipped` or `failed`.
        seconds: from reading to the finished file.
        width, height, bits: of the photo or clip if `ok`; not its pixels, for a batch keeps all outcomes.
        notes: what reading or writing had to change.
        error: why it failed.
        frames: pictures of a clip; None of a photo.
        left_alone: the photo's own file is the result.
        length, sha256: bytes of the result, and their hash, where they are wanted.
    """

    job: Job
    status: str
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    bits: int = 0
    notes: tuple[str, ...] = ()
    error: RelumeError | None = None
    frames: int | None = None
    left_alone: bool = False
    length: int = 0
    sha256: str = ""

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
            if self.frames is not None:
                record["frames"] = self.frames
            if self.sha256:
                record |= {"size": self.length, "sha256": self.sha256}
            record["notes"] = list(self.notes)
        if self.error is not None:
            record["error"] = {
                "code": int(self.error.exit_code),
                "kind": type(self.error).__name__,
                "message": str(self.error),
            }
        return record


class Written(NamedTuple):
    """What reading or writing had to change, and the content of what is not a file of this machine."""

    notes: tuple[str, ...]
    content: bytes | None = None


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

    def write(self, target: Location, format: str) -> Written:  # noqa: A002
        """Write it, and make its folder.

        Args:
            format: as for `write_photo`.

        Raises:
            OutputUnwritable: what `write_photo` refuses; in place, a file that holds more than relume writes.
        """
        if isinstance(target, Url):
            content, notes = self.encode(format or target.suffix)
            place_of(target).write(target, content)
            return Written(notes, content)
        output = self.output
        if self.stays(target, format):
            if not output.in_place:
                make_folder(target.parent)
                copy_photo(self.source, target)
            return Written((_LEFT_ALONE,))
        if output.in_place:
            self._check_in_place(target)
        make_folder(target.parent)
        notes = write_photo(
            stamped(self.enhanced) if output.in_place else self.enhanced,
            target,
            format=format,
            quality=output.quality,
            strip=output.strip,
            in_place=output.in_place,
            mark=PACKET if output.in_place else None,
        )
        return Written(self._noted(notes))

    def _check_in_place(self, target: Path) -> None:
        if not self.photo.stored:
            raise OutputUnwritable(_NOT_WRITTEN, ELSEWHERE, path=target)
        if self.photo.dropped:
            reason = f"the file holds more than relume writes ({'; '.join(self.photo.dropped)})"
            raise OutputUnwritable(reason, ELSEWHERE, path=target)

    def encode(self, format: str = "") -> tuple[bytes, tuple[str, ...]]:  # noqa: A002
        """The bytes of an image file, and notes as for `write`.

        Args:
            format: in place of the output's.
        """
        output = self.output
        format = format or output.format  # noqa: A001
        if self.stays(None, format):
            own = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
            return own, (_LEFT_ALONE,)
        encoded, notes = encode_photo(
            self.enhanced, format=format, quality=output.quality, strip=output.strip
        )
        return encoded, self._noted(notes)

    def stays(self, target: Path | None, format: str) -> bool:  # noqa: A002
        """Whether the photo's own file is the result."""
        if self.enhanced is not self.photo or self.output.strip or self.output.quality is not None:
            return False
        return keeps_format(self.photo, target, format=format)

    def _noted(self, notes: Iterable[str]) -> tuple[str, ...]:
        unchanged = (_PIXELS_LEFT_ALONE,) if self.enhanced is self.photo else ()
        return (*self.photo.notes, *unchanged, *notes)


def not_found(error: InputUnreadable) -> Outcome:
    """What became of a path that gave no photo."""
    path = location(str(error.path or ""))
    return Outcome(Job(path, path), "failed", error=error)


@dataclass(frozen=True)
class Done:
    """What was written; attributes as of `Outcome`."""

    width: int
    height: int
    bits: int
    notes: tuple[str, ...]
    frames: int | None = None
    left_alone: bool = False
    length: int = 0
    sha256: str = ""


@contextmanager
def naming_bytes(name: Path | str) -> Generator[None]:
    """Errors about a photo that came as bytes name it so."""
    try:
        yield
    except RelumeError as error:
        if error.path == IN_MEMORY:
            error.path = name
        raise


Read: TypeAlias = Callable[[Job], tuple[Path | bytes, Photo]]
"""Reads a job's file, or its bytes where it lies elsewhere, and the photo in it."""


def reader(output: Output) -> Read:
    """What reads the photos of jobs."""

    def read(job: Job) -> tuple[Path | bytes, Photo]:
        source = place_of(job.source).read(job.source)
        with naming_bytes(named(job.source)):
            return source, read_photo(source, max_pixels=output.max_pixels)

    return read


def read_first(jobs: Sequence[Job], output: Output) -> Read:
    """The same, which has begun with the first photo, while its caller makes something else ready."""
    read = reader(output)
    if not jobs or output.skip_existing or _is_refused(first := jobs[0]):
        return read
    waiting = {first: begun(lambda: read(first))}
    return lambda job: waiting.pop(job, lambda: read(job))()


def run_batch(
    jobs: Sequence[Job], output: Output, enhance: Callable[[Photo], Photo], read: Read | None = None
) -> Generator[Outcome]:
    """Enhance one photo after another; one that fails does not stop the rest.

    Args:
        jobs: from `plan`.
        output: as for `plan`.
        enhance: what to do with each photo.
        read: from `read_first`.
    """
    reads = read or reader(output)
    return run_jobs(jobs, lambda job: _run(job, output, enhance, reads), skip_existing=output.skip_existing)


def _is_refused(job: Job) -> bool:
    return job.target.suffix.lower() in READ_ONLY


def run_jobs(
    jobs: Sequence[Job],
    work: Callable[[Job], Done],
    *,
    skip_existing: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Outcome]:
    """Do one job after another; one that fails, in whatever way, does not stop the rest.

    Args:
        jobs: what to do.
        work: does one of them.
        skip_existing: leave results alone that are there already.
    """
    for job in jobs:
        started = clock()
        try:
            is_there = skip_existing and place_of(job.target).is_whole(job.target)
            done = None if is_there else work(job)
        except Exception as error:  # noqa: BLE001 - an unknown fault is one failed input
            yield Outcome(job, "failed", clock() - started, error=as_failure(error, named(job.source)))
            continue
        if done is None:
            yield Outcome(job, "skipped")
        else:
            yield Outcome(job, "ok", clock() - started, **vars(done))


def _run(job: Job, output: Output, enhance: Callable[[Photo], Photo], read: Read) -> Done:
    if _is_refused(job):
        remedy = ELSEWHERE if output.in_place else "Choose another format or output."
        raise OutputUnwritable(_NOT_WRITTEN, remedy, path=named(job.target))
    source, photo = read(job)
    done_before = output.in_place and not output.again and is_stamped(photo)
    if done_before and (not output.strip or is_bare(photo)):
        return Done(photo.width, photo.height, photo.bits, (_DONE_BEFORE,), left_alone=True)
    enhanced = photo if done_before else enhance(photo)
    by_source = output.in_place or job.target.suffix.lower() not in WRITABLE_SUFFIXES
    format_name = output.format or (photo.format if by_source else "")
    result = Result(photo, enhanced, source, output)
    notes, content = result.write(job.target, format_name)
    length, sha256 = _fingerprint(job.target, content) if output.hashed else (0, "")
    return Done(
        enhanced.width,
        enhanced.height,
        enhanced.bits,
        notes,
        left_alone=result.stays(None if isinstance(job.target, Url) else job.target, format_name),
        length=length,
        sha256=sha256,
    )


def _fingerprint(target: Location, content: bytes | None) -> tuple[int, str]:
    """Size and hash of a result."""
    if content is not None:
        return len(content), hashlib.sha256(content).hexdigest()
    with local(target).open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


class Tally:
    """How many photos came to what; it keeps no photo's own."""

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self.counts = Counter[str]()
        self._first: RelumeError | None = None
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Count it."""
        self.counts["left alone" if outcome.left_alone else outcome.status] += 1
        self._first = self._first or outcome.error

    @property
    def exit_code(self) -> ExitCode:
        """0 when all went well, the error's own code for a single photo, 11 when part of a batch failed."""
        if self._first is None:
            return ExitCode.OK
        return self._first.exit_code if self.counts.total() == 1 else ExitCode.BATCH_PARTLY_FAILED

    def __str__(self) -> str:
        names = {"done": "ok", "left alone": "left alone", "failed": "failed", "skipped": "skipped"}
        return ", ".join(f"{self.counts[name]} {shown}" for shown, name in names.items())


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """How a program ends that came to these."""
    return Tally(outcomes).exit_code
