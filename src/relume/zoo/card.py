"""What a model card says, as one typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Card:
    """A model: what it is for, what it was made from, how good it is, and how to run it.

    A model of two passes has a global graph, which sees a thumbnail of the whole photo, and a local graph,
    which takes tiles. A model of one graph takes whole photos only.

    Attributes:
        name: the name that `--model` takes.
        summary: one sentence for lists.
        network: the laboratory's name of the network.
        params: number of parameters.
        gmacs_256: multiply-accumulates of a 256 x 256 image, in units of 1e9.
        thumbnail_size: side of the thumbnail of a whole photo that the global graph takes; None without one.
        size_multiple: tiles start at multiples of this.
        halo: how far around a pixel the local pass looks, rounded up to `size_multiple`; None where it looks
            at the whole photo, which is then never cut into tiles.
        files: sha256 of each graph, by file name.
        data, terms: what it was trained on, and under which terms.
        recipe: the whole recipe.
        metrics: measured scores by data set, protocol included.
        environment: what it was trained on.
        limits: what it is not good at.
    """

    name: str
    summary: str
    network: str
    params: int
    gmacs_256: float
    thumbnail_size: int | None
    size_multiple: int
    halo: int | None
    files: Mapping[str, str]
    data: str = ""
    terms: str = ""
    limits: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def global_graph(self) -> str | None:
        """File name of the global pass, `thumbnail` -> `conditioning`; None for a model of one graph."""
        return None if self.thumbnail_size is None else f"{self.name}.global.onnx"

    @property
    def local_graph(self) -> str:
        """File name of the local pass, `image`, `conditioning` -> `enhanced`; or of the one graph."""
        return f"{self.name}.onnx" if self.thumbnail_size is None else f"{self.name}.local.onnx"
