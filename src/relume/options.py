"""Options of an enhancement, shared by the command line and the Python API under the same names."""

from __future__ import annotations

from dataclasses import dataclass

from relume.errors import UsageError

DEFAULT_MODEL = "lol"
DEFAULT_TILE = 2048


@dataclass(frozen=True)
class EnhanceOptions:
    """How a photo is enhanced.

    Attributes:
        model: name of a shipped model (`relume models` lists them), or the card (a `.json` file) of an
            exported one.
        strength: how much of the change is kept, from 0 (the input, bit for bit) to 1.
        device: `auto`, `cpu`, `cuda`, `coreml` or `directml`, as far as ONNX Runtime has it.
        threads: CPU threads; 0 takes all.
        tile: side of the tiles that large photos are cut into, in pixels. It bounds memory and does not
            change the result; 0 takes the whole photo at once.

    Raises:
        UsageError: a value out of range.
    """

    model: str = DEFAULT_MODEL
    strength: float = 1.0
    device: str = "auto"
    threads: int = 0
    tile: int = DEFAULT_TILE

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"strength is {self.strength}", "Give a strength from 0 to 1.")
        if self.threads < 0:
            raise UsageError(f"threads is {self.threads}", "Give a number of threads, or 0 for all.")
        if self.tile < 0:
            raise UsageError(f"tile is {self.tile}", "Give a side in pixels, or 0 for the whole photo.")
