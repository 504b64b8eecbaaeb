"""A first tiny run of a stranger's model, which shows whether its graphs end and fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic

import numpy as np

from relume.arrays import Floats
from relume.errors import ModelError, naming_exhaustion
from relume.look.model import Model
from relume.models.engines import Engine

_SIDE = 64
"""Of the tiny image in pixels: small enough for a second, and what `relume export` checks with, too."""

LIMIT = 15.0
"""Seconds that the run may take."""

_PULSE = 0.05
"""Seconds between two looks at it; not every system wakes a longer wait for a signal."""


def try_model(model: Model, engines: Sequence[Engine]) -> None:
    """Run a model once on a tiny grey image, in a thread of its own, so that signals arrive meanwhile.

    Args:
        engines: those that run the model's graphs, to be stopped when the time is over.

    Raises:
        ModelError: it does not end in time, or its graphs do not fit together or return what they must not.
        RelumeError: as the engines.
    """

    def run() -> None:
        model.local(_grey(_SIDE), model.overview(_grey(model.card.thumbnail_size or _SIDE)))

    def stop() -> None:
        for engine in engines:
            engine.stop()

    _within(LIMIT, run, stop)


def _grey(side: int) -> Floats:
    return np.full((1, 3, side, side), 0.2, np.float32)


def _within(seconds: float, work: Callable[[], None], stop: Callable[[], None]) -> None:
    failed: list[BaseException] = []
    done = Event()  # since a `join` that a signal cuts short counts the thread as ended

    def attempt() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below, where the caller sees it
            failed.append(error)
        finally:
            done.set()

    with naming_exhaustion():
        Thread(target=attempt, daemon=True).start()
    end = monotonic() + seconds
    try:
        while not done.wait(_PULSE) and monotonic() < end:
            pass
    finally:
        late = not done.is_set()
        if late:
            stop()
            done.wait(1)
    if late:
        raise ModelError(
            f"the model takes more than {seconds:.0f} s for an image of {_SIDE} x {_SIDE} pixels",
            "Choose another one, such as the default.",
        )
    if failed:
        raise failed[0]
