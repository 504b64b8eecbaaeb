"""Many photos: read, enhanced and written one by one, and what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relume.errors import ExitCode, InputUnreadable, OutputUnwritable, RelumeError, as_failure
from relume.files import make_folder
from relume.jobs.plan import READ_ONLY, WRITABLE_SUFFIXES, Job, Output
from relume.jobs.stamp import PACKET, is_bare, is_stamped, stamped
from relume.photo import Photo, encode_photo, read_photo, write_photo
from relume.photo.write import copy_photo, keeps_format

_LEFT_ALONE = "left as it is"
_DONE_BEFORE = f"{_LEFT_ALONE}: enhanced in place before (--strength 1 does it again)"
_PIXELS_LEFT_ALONE = "pixels left as they are"

_NOT_WRITTEN = "files of this format are read, not written"
_ELSEWHERE = "Leave out --in-place, and name another place with -o."


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
        if self.stays(target, format):
            if not output.in_place:
                make_folder(target.parent)
                copy_photo(self.source, target)
            return (_LEFT_ALONE,)
        if output.in_place and not self.photo.stored:
            raise OutputUnwritable(_NOT_WRITTEN, _ELSEWHERE, path=target)
        if output.in_place and self.photo.dropped:
            reason = f"the file holds more than relume writes ({'; '.join(self.photo.dropped)})"
            raise OutputUnwritable(reason, _ELSEWHERE, path=target)
        make_folder(target.parent)
        return self._noted(
            write_photo(
                stamped(self.enhanced) if output.in_place else self.enhanced,
                target,
                format=format,
                quality=output.quality,
                strip=output.strip,
                in_place=output.in_place,
                mark=PACKET if output.in_place else None,
            )
        )

    def encode(self) -> tuple[bytes, tuple[str, ...]]:
        """The bytes of an image file, and notes as for `write`."""
        output = self.output
        if self.stays(None, output.format):
            own = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
            return own, (_LEFT_ALONE,)
        encoded, notes = encode_photo(
            self.enhanced, format=output.format, quality=output.quality, strip=output.strip
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
    path = Path(error.path or "")
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


def run_batch(jobs: Sequence[Job], output: Output, enhance: Callable[[Photo], Photo]) -> Generator[Outcome]:
    """Enhance one photo after another; one that fails does not stop the rest.

    Args:
        jobs: from `plan`.
        output: as for `plan`.
        enhance: what to do with each photo.
    """
    return run_jobs(jobs, lambda job: _run(job, output, enhance), skip_existing=output.skip_existing)


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
        if skip_existing and os.path.isfile(job.target):  # noqa: PTH113 - any name
            yield Outcome(job, "skipped")
            continue
        started = clock()
        try:
            done = work(job)
        except Exception as error:  # noqa: BLE001 - an unknown fault is one failed input
            yield Outcome(job, "failed", clock() - started, error=as_failure(error, job.source))
        else:
            yield Outcome(
                job,
                "ok",
                clock() - started,
                done.width,
                done.height,
                done.bits,
                done.notes,
                frames=done.frames,
                left_alone=done.left_alone,
            )


def _run(job: Job, output: Output, enhance: Callable[[Photo], Photo]) -> Done:
    if job.target.suffix.lower() in READ_ONLY:
        remedy = _ELSEWHERE if output.in_place else "Choose another format or output."
        raise OutputUnwritable(_NOT_WRITTEN, remedy, path=job.target)
    photo = read_photo(job.source, max_pixels=output.max_pixels)
    done_before = output.in_place and not output.again and is_stamped(photo)
    if done_before and (not output.strip or is_bare(photo)):
        return Done(photo.width, photo.height, photo.bits, (_DONE_BEFORE,), left_alone=True)
    enhanced = photo if done_before else enhance(photo)
    by_source = output.in_place or job.target.suffix.lower() not in WRITABLE_SUFFIXES
    format_name = output.format or (photo.format if by_source else "")
    result = Result(photo, enhanced, job.source, output)
    notes = result.write(job.target, format_name)
    left_alone = result.stays(job.target, format_name)
    return Done(enhanced.width, enhanced.height, enhanced.bits, notes, left_alone=left_alone)


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """0 when all went well, the error's own code for a single photo, 11 when part of a batch failed."""
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not failed:
        return ExitCode.OK
    return failed[0].exit_code if len(outcomes) == 1 else ExitCode.BATCH_PARTLY_FAILED
