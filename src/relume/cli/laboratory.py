"""What the laboratory's commands share."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from relume.errors import DataError, MissingExtra

DATA_VARIABLE = "RELUME_DATA"


def require_laboratory() -> None:
    """Raises MissingExtra unless the laboratory's dependencies are installed."""
    missing = [name for name in ("torch", "safetensors", "pydantic") if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"the laboratory needs {', '.join(missing)}", "Run: pip install 'relume[lab]'")


def data_root(given: Path | None) -> Path:
    """The data root: as given, else from the environment.

    Raises:
        DataError: neither, or no such folder.
    """
    root = given or (Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None)
    if root is None:
        raise DataError("no data root is known", f"Name the data root, or set {DATA_VARIABLE}.")
    if not root.is_dir():
        raise DataError(
            "there is no such folder", "Unpack the data there: relume data unpack --help", path=root
        )
    return root
