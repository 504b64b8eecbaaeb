"""What a model's graphs return, held to what the pipeline counts on: graphs may return anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from relume.arrays import Floats
from relume.errors import ModelError
from relume.steps.controls import Change

_REMEDY = "Export the model again, or choose another one."
_LARGEST_GAIN = 10.0
"""Natural logarithm of the largest gain of a place."""

_MOST_NUMBERS = 1 << 20
"""That a global graph may tell of a whole photo under one name."""


def change_by(outputs: Mapping[str, Any], image_13HW: Floats) -> Change:
    """What a local graph does to an image: its output `enhanced`, held within [0, 1], and `local_gain`.

    Raises:
        ModelError: there is no `enhanced`; or an output has another type or shape than it must, or is not all
            numbers.
    """
    if "enhanced" not in outputs:
        raise ModelError("the model returns no output 'enhanced'", _REMEDY)
    enhanced_13HW = _shaped(outputs["enhanced"], image_13HW.shape)
    enhanced_13HW = np.clip(enhanced_13HW, 0, 1, out=enhanced_13HW if enhanced_13HW.flags.writeable else None)
    gain_shape = (1, 1, *image_13HW.shape[-2:])
    gain_11HW = np.zeros(gain_shape, np.float32)
    if "local_gain" in outputs:
        gain_11HW = np.clip(_shaped(outputs["local_gain"], gain_shape), -_LARGEST_GAIN, _LARGEST_GAIN)
    return Change(image_13HW[0], enhanced_13HW[0], gain_11HW[0])


def _shaped(output: Any, shape: tuple[int, ...]) -> Floats:
    numbers = _numbers(output)
    if numbers.shape != shape:
        shown, wanted = (" x ".join(map(str, each)) for each in (numbers.shape, shape))
        raise ModelError(f"the model returns {shown} values where it must return {wanted}", _REMEDY)
    return numbers


def told_by(outputs: Mapping[str, Any]) -> dict[str, Floats]:
    """What a global graph tells of a whole photo.

    Raises:
        ModelError: it has another type, is too much, or is not all numbers.
    """
    told = {name: _numbers(output) for name, output in outputs.items()}
    if any(output.size > _MOST_NUMBERS for output in told.values()):
        raise ModelError("the model's global graph returns too much", _REMEDY)
    return told


def _numbers(output: Any) -> Floats:
    kind: Any = getattr(output, "dtype", type(output).__name__)
    if kind != np.float32:
        raise ModelError(f"the model returns {kind} where it must return float32", _REMEDY)
    # A sum with something in it that is not a number is none either, and takes no memory.
    if not np.isfinite(output.sum()) and not np.isfinite(output).all():
        raise ModelError("the model returns something that is not a number (NaN or infinity)", _REMEDY)
    return output
