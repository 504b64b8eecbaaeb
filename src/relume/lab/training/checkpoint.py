"""Checkpoints: whole or not there, loaded without executing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from relume.errors import ModelError
from relume.files import replacing
from relume.lab.run import Run


def save_checkpoint(run: Path, state: Mapping[str, Any]) -> None:
    """Write everything that an exact resume needs; the file is replaced in one step.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    with replacing(Run(run).checkpoint_file, durable=True) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:
            # torch fails once more, at the end of the file that was cut short.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(run: Path) -> dict[str, Any]:
    """Read a run's checkpoint; tensors and plain values only, never pickled code.

    Raises:
        ModelError: none there, or damaged.
    """
    path = Run(run).checkpoint_file
    if not path.exists():
        raise ModelError("there is no checkpoint to resume from", "Start without --resume.", path=path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            "the checkpoint is damaged", "Start anew in another run folder.", path=path
        ) from error
