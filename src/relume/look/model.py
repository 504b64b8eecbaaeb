"""A loaded model: its card, and engines that run its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relume.arrays import Floats
from relume.look.guard import image_of, told_by
from relume.models import Card
from relume.models.engines import Engine


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

    def local(self, image_13HW: Floats, told: Mapping[str, Floats]) -> Floats:
        """What the local graph makes of an image or a tile, in [0, 1], given what the global one returned."""
        return image_of(self.local_pass.run(image=image_13HW, **told), image_13HW)
