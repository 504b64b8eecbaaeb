"""The shipped models: cards, and graphs whose checksums are verified before use."""

from relume.models.card import Card, graph_names
from relume.models.store import describe_models, is_shipped, list_models, load_card, load_graph

__all__ = ["Card", "describe_models", "graph_names", "is_shipped", "list_models", "load_card", "load_graph"]
