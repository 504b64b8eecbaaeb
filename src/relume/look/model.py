"""A loaded model: its card, and engines that run its graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relume.arrays import Floats
from relume.look.guard import change_by, told_by
from relume.models import Card
from relume.models.engines import Engine
from relume.steps.controls import Change


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
        return {} if self.global_pass is None else told_by(self.global_pass.run(thumbnail=overview_13ST))

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
        if not told:
            return change_by(self.local_pass.run(image=image_13HW), image_13HW)
        first_row, first_column, *whole = place or (0, 0, *image_13HW.shape[-2:])
        margins = [
            _margins(first, length, of, self.card.size_multiple)
            for first, length, of in zip((first_row, first_column), image_13HW.shape[-2:], whole, strict=True)
        ]
        padded = np.pad(image_13HW, ((0, 0), (0, 0), *margins), mode="edge")
        corner = first_row - margins[0][0], first_column - margins[1][0]
        outputs = self.local_pass.run(
            image=padded,
            place=np.asarray([[*corner, *whole]], np.float32),
            step=np.asarray([[step]], np.float32),
            **told,
        )
        inner = tuple(slice(before, -after or None) for before, after in margins)
        return Change(*(part[:, *inner] for part in change_by(outputs, padded)))


def _margins(first: int, length: int, whole: int, margin: int) -> tuple[int, int]:
    """Pixels to be repeated before and after those of a tile: where the photo ends.

    Convolutions take zeros for what lies beyond, and must not mistake a photo's border for an edge.
    """
    return margin if first == 0 else 0, margin if first + length >= whole else 0
