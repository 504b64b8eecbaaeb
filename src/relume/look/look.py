"""The look: what was decided for a photo, as one value."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from relume.arrays import Floats
from relume.errors import DataError
from relume.look.frame import NO_FRAME, Frame
from relume.steps.controls import Adjustment


@dataclass(frozen=True, eq=False)
class Look:
    """What a photo needs, as `decide` found it and `render` carries it out.

    Attributes:
        arrays: what the global graph returned, by name; the local graph takes them by the same names.
        adjustment: the controls, settled for this photo; None leaves it alone.
        factor: by how much the local pass sees the photo reduced.
        frame: what lies around the picture, and is left as it is; all the rest is of the picture alone.
    """

    arrays: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    adjustment: Adjustment | None = None
    factor: int = 1
    frame: Frame = NO_FRAME

    def summary(self) -> dict[str, Any]:
        """What a person or a program may want to know of it, in numbers.

        Gains are in stops: `network_stops` are those of the network, red, green and blue, where the controls
        asked for them, and `controls_stops` what the controls add to them. `frame` is there if the photo has
        one: rows and columns of each side.
        """
        adjustment = self.adjustment
        if adjustment is None:
            return {"strength": 0.0}
        told: dict[str, Any] = {name: round(getattr(adjustment, name), 3) for name in _SHARES}
        told["downsample"] = self.factor
        if adjustment.gain_C is not None:
            told["network_stops"] = _stops(adjustment.gain_C)
        if adjustment.correction_C is not None:
            told["controls_stops"] = _stops(adjustment.correction_C)
        if any(self.frame):
            told["frame"] = self.frame._asdict()
        return told

    def __str__(self) -> str:
        """The summary as one line for people."""
        if self.adjustment is None:
            return "look: the photo is left as it is"
        told = self.summary() | ({"frame": self.frame} if any(self.frame) else {})
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in told.items()]
        return f"look: {', '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON holds it, to be kept or sent; `from_json` gives the same look, bit for bit."""
        adjustment = self.adjustment
        told: dict[str, Any] | None = None
        if adjustment is not None:
            told = {name: float(getattr(adjustment, name)) for name in _SHARES}
            gains = {name: getattr(adjustment, name) for name in _GAINS}
            told |= {name: None if gain is None else _written(gain) for name, gain in gains.items()}
        arrays = {name: _written(array) for name, array in self.arrays.items()}
        return {"arrays": arrays, "adjustment": told, "factor": self.factor, "frame": list(self.frame)}

    @classmethod
    def from_json(cls, record: Any) -> Look:
        """The look that `to_json` wrote; versions that knew of no frames wrote none.

        Raises:
            DataError: it is none, or holds something that no look does.
        """
        try:
            arrays = {str(name): _read(array) for name, array in record["arrays"].items()}
            told, factor = record["adjustment"], record["factor"]
            adjustment = None if told is None else _adjustment(told)
            frame = _frame(record.get("frame", NO_FRAME))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"this is not a look ({error})", _REMEDY) from error
        if factor not in _FACTORS or isinstance(factor, bool | float):
            raise DataError(f"no look has the factor {factor!r}", _REMEDY)
        return cls(arrays, adjustment, factor, frame)


_REMEDY = "Take what `Look.to_json` returned."
_GAINS = ("gain_C", "correction_C")
_SHARES = tuple(each.name for each in fields(Adjustment) if each.name not in _GAINS)
_FACTORS = (1, 2, 3, 4)
_TYPES = ("float32", "float64")
_MOST_NUMBERS = 1 << 20


def _frame(written: Any) -> Frame:
    if len(written) != len(NO_FRAME) or not all(type(lines) is int and lines >= 0 for lines in written):
        raise ValueError("a frame is four numbers of rows and columns")
    return Frame(*written)


def _adjustment(told: Mapping[str, Any]) -> Adjustment:
    shares = {name: float(told[name]) for name in _SHARES}
    gains: dict[str, Any] = {name: None if told[name] is None else _read(told[name]) for name in _GAINS}
    if not all(0 <= share <= 1 for share in shares.values()):
        raise ValueError("a share is out of range")
    if any(gain is not None and (gain.shape != (3,) or not (gain > 0).all()) for gain in gains.values()):
        raise ValueError("gains are three positive numbers")
    return Adjustment(**shares, **gains)


def _written(array: Any) -> dict[str, Any]:
    little = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode()
    return {"type": array.dtype.name, "shape": list(array.shape), "data": data}


def _read(written: Mapping[str, Any]) -> Any:
    kind, shape = written["type"], [int(side) for side in written["shape"]]
    if kind not in _TYPES or min(shape, default=1) < 0 or math.prod(shape) > _MOST_NUMBERS:
        raise ValueError("an array has another type, or is too large")
    data = base64.b64decode(written["data"], validate=True)
    array = np.frombuffer(data, np.dtype(kind).newbyteorder("<")).astype(kind).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


def _stops(gain_C: Any) -> list[float]:
    return [round(float(stops), 2) + 0.0 for stops in np.log2(gain_C)]  # no -0.0
