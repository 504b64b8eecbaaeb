"""What tests of several folders use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).parent / "cases"
"""Small files of kinds that once went wrong."""


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.decode().splitlines()]


def dark(height: int = 24, width: int = 32, bits: int = 8, seed: int = 0) -> np.ndarray:
    """A dark picture with some structure and noise, below a sixth of the range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    light = 0.06 + 0.05 * np.sin(5 * x + seed)[..., None] + 0.03 * np.stack([x, y, x * y], axis=-1)
    noisy = light + rng.normal(0, 0.01, (height, width, 3))
    top = 2**bits - 1
    return np.rint(np.clip(noisy, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
