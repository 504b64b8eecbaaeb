"""What a model card says, as one typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

_MOST_PIXELS = 1024
"""A side that a card may name; larger ones would take gigabytes."""


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
        halo: how far around a pixel the local pass looks, a multiple of `size_multiple`; None where it looks
            at the whole photo, which is then never cut into tiles.
        files: sha256 of each graph, by file name.
        data, terms: what it was trained on, and under which terms.
        recipe: the whole recipe.
        metrics: measured scores by data set, protocol included.
        environment: what it was trained on.
        limits: what it is not good at.

    Raises:
        ValueError: values that no model can have.
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

    def __post_init__(self) -> None:
        counts: dict[str, tuple[object, int, int]] = {
            "params": (self.params, 1, 10**15),
            "size_multiple": (self.size_multiple, 1, _MOST_PIXELS),
        }
        if self.thumbnail_size is not None:
            counts["thumbnail_size"] = (self.thumbnail_size, 1, _MOST_PIXELS)
        if self.halo is not None:
            counts["halo"] = (self.halo, 0, 4 * _MOST_PIXELS)
        wrong = [name for name, (value, *limits) in counts.items() if not _is_count(value, *limits)]
        texts = [self.name, self.summary, self.network, *_items(self.files)]
        if wrong or not all(isinstance(text, str) and "\0" not in text for text in texts):
            raise ValueError(f"it gives no sensible {', '.join(wrong) or 'names and files'}")
        if self.halo is not None and self.halo % self.size_multiple:
            raise ValueError(f"its halo {self.halo} is no multiple of its size_multiple {self.size_multiple}")
        for part in (self.recipe, self.metrics, self.environment):
            _items(part)

    @property
    def global_graph(self) -> str | None:
        """File name of the global pass, `thumbnail` -> `conditioning`; None for a model of one graph."""
        return None if self.thumbnail_size is None else f"{self.name}.global.onnx"

    @property
    def local_graph(self) -> str:
        """File name of the local pass, `image`, `conditioning` -> `enhanced`; or of the one graph."""
        return f"{self.name}.onnx" if self.thumbnail_size is None else f"{self.name}.local.onnx"


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _items(value: object) -> list[Any]:
    """Keys and values of a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"it gives {value!r:.40} where a table is needed")
    return [part for item in cast("Mapping[Any, Any]", value).items() for part in item]
