"""A worker: a process that reads, judges and enhances strangers' photos, within limits that the system keeps.

It talks with the serving process in JSON and plain bytes, so that one that a file has taken over can say
nothing that would run there.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from relume.errors import Fault, RelumeError, as_failure
from relume.options import EnhanceOptions
from relume.service.orders import Order
from relume.threads import available

if TYPE_CHECKING:
    from relume.enhancer import Enhancer

LONGEST_ORDER = 1 << 16
"""Bytes of an order and of a reply."""

_LONGEST_FILE = 4 << 20
"""Bytes of a file that a worker may write: colour profiles, on their way into a library; never a photo."""

_MOST_NOTES = 3000
"""Characters of all notes together, as they travel in a header."""


@dataclass(frozen=True)
class Setup:
    """How a worker works.

    Attributes:
        options: how it computes; what photos are to look like comes with each order.
        memory: bytes that it may take.
        seconds: processor time of each of its threads for a photo.
        max_bytes, max_pixels: of a photo.
    """

    options: EnhanceOptions
    memory: int
    seconds: float
    max_bytes: int
    max_pixels: int


def main(connection: Connection, setup: Setup) -> None:
    """Answer orders until the other end closes."""
    _stand_apart()
    try:
        workshop = _Workshop(setup)
        _limit(setup)
    except Exception as error:  # noqa: BLE001 - the serving process tells it
        _send(connection, _told(error))
        return
    _send(connection, {"ready": True})
    with suppress(EOFError, OSError):  # the serving process has gone
        while True:
            order, photo = connection.recv_bytes(LONGEST_ORDER), connection.recv_bytes(setup.max_bytes)
            _allow_seconds(setup)
            _send(connection, *workshop.answer(order, photo))
            del photo


def _send(connection: Connection, reply: dict[str, Any], result: bytes = b"") -> None:
    connection.send_bytes(json.dumps({**reply, "size": len(result)}).encode())
    connection.send_bytes(result)


class _Workshop:
    """Models, each loaded when it is asked for first; that of the setup at once."""

    def __init__(self, setup: Setup) -> None:
        from relume.photo.vips import set_limits

        self._setup = setup
        set_limits(setup.options.threads or available())
        self._enhancer = functools.cache(self._load)
        self._enhancer(setup.options.model)

    def _load(self, model: str) -> Enhancer:
        from relume.enhancer import load_enhancer

        return load_enhancer(replace(self._setup.options, model=model))

    def answer(self, said: bytes, data: bytes) -> tuple[dict[str, Any], bytes]:
        """What is told of a photo, and the bytes of its result."""
        started = time.perf_counter()
        try:
            reply, result = self._done(Order.from_bytes(said), data)
        except Exception as error:  # noqa: BLE001 - an unknown fault is one failed request
            return _told(error), b""
        return {**reply, "seconds": round(time.perf_counter() - started, 3)}, result

    def _done(self, order: Order, data: bytes) -> tuple[dict[str, Any], bytes]:
        from relume.jobs.batch import Result
        from relume.jobs.plan import Output
        from relume.photo import FORMATS, read_photo
        from relume.photo.formats import parse_format

        setup = self._setup
        options = replace(setup.options, **order.enhance)
        photo = read_photo(data, max_pixels=setup.max_pixels, max_bytes=setup.max_bytes)
        enhancer = self._enhancer(options.model)
        look = enhancer.decide(photo, options.controls, options.downsample)
        reply: dict[str, Any] = {
            "look": look.summary(),
            "width": photo.width,
            "height": photo.height,
            "bits": photo.bits,
            "format": photo.format,
        }
        if order.saving is None:
            return {**reply, "notes": _some(photo.notes)}, b""
        saving = order.saving
        output = Output(format=saving.format, quality=saving.quality, strip=saving.strip)
        result, notes = Result(photo, enhancer.render(photo, look), data, output).encode()
        form = parse_format(saving.format or photo.format).name
        return {**reply, "format": form, "mime": FORMATS[form].mime, "notes": _some(notes)}, result


def _some(notes: tuple[str, ...]) -> list[str]:
    """Notes, as many as a header holds."""
    kept: list[str] = []
    room = _MOST_NOTES
    for note in notes:
        room -= len(json.dumps(note))
        if room < 0:
            return [*kept, "..."]
        kept.append(note)
    return kept


def _told(error: Exception) -> dict[str, Any]:
    failure = as_failure(error, None)
    if isinstance(failure, Fault) and failure is not error:
        failure = Fault(failure.reason, "Please report it with the photo.")
    return {"error": _parts(failure)}


def _parts(error: RelumeError) -> dict[str, Any]:
    kind = type(error).__name__
    return {"kind": kind, "code": int(error.exit_code), "reason": error.reason, "remedy": error.remedy}


def _stand_apart() -> None:
    """A group of its own, so that it ends with all that it started; signals are for the serving process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()


def _limit(setup: Setup) -> None:
    """Limits that the system keeps, where it has them: memory, files, no core dumps (they hold photos)."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LONGEST_FILE, _LONGEST_FILE))
    resource.setrlimit(resource.RLIMIT_DATA, (setup.memory, setup.memory))


def _allow_seconds(setup: Setup) -> None:
    """Processor time for the next photo, beyond which the system ends the process."""
    if sys.platform == "win32":
        return
    import resource

    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    share = setup.seconds * (setup.options.threads or available())
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + share) + 1, resource.RLIM_INFINITY))
