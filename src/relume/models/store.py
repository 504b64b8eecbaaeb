"""Where the models lie, and how they are opened: shipped ones by name, others by the file of their card."""

from __future__ import annotations

import hashlib
import json
import warnings
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any

from relume.errors import ModelError
from relume.files import read_at_most
from relume.models.card import Card, card_from

WEIGHTS = resources.files("relume.models") / "weights"
_REMEDY = "Install relume again, or export the model again."
_MOST_OF_A_CARD = 16 << 20
_MOST_OF_A_GRAPH = 1 << 30


def list_models() -> list[str]:
    """Names of the shipped models."""
    return sorted(
        file.name.removesuffix(".json") for file in WEIGHTS.iterdir() if file.name.endswith(".json")
    )


def describe_models() -> list[dict[str, Any]]:
    """What lists say of each shipped model."""
    return [
        {
            "name": card.name,
            "params": card.params,
            "gmacs_256": card.gmacs_256,
            "shipped": True,
            "summary": card.summary,
            "network": card.network,
        }
        for card in map(load_card, list_models())
    ]


def is_shipped(model: str) -> bool:
    """Whether a model, named as for `load_card`, comes with relume."""
    return _locate(model)[0] is WEIGHTS


def load_card(model: str) -> Card:
    """The card of a shipped model by its name, or of any other by its file.

    Raises:
        ModelError: no such model, or a damaged card.
    """
    folder, name = _locate(model)
    if folder is WEIGHTS and name not in list_models():
        raise ModelError(
            f"no model is called '{name}'",
            f"Choose one of: {', '.join(list_models())}; or name the .json file of an exported one.",
        )
    try:
        card, unknown = card_from(json.loads(_read(folder / f"{name}.json", _MOST_OF_A_CARD).decode()))
    except OSError as error:
        said = error.strerror or "it is not a file"
        raise ModelError(
            f"the card cannot be read ({said})", "Name the card of an exported model.", path=model
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"the card of model '{name}' is damaged ({error})", _REMEDY) from error
    if unknown:
        more = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        said = f"the card of model '{name}' says what this version of relume does not know: {more}"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
    return card


def _locate(model: str) -> tuple[Traversable, str]:
    """Folder of a model's files, and its name."""
    if model.endswith(".json"):
        return Path(model).parent, Path(model).stem
    return WEIGHTS, model


def _read(file: Traversable, most: int) -> bytes:
    """The bytes of a regular file; one that is a pipe or a device would have no end.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is larger than `most` bytes, or its name is none.
    """
    if not file.is_file():
        raise FileNotFoundError("there is no such file")
    with file.open("rb") as opened:
        content = read_at_most(opened, most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    return content


def load_graph(model: str, card: Card, file_name: str) -> bytes:
    """A graph that lies beside its card, its checksum verified.

    Args:
        model: as for `load_card`.
        card: what that returned.
        file_name: one of the card's graphs.

    Raises:
        ModelError: missing, or not the file that the card names.
    """
    try:
        content = _read(_locate(model)[0] / Path(file_name).name, _MOST_OF_A_GRAPH)
    except (OSError, ValueError) as error:
        raise ModelError("the model's file cannot be read", _REMEDY, path=file_name) from error
    if hashlib.sha256(content).hexdigest() != card.files.get(file_name):
        raise ModelError("the model's file is not the one that its card names", _REMEDY, path=file_name)
    return content
