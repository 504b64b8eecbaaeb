"""What became of each photo of a large batch, in a file from which the same batch resumes.

A JSON line per photo, added as it is done: whoever ends the batch, and however, what stands there is true. A
photo is done if its line says `ok` under the same settings and its result is there; all others are done
(again) by the next run, which leaves their old lines out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from relume.errors import InputInvalid, OutputUnwritable, UsageError
from relume.files import make_folder, read_at_most, write_file
from relume.jobs.batch import Outcome
from relume.jobs.plan import Job

_MOST_BYTES = 8 << 30
"""Of a manifest that is read: some twenty million photos."""

_KEYS = {
    "path": str,
    "output": str,
    "size": int,
    "sha256": str,
    "status": str,
    "code": int,
    "seconds": (int, float),
    "settings": str,
}


def settings_of(about: Mapping[str, Any]) -> str:
    """A short name for all that decides what results look like."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def entry(outcome: Outcome, settings: str) -> dict[str, Any]:
    """The line of a photo.

    `path` and `output` are as given to the command; `size` and `sha256` are the result's; `code` is the exit
    code of the error that it failed with, told by `error`, or 0.
    """
    error = outcome.error
    return {
        "path": str(outcome.job.source),
        "output": str(outcome.job.target),
        "size": outcome.length,
        "sha256": outcome.sha256,
        "status": outcome.status,
        "code": 0 if error is None else int(error.exit_code),
        "error": "" if error is None else str(error),
        "seconds": round(outcome.seconds, 3),
        "settings": settings,
    }


@dataclass
class Manifest:
    """An open manifest; it belongs to one batch at a time.

    Attributes:
        path: its file.
        settings: under which photos are done now.
        done: lines of photos that are done, by the names of their results.
        others: how many photos it names that were done under other settings.
    """

    path: Path
    settings: str
    done: dict[str, str]
    others: int
    _file: IO[bytes]

    @classmethod
    def open(cls, path: Path, settings: str) -> Manifest:
        """Open a manifest, new or old.

        Raises:
            InputInvalid: the file is not a manifest.
            OutputUnwritable: no permission, or no space.
            UsageError: another batch writes it.
        """
        make_folder(path.parent)
        file = _opened(path, "a+b")
        try:
            file.seek(0)
            return cls(path, settings, *_done(read_at_most(file, _MOST_BYTES), settings, path), file)
        except BaseException:
            file.close()
            raise

    def keep(self, jobs: Collection[Job], there: Collection[str]) -> list[Job]:
        """Leave the lines alone that still hold, and name what is left to do.

        Args:
            jobs: of the batch.
            there: names of the results that exist.
        """
        wanted = {str(job.target): job for job in jobs}
        self.done = {
            target: line
            for target, line in self.done.items()
            if target in there and target in wanted and json.loads(line)["path"] == str(wanted[target].source)
        }
        before = self._file
        write_file(self.path, "".join(f"{line}\n" for line in self.done.values()))
        self._file = _opened(self.path, "ab")
        before.close()
        return [job for target, job in wanted.items() if target not in self.done]

    def add(self, outcome: Outcome) -> None:
        """Write down what became of a photo; it is with the system when this returns.

        Raises:
            OutputUnwritable: no space.
        """
        try:
            self._file.write(json.dumps(entry(outcome, self.settings)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(error, self.path) from error

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


def _done(content: bytes, settings: str, path: Path) -> tuple[dict[str, str], int]:
    """The lines that say so, by their results, and how many are of other settings.

    A machine that lost its power may leave lines that say nothing; what begins with one is not a manifest.
    """
    done: dict[str, str] = {}
    others = 0
    for number, line in enumerate(content.splitlines()):
        known = _entry(line)
        if known is None:
            if number == 0 and b"\n" in content:
                raise InputInvalid("this is not a manifest", "Name another --record.", path=path)
            continue
        done.pop(known["output"], None)
        if known["status"] == "ok" and known["settings"] == settings:
            done[known["output"]] = line.decode()
        others += known["status"] == "ok" and known["settings"] != settings
    return done, others


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is not an entry."""
    try:
        known: Any = json.loads(line)
        fits = all(isinstance(known[key], kind) for key, kind in _KEYS.items())
    except (ValueError, TypeError, LookupError):
        return None
    return known if fits else None


def _opened(path: Path, mode: str) -> IO[bytes]:
    """The file, kept for this process where the system has locks; they end with it.

    Raises:
        OutputUnwritable: no permission, or no space.
        UsageError: another batch writes it.
    """
    try:
        file: IO[bytes] = path.open(mode)
    except OSError as error:
        raise _unwritable(error, path) from error
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        pass
    except OSError as error:
        file.close()
        raise UsageError(
            "another batch writes this manifest", "Wait for it, or name another --record.", path=path
        ) from error
    return file


def _unwritable(error: OSError, path: Path) -> OutputUnwritable:
    return OutputUnwritable(
        f"the manifest cannot be written ({error.strerror})", "Name another --record.", path=path
    )
