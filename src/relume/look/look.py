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

    arrays: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    adjustment: Adjustment | None = None
    factor: int = 1

    def to_json(self) -> dict[str, Any]:
        """What a person or a program may want to know of it, in numbers.

        Gains are in stops: `network_stops` are those of the network, red, green and blue, where the controls
        asked for them, and `controls_stops` what the controls add to them.
        """
        adjustment = self.adjustment
        if adjustment is None:
            return {"strength": 0.0}
        told: dict[str, Any] = {
            "strength": round(adjustment.strength, 3),
            "denoise": adjustment.denoise,
            "highlight_guard": adjustment.highlight_guard,
            "downsample": self.factor,
        }
        if adjustment.gain_C is not None:
            told["network_stops"] = _stops(adjustment.gain_C)
        if adjustment.correction_C is not None:
            told["controls_stops"] = _stops(adjustment.correction_C)
        return told

    def __str__(self) -> str:
        """The same as one line for people."""
        if self.adjustment is None:
            return "look: the photo is left as it is"
        told = self.to_json()
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in told.items()]
        return f"look: {', '.join(parts)}"


def _stops(gain_C: Any) -> list[float]:
    return [round(float(stops), 2) + 0.0 for stops in np.log2(gain_C)]  # no -0.0
