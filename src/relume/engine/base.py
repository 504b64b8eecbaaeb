"""What the pipeline asks of a runtime."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Engine(Protocol):
    """Runs one graph with one output."""

    def run(self, **inputs: Array) -> Array:
        """Return the output for inputs named as in the graph. Thread-safe."""
        ...
