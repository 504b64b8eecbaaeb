"""What workers of other machines do in tests; a module that they can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from relume.errors import ModelError
from relume.jobs.crew import Say
from relume.photo import Photo


def begin(folder: Path, say: Say) -> Callable[[Photo], Photo]:
    """Invert photos, and record each attempt.

    A photo of 13 columns kills its process. One of 14 kills, once, the worker that the process belongs to;
    one of 15 does so each time.
    """

    def work(photo: Photo) -> Photo:
        with (folder / "attempts").open("a") as record:
            record.write(f"{photo.width}\n")
        if photo.width == 13:
            os.kill(os.getpid(), signal.SIGSEGV)
        if photo.width == 15 or (photo.width == 14 and _first(folder / "lost")):
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(1)
        return replace(photo, rgb_HWC=255 - photo.rgb_HWC)

    return work


def _first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def begin_badly(say: Say) -> Callable[[Photo], Photo]:
    raise ModelError("the model is damaged", "Take another.")
