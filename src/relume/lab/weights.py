"""Files of a network's weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from relume.errors import ModelError
from relume.files import write_file

_LONGEST = 200
"""Letters of what a library says of wrong weights, at most: it may name each of them."""


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's weights and buffers as safetensors, float32; the file is replaced in one step.

    Raises:
        OutputUnwritable: no such folder, no permission or space.
    """
    state: dict[str, Tensor] = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_file(path, save(state))


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
    except FileNotFoundError as error:
        raise ModelError(
            "there is no such file of weights, and no such run",
            "Train the run first (relume train NAME -o RUN), or name another.",
            path=path,
        ) from error
    except Exception as error:
        raise ModelError(
            f"the weights cannot be read or do not fit ({_in_short(error)})",
            "Give a .safetensors or .pth file of this network's tensors.",
            path=path,
        ) from error


def _in_short(error: Exception) -> str:
    """What is wrong, without PyTorch's advice to read files as code."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds no tensors alone"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split())[:_LONGEST]


def _without_denormals(value: Tensor) -> Tensor:
    """Zero what is too small to matter: weight decay leaves such numbers, and they slow a CPU fifty times."""
    return torch.where(value.abs() < 1e-20, 0, value) if value.is_floating_point() else value


def _tensors(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("params_ema", "params", "state_dict"):
        content = content.get(key, content)
    return {name.removeprefix("module."): value for name, value in content.items()}
