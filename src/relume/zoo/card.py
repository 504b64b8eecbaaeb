"""What a model card says, as one typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Card:
    """A shipped model: what it is for, what it was made from, how good it is, and how to run it.

    Attributes:
        name: the name that `--model` takes.
        summary: one sentence for lists.
        network: the laboratory's name of the network.
        params: number of parameters.
        gmacs_256: multiply-accumulates of a 256 x 256 image, in units of 1e9.
        thumbnail_size: side of the thumbnail of a whole photo that the global graph takes.
        size_multiple: tiles start at multiples of this.
        halo: how far around a pixel the local pass looks, rounded up to `size_multiple`.
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
    thumbnail_size: int
    size_multiple: int
    halo: int
    files: Mapping[str, str]
    data: str = ""
    terms: str = ""
    limits: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def global_graph(self) -> str:
        """File name of the global pass: `thumbnail` -> `conditioning`."""
        return f"{self.name}.global.onnx"

    @property
    def local_graph(self) -> str:
        """File name of the local pass: `image`, `conditioning` -> `enhanced`."""
        return f"{self.name}.local.onnx"
