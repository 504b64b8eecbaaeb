"""What the pipeline asks of a runtime."""

from __future__ import annotations

from typing import Protocol

from relume.arrays import Floats


class Engine(Protocol):
    """Runs one graph."""

    def run(self, **inputs: Floats) -> dict[str, Floats]:
        """Return the outputs for inputs, all named as in the graph. Thread-safe."""
        ...

    def stop(self) -> None:
        """End what it runs, as soon as the runtime can, and refuse to run again."""
        ...


def one_line(error: Exception) -> str:
    """What a runtime says of an error, which may be many lines."""
    return " ".join(str(error).split())
