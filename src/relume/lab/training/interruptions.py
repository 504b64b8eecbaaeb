"""Interrupts wait until the step is done and a checkpoint is written."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interruptions:
    """Within the context, the first SIGINT or SIGTERM is only noted; a second one interrupts at once.

    Args:
        patient: a second one does no more than the first; who ends processes together sends several.

    Attributes:
        asked: whether one has come.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.asked = False
        self._patient = patient
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background of a script
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def obey(self, asked: bool) -> None:
        """Raise KeyboardInterrupt if an interrupt was asked for, here or of another process."""
        if asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._patient:
            raise KeyboardInterrupt
        self.asked = True
