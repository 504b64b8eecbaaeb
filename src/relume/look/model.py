"""A loaded model: its card, engines that run its graphs, and what these return.

Graphs may return anything, so it is held to what a look counts on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from relume.arrays import Floats
from relume.errors import ModelError
from relume.models import Card
from relume.models.engines import Engine
from relume.steps.controls import Change
from relume.steps.tiles import mirrored

_REMEDY = "Export the model again, or choose another one."
_LARGEST_GAIN = 10.0
"""Natural logarithm of the largest gain of a place."""

_MOST_NUMBERS = 1 << 20
"""That a global graph may tell of a whole photo under one name."""


class Canvas(NamedTuple):
    """Memory for an image and its margins, so that what fills it need not be copied.

    Attributes:
        whole_13HW: all of it.
        inner: rows and columns of the image.
        place: as for `Model.local`, of all of it.
    """

    whole_13HW: Floats
    inner: tuple[slice, slice]
    place: Sequence[int]

    @property
    def inside(self) -> Floats:
        """Where the image goes."""
        return self.whole_13HW[..., *self.inner]

    def mirror_edges(self) -> None:
        """Fill the margins with the image's mirror image."""
        for axis, part in ((-2, self.inner[0]), (-1, self.inner[1])):
            lines = np.moveaxis(self.whole_13HW, axis, 0)
            image, after = lines[part], len(lines) - part.stop
            numbers = mirrored(len(image), part.start, after)
            lines[: part.start], lines[part.stop :] = (
                image[numbers[: part.start]],
                image[numbers[part.stop :]],
            )


@dataclass(frozen=True)
class Model:
    """What an enhancement asks of a model, whose graphs may come from anywhere.

    Attributes:
        card: the model's facts.
        global_pass: engine of `card.global_graph`, if it has one.
        local_pass: engine of `card.local_graph`.

    Raises:
        ModelError: a graph does not fit what it gets, or returns what no model may, when it runs.
    """

    card: Card
    global_pass: Engine | None
    local_pass: Engine

    def overview(self, overview_13ST: Floats) -> dict[str, Floats]:
        """What the global graph returns for the thumbnail of a whole photo, by name; empty without one."""
        return {} if self.global_pass is None else _told_by(self.global_pass.run(thumbnail=overview_13ST))

    def local(
        self,
        image_13HW: Floats,
        told: Mapping[str, Floats],
        place: Sequence[int] | None = None,
        step: float = 0.0,
    ) -> Change:
        """What the local graph does to an image or a tile.

        Args:
            image_13HW: in [0, 1].
            told: what the global graph returned.
            place: first row and column of a tile, then rows and columns of the whole; None for a whole photo.
            step: what the values were rounded to, 0 for none.
        """
        canvas = self.canvas(image_13HW.shape[-2:], place)
        canvas.inside[:] = image_13HW
        return self.local_on(canvas, told, step)

    def canvas(self, shape: Sequence[int], place: Sequence[int] | None = None) -> Canvas:
        """Memory for an image or a tile, to be filled, with the card's margin where the photo ends.

        Args:
            shape: rows and columns.
            place: as for `local`.
        """
        first, whole = (place[:2], place[2:]) if place else ((0, 0), shape)
        inner: list[slice] = []
        sides: list[int] = []
        for start, length, of in zip(first, shape, whole, strict=True):
            ends = start == 0, start + length >= of
            before, after = (self.card.margin if end else 0 for end in ends)
            inner.append(slice(before, before + length))
            sides.append(before + length + after)
        rows, columns = inner
        corner = [start - part.start for start, part in zip(first, inner, strict=True)]
        return Canvas(np.empty((1, 3, *sides), np.float32), (rows, columns), (*corner, *whole))

    def local_on(self, canvas: Canvas, told: Mapping[str, Floats], step: float = 0.0) -> Change:
        """As `local`, of an image that lies on its canvas."""
        canvas.mirror_edges()
        whole = canvas.whole_13HW
        where = {"place": np.asarray([canvas.place], np.float32), "step": np.asarray([[step]], np.float32)}
        outputs = self.local_pass.run(image=whole, **({**where, **told} if told else {}))
        return Change(*(part[:, *canvas.inner] for part in _change_by(outputs, whole)))


def _change_by(outputs: Mapping[str, Any], image_13HW: Floats) -> Change:
    """What a local graph does to an image: its output `enhanced`, held within [0, 1], and `local_gain`.

    Raises:
        ModelError: there is no `enhanced`; or an output has another type or shape than it must, or is not all
            numbers.
    """
    if "enhanced" not in outputs:
        raise ModelError("the model returns no output 'enhanced'", _REMEDY)
    enhanced_13HW = _held(_shaped(outputs["enhanced"], image_13HW.shape), 0, 1)
    gain_shape = (1, 1, *image_13HW.shape[-2:])
    gain_11HW = np.zeros(gain_shape, np.float32)
    if "local_gain" in outputs:
        gain_11HW = _held(_shaped(outputs["local_gain"], gain_shape), -_LARGEST_GAIN, _LARGEST_GAIN)
    return Change(image_13HW[0], enhanced_13HW[0], gain_11HW[0])


def _held(output: Floats, least: float, most: float) -> Floats:
    """Within bounds, in its own memory where that may be."""
    return np.clip(output, least, most, out=output if output.flags.writeable else None)


def _shaped(output: Any, shape: tuple[int, ...]) -> Floats:
    numbers = _numbers(output)
    if numbers.shape != shape:
        shown, wanted = (" x ".join(map(str, each)) for each in (numbers.shape, shape))
        raise ModelError(f"the model returns {shown} values where it must return {wanted}", _REMEDY)
    return numbers


def _told_by(outputs: Mapping[str, Any]) -> dict[str, Floats]:
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
