"""What a model's graphs return, held to what the pipeline counts on: graphs may return anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from relume.arrays import Floats
from relume.errors import ModelError

_REMEDY = "Export the model again, or choose another one."
_MOST_NUMBERS = 1 << 20
"""That a global graph may tell of a whole photo under one name."""


def image_of(outputs: Mapping[str, Any], image_13HW: Floats) -> Floats:
    """The output `enhanced` of a local graph, held within [0, 1].

    Raises:
        ModelError: there is none, it has another type or shape than the image, or is not all numbers.
    """
    if "enhanced" not in outputs:
        raise ModelError("the model returns no output 'enhanced'", _REMEDY)
    enhanced_13HW = _numbers(outputs["enhanced"])
    if enhanced_13HW.shape != image_13HW.shape:
        shown, wanted = (" x ".join(map(str, each.shape)) for each in (enhanced_13HW, image_13HW))
        raise ModelError(f"the model returns {shown} values for an image of {wanted}", _REMEDY)
    return np.clip(enhanced_13HW, 0, 1, out=enhanced_13HW if enhanced_13HW.flags.writeable else None)


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
    kind = output.dtype if isinstance(output, np.ndarray) else type(output).__name__
    if kind != np.float32:
        raise ModelError(f"the model returns {kind} where it must return float32", _REMEDY)
    # A sum with something in it that is no number is none either, and takes no memory.
    if not np.isfinite(output.sum()) and not np.isfinite(output).all():
        raise ModelError("the model returns something that is no number (NaN or infinity)", _REMEDY)
    return output
