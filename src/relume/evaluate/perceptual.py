"""What a perceptual distance is to the protocol. `relume.lab.losses.lpips` makes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Distance: TypeAlias = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], float]


@dataclass(frozen=True)
class Perceptual:
    """A perceptual distance and the network behind it.

    Attributes:
        backbone: name for the report; distances of different backbones do not compare.
        distance: takes prediction and target, uint8 H x W x 3, gives a number from 0 (alike) upwards.
    """

    backbone: str
    distance: Distance
