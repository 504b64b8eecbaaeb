"""OpenVINO, of the extra `openvino`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np

from relume.arrays import Floats
from relume.errors import InputTooLarge, MissingExtra, ModelError, UsageError, install, scarce
from relume.models.engines.base import one_line
from relume.threads import available

_REMEDY = "Choose another engine, such as onnxruntime."

CACHE_VARIABLE = "RELUME_CACHE"
"""Environment variable that names a folder for compiled graphs; without it nothing is kept."""


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16, as OpenVINO, which must be installed, says."""
    import openvino  # pyright: ignore[reportMissingImports]

    library: Any = openvino
    return "BF16" in library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """A graph in OpenVINO, on the processor, in single precision where the graph has it.

    Args:
        model: the serialised ONNX graph.
        threads: CPU threads, 0 for as many as the process may use.
        bfloat16: products in bfloat16, which some processors have.

    Raises:
        MissingExtra: OpenVINO is not installed.
        ModelError: the graph cannot be loaded.
        OutOfResources: too little memory, or no more threads.
        UsageError: the processor has no bfloat16.
    """

    def __init__(self, model: bytes, *, threads: int = 0, bfloat16: bool = False) -> None:
        if find_spec("openvino") is None:
            raise MissingExtra("OpenVINO is not installed", install("openvino"))
        import openvino  # pyright: ignore[reportMissingImports]

        library: Any = openvino  # its types are not whole
        settings = {
            "INFERENCE_NUM_THREADS": threads or available(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        if bfloat16 and not has_bfloat16():
            raise UsageError("this processor has no bfloat16", "Choose another --precision, or auto.")
        try:
            core = library.Core()
            if cache := os.environ.get(CACHE_VARIABLE):
                core.set_property({"CACHE_DIR": cache})
            self._compiled = core.compile_model(core.read_model(model=model, weights=b""), "CPU", settings)
        except Exception as error:
            if lacking := scarce(str(error), memory=True):
                raise lacking from error
            raise ModelError(f"OpenVINO cannot load the model ({one_line(error)})", _REMEDY) from error
        self._outputs = [output.any_name for output in self._compiled.outputs]
        self._stopped = False

    def run(self, **inputs: Floats) -> dict[str, Floats]:
        """Return the graph's outputs by name.

        Raises:
            InputTooLarge: more than memory holds.
            ModelError: the graph does not fit its inputs.
        """
        if self._stopped:
            raise ModelError("the model was stopped", _REMEDY)
        try:
            # A request of its own for each call, since several threads may run the graph.
            request = self._compiled.create_infer_request()
            results = request.infer({name: np.ascontiguousarray(values) for name, values in inputs.items()})
        except Exception as error:
            if scarce(str(error), memory=True):
                reason, remedy = "there is not enough memory for the photo", "Take smaller tiles."
                raise InputTooLarge(reason, remedy) from error
            raise ModelError(f"OpenVINO cannot run the model ({one_line(error)})", _REMEDY) from error
        return {name: np.array(results[name]) for name in self._outputs}

    def stop(self) -> None:
        """Refuse to run again; what it runs goes on to its end."""
        self._stopped = True
