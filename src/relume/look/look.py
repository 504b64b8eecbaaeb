"""The look: what was decided for a photo, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relume.arrays import Floats
from relume.steps.controls import Adjustment


@dataclass(frozen=True, eq=False)
class Look:
    """What a photo needs, as `decide` found it and `render` carries it out.

    Attributes:
        arrays: what the global graph returned, by name; the local graph takes them by the same names.
        adjustment: the controls, settled for this photo; None leaves it alone.
        factor: by how much the local pass sees the photo reduced.
    """

    arrays: Mapping[str, Floats] = field(default_factory=dict)
    adjustment: Adjustment | None = None
    factor: int = 1

    def to_json(self) -> dict[str, Any]:
        """What a person or a program may want to know of it, in numbers.

        Gains are in stops: `network_stops` are those of the network, red, green and blue, and
        `correction_stops` what the controls add to them.
        """
        told: dict[str, Any] = {"strength": 0.0 if self.adjustment is None else self.adjustment.strength}
        if self.adjustment is None:
            return told
        correction_C = self.adjustment.correction_C
        return told | {
            "denoise": self.adjustment.denoise,
            "highlight_guard": self.adjustment.highlight_guard,
            "network_stops": _stops(self.adjustment.gain_C),
            "correction_stops": [0.0] * 3 if correction_C is None else _stops(correction_C),
            "downsample": self.factor,
        }


def _stops(gain_C: Any) -> list[float]:
    return [round(float(stops), 3) for stops in np.log2(gain_C)]
