"""A worker: a process that reads, judges and enhances strangers' photos, within limits that the system keeps.

It talks with the serving process in JSON and plain bytes, so that one that a file has taken over can say
nothing that would run there.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from relume.errors import Fault, as_failure, parts_of
from relume.jobs.processes import Reply, answer_orders
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

    def prepare() -> Callable[[bytes, bytes], Reply]:
        workshop = _Workshop(setup)
        _limit(setup)

        def answer(order: bytes, photo: bytes) -> Reply:
            _allow_seconds(setup)
            return workshop.answer(order, photo)

        return answer

    answer_orders(connection, prepare, [LONGEST_ORDER, setup.max_bytes])


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

    def answer(self, said: bytes, data: bytes) -> Reply:
        """What is told of a photo, and the bytes of its result."""
        started = time.perf_counter()
        try:
            reply, result = self._done(Order.from_bytes(said), data)
        except Exception as error:  # noqa: BLE001 - an unknown fault is one failed request
            return _told(error), b""
        return {**reply, "seconds": round(time.perf_counter() - started, 3)}, result

    def _done(self, order: Order, data: bytes) -> Reply:
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
    return {"error": parts_of(failure)}


def _limit(setup: Setup) -> None:
    """Limits that the system keeps, where it has them: memory, files, no core dumps (they hold photos)."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _LONGEST_FILE),
        (resource.RLIMIT_DATA, setup.memory),
    ):
        lower = _within(kind, most)
        resource.setrlimit(kind, (lower, lower))


def _within(kind: int, most: int) -> int:
    """A limit that the system accepts, whatever lower one it has set itself."""
    import resource

    given = resource.getrlimit(kind)[1]
    return most if given == resource.RLIM_INFINITY else min(most, given)


def _allow_seconds(setup: Setup) -> None:
    """Processor time for the next photo, beyond which the system ends the process."""
    if sys.platform == "win32":
        return
    import resource

    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    share = setup.seconds * (setup.options.threads or available())
    soft = _within(resource.RLIMIT_CPU, int(used + share) + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
