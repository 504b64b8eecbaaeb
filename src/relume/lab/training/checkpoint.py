"""Checkpoints: whole or not there, loaded without executing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from relume.errors import ModelError

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"


def save_checkpoint(run: Path, state: Mapping[str, Any]) -> None:
    """Write everything that an exact resume needs; the file is replaced in one step."""
    partial = run / f"{CHECKPOINT}.partial"
    torch.save(dict(state), partial)
    partial.replace(run / CHECKPOINT)


def load_checkpoint(run: Path) -> dict[str, Any]:
    """Read a run's checkpoint; tensors and plain values only, never pickled code.

    Raises:
        ModelError: none there, or damaged.
    """
    path = run / CHECKPOINT
    if not path.exists():
        raise ModelError("there is no checkpoint to resume from", "Start without --resume.", path=path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            "the checkpoint is damaged", "Start anew in another run folder.", path=path
        ) from error


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's weights and buffers as safetensors, float32."""
    state: dict[str, Tensor] = {name: value.contiguous() for name, value in network.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    save_file(state, partial)
    partial.replace(path)


def weights_of(path: Path) -> Path:
    """The file of weights that a run folder or the file itself stands for."""
    return path / WEIGHTS if path.is_dir() else path


def load_weights(path: Path, network: nn.Module) -> None:
    """Read weights into a network of the same shape.

    Args:
        path: `.safetensors`, or PyTorch's own format, of which only tensors are read, never code; those that
            published checkpoints keep below `params` or `state_dict` are found.
        network: where they go.

    Raises:
        ModelError: the file is missing, damaged, or belongs to another network.
    """
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _tensors(path)
        network.load_state_dict({name: _without_denormals(value) for name, value in state.items()})
    except Exception as error:
        raise ModelError(
            f"the weights cannot be read or do not fit ({error})",
            "Give a .safetensors or .pth file of this network's tensors.",
            path=path,
        ) from error


def _without_denormals(value: Tensor) -> Tensor:
    """Zero what is too small to matter: weight decay leaves such numbers, and they slow a CPU fifty times."""
    return torch.where(value.abs() < 1e-20, 0, value) if value.is_floating_point() else value


def _tensors(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("params_ema", "params", "state_dict"):
        content = content.get(key, content)
    return {name.removeprefix("module."): value for name, value in content.items()}
