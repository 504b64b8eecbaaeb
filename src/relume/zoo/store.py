"""Where the shipped models lie, and how they are opened."""

from __future__ import annotations

import hashlib
import json
from importlib import resources

from relume.errors import ModelError
from relume.zoo.card import Card

WEIGHTS = resources.files("relume.zoo") / "weights"
_REMEDY = "Install relume again."


def list_models() -> list[str]:
    """Names of the shipped models."""
    return sorted(
        file.name.removesuffix(".json") for file in WEIGHTS.iterdir() if file.name.endswith(".json")
    )


def load_card(name: str) -> Card:
    """The card of a shipped model.

    Raises:
        ModelError: no model of that name, or a damaged card.
    """
    if name not in list_models():
        raise ModelError(f"no model is called '{name}'", f"Choose one of: {', '.join(list_models())}.")
    try:
        return Card(**json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"the card of model '{name}' is damaged ({error})", _REMEDY) from error


def load_graph(card: Card, file_name: str) -> bytes:
    """A graph of a model, its checksum verified.

    Raises:
        ModelError: missing, or not the file that the card names.
    """
    try:
        content = (WEIGHTS / file_name).read_bytes()
    except OSError as error:
        raise ModelError("the model's file cannot be read", _REMEDY, path=file_name) from error
    if hashlib.sha256(content).hexdigest() != card.files.get(file_name):
        raise ModelError("the model's file is not the one that its card names", _REMEDY, path=file_name)
    return content
