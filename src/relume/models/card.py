"""What a model card says, as one typed value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

from relume.errors import ModelError

SCHEMA = 2
"""Of cards that are written. Cards without a number are of schema 1, whose graphs are named by the model."""

_MOST_PIXELS = 1024
"""A side that a card may name; larger ones would take gigabytes."""


@dataclass(frozen=True)
class Card:
    """A model: what it is for, what it was made from, how good it is, and how to run it.

    A model of two passes has a global graph, which sees a thumbnail of the whole photo, and a local graph,
    which takes tiles. A model of one graph takes whole photos only.

    Attributes:
        schema: version of what a card says.
        name: the name that `--model` takes.
        summary: one sentence for lists.
        network: the laboratory's name of the network.
        params: number of parameters.
        gmacs_256: multiply-accumulates of a 256 x 256 image, in units of 1e9.
        thumbnail_size: longer side of the thumbnail of a whole photo that the global graph takes, which keeps
            the photo's aspect in multiples of 8 pixels; None without one.
        size_multiple: tiles start at multiples of this.
        halo: how far around a pixel the local pass looks, a multiple of `size_multiple`; None where it looks
            at the whole photo, which is then never cut into tiles.
        value_range: least and largest value of images that the graphs take and return.
        graphs: file name of each graph by its part: `global` and `local`, or `image` for the only one.
        files: sha256 of each file, by its name.
        variants: files for these parts, the ones above first; each table names its `engine`, its `precision`,
            its `graphs` as above, and its `largest_difference` from the network itself, as measured.
        licence: of the weights, as an SPDX expression; "" where nobody said.
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
    graphs: Mapping[str, str] = field(default_factory=dict[str, str])
    value_range: Sequence[float] = (0.0, 1.0)
    variants: Sequence[Mapping[str, Any]] = ()
    licence: str = ""
    schema: int = SCHEMA
    data: str = ""
    terms: str = ""
    limits: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])

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
            raise ValueError(
                f"its halo {self.halo} is not a multiple of its size_multiple {self.size_multiple}"
            )
        for part in (self.recipe, self.metrics, self.environment, *self.variants):
            _items(part)
        if list(self.value_range) != [0, 1]:
            raise ValueError(f"its value_range is {self.value_range}, but relume gives and takes 0 to 1")
        if not self.graphs:
            object.__setattr__(self, "graphs", graph_names(self.name, self.thumbnail_size is not None))
        parts = {"image"} if self.thumbnail_size is None else {"global", "local"}
        if set(self.graphs) != parts or not all(isinstance(file, str) for file in _items(self.graphs)):
            raise ValueError(f"its graphs are not {' and '.join(sorted(parts))}")

    @property
    def margin(self) -> int:
        """Pixels by which a photo is continued beyond its ends for the local pass, by its mirror image.

        Convolutions take zeros for what lies beyond, and must not mistake a photo's border for an edge. A
        mirror image is noise where the photo is noise.
        """
        return 0 if self.thumbnail_size is None else 2 * self.size_multiple

    @property
    def global_graph(self) -> str | None:
        """File name of the global pass, which sees a `thumbnail`; None for a model of one graph."""
        return self.graphs.get("global")

    @property
    def local_graph(self) -> str:
        """File name of the local pass, which makes `enhanced` of an `image`; or of the only graph."""
        return self.graphs["image" if self.thumbnail_size is None else "local"]


def graphs_for(card: Card, precision: str) -> Mapping[str, str]:
    """File name of each graph by its part, of the variant of this precision.

    Raises:
        ModelError: the card has no such variant.
    """
    for variant in card.variants:
        graphs = variant.get("graphs")
        if _precision(variant) == precision and isinstance(graphs, Mapping):
            named = cast("Mapping[str, str]", graphs)
            if set(named) == set(card.graphs) and all(isinstance(file, str) for file in _items(named)):
                return named
    if precision == "float32":  # earlier cards say nothing of it
        return card.graphs
    told = [_precision(variant) for variant in card.variants]
    known = ", ".join(dict.fromkeys(["auto", "float32", *filter(None, told)]))
    raise ModelError(f"model '{card.name}' has no graphs of {precision}", f"Choose one of: {known}.")


def has_precision(card: Card, precision: str) -> bool:
    """Whether the card has a variant of it."""
    return any(_precision(variant) == precision for variant in card.variants)


def _precision(variant: Mapping[str, Any]) -> str:
    """The word by which it is chosen; what follows a comma is for people."""
    return str(variant.get("precision", "")).partition(",")[0]


def graph_names(name: str, two_passes: bool) -> dict[str, str]:
    """What the files of a model's graphs are called, by their parts."""
    if two_passes:
        return {part: f"{name}.{part}.onnx" for part in ("global", "local")}
    return {"image": f"{name}.onnx"}


def card_from(table: object) -> tuple[Card, list[str]]:
    """A card as its JSON says it, and the keys that this version does not know.

    Raises:
        ValueError: no table, a later schema, or values that no model can have.
        TypeError: something that a card needs is missing.
    """
    _items(table)
    said = cast("dict[str, Any]", table)
    schema = said.get("schema", 1)
    if not _is_count(schema, 1, SCHEMA):
        raise ValueError(f"it is of schema {schema!r:.20}, this version of relume reads up to {SCHEMA}")
    known = {each.name for each in fields(Card)}
    unknown = sorted(str(key) for key in said if key not in known)
    kept: dict[str, Any] = {key: value for key, value in said.items() if key in known}
    kept["schema"] = SCHEMA
    return Card(**kept), unknown


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _items(value: object) -> list[Any]:
    """Keys and values of a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"it gives {value!r:.40} where a table is needed")
    return [part for item in cast("Mapping[Any, Any]", value).items() for part in item]
