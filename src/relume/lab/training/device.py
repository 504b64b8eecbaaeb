"""Which device computes, and in which precision."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from relume.errors import UsageError


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; other names are PyTorch's own.

    Raises:
        UsageError: a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{name}' is not available", "Use --device cpu, cuda, mps or auto."
        ) from error
    return device


def random_state(device: torch.device) -> dict[str, Tensor]:
    """State of the random numbers that a run on this device draws: the CPU's, and the device's own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_state(device: torch.device, states: Mapping[str, Tensor]) -> None:
    """Continue from what `random_state` returned; a device that it does not tell of stays as it is."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: recent GPUs, and CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def pick_precision(device: torch.device, precision: str = "auto") -> str:
    """`auto` is bfloat16 where the device computes with it fast, else float16 on CUDA, else float32."""
    if precision != "auto":
        return precision
    if computes_bfloat16(device):
        return "bfloat16"
    return "float16" if device.type == "cuda" else "float32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision, named as by `pick_precision`; master weights stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))
