"""One stage of work runs ahead of the next, in a thread of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 0.05
"""Seconds after which a thread that waits looks whether it is still wanted."""


class _End:
    """The last thing in a queue, with what went wrong."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(items: Iterable[T], size: int) -> Generator[Iterator[T]]:
    """Make items in another thread while earlier ones are used; what fails there is raised here.

    When the block ends, however it ends, the thread does.

    Args:
        items: what to make; a generator is closed in its thread.
        size: items that may be ready before they are asked for.
    """
    queue: Queue[T | _End] = Queue(size)
    unwanted = Event()
    thread = Thread(target=_fill, args=(items, queue, unwanted), daemon=True)
    thread.start()
    try:
        with closing(_taken(queue)) as taken:
            yield taken
    finally:
        unwanted.set()
        thread.join()


def _taken(queue: Queue[T | _End]) -> Generator[T]:
    while True:
        try:
            # With a limit, so that a signal is seen: without, Windows waits for ever.
            item = queue.get(timeout=_PATIENCE)
        except Empty:
            continue
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return
        yield item


def _fill(items: Iterable[T], queue: Queue[T | _End], unwanted: Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, unwanted):
                break
    except BaseException as raised:  # noqa: BLE001 - it is raised where the items are used
        error = raised
    finally:
        if isinstance(items, Generator):
            items.close()
        _put(queue, _End(error), unwanted)


def _put(queue: Queue[T | _End], item: T | _End, unwanted: Event) -> bool:
    while not unwanted.is_set():
        try:
            queue.put(item, timeout=_PATIENCE)
        except Full:
            continue
        return True
    return False
