"""Which runtime runs a graph, and whether the processor is made for integers."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from relume.errors import UsageError
from relume.models.engines.base import Engine
from relume.models.engines.onnx import OnnxEngine

_INT8 = {"avx512_vnni", "avx_vnni", "asimddp"}
"""Instructions, as Linux names them. Without them products of 8 bits gain little, and overflow on x86."""


def load_engine(
    name: str, model: bytes, *, device: str = "auto", threads: int = 0, bfloat16: bool = False
) -> Engine:
    """A graph in the runtime of this name.

    Args:
        name: see `EnhanceOptions.engine`.
        model: the serialised graph.
        device, threads: see `EnhanceOptions`.
        bfloat16: products in bfloat16, as OpenVINO has them.

    Raises:
        MissingExtra: the runtime is not installed.
        ModelError: the graph cannot be loaded.
        OutOfResources: too little memory, or no more threads.
        UsageError: no such device, or no bfloat16 there.
    """
    if name == "onnxruntime":
        if bfloat16:
            raise UsageError("ONNX Runtime does not compute in bfloat16", "Add --engine openvino.")
        return OnnxEngine(model, device=device, threads=threads)
    if device not in ("auto", "cpu"):
        raise UsageError(f"OpenVINO does not compute on '{device}' here", "Leave --device or --engine out.")
    from relume.models.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, threads=threads, bfloat16=bfloat16)


@cache
def is_fast_at_int8() -> bool:
    """Whether this processor multiplies integers of 8 bits fast and without overflow, as far as is known."""
    if platform.machine() == "arm64":  # Apple's, all of which do
        return True
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return not _INT8.isdisjoint(told.split())
