"""ONNX Runtime."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from threading import Lock
from typing import Any

import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from relume.arrays import Floats
from relume.errors import InputTooLarge, ModelError, UsageError, scarce
from relume.models.engines.base import one_line
from relume.threads import available

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}

# It has no types of its own.
ort: Any = onnxruntime

_REMEDY = "Install relume again, or export the model again."


def available_devices() -> list[str]:
    """Devices that the installed ONNX Runtime can compute on, the fastest first."""
    present = ort.get_available_providers()
    return [device for device in ("cuda", "directml", "coreml", "cpu") if _PROVIDERS[device] in present]


def _choose(device: str) -> str:
    """CUDA where it is there; CoreML and DirectML only on request, since they compile each size anew."""
    if device == "auto":
        return "cuda" if "cuda" in available_devices() else "cpu"
    if device not in available_devices():
        raise UsageError(
            f"device '{device}' is not among those that the installed ONNX Runtime computes on",
            f"Choose from: auto, {', '.join(available_devices())}.",
        )
    return device


def _session(model: bytes, options: Any, providers: list[str]) -> tuple[Any, str]:
    """A session, on the last of the providers alone where one before it fails; and why one failed.

    Not by ONNX Runtime's own way to do so, which prints on stdout.
    """
    try:
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=False)
        return session, "ONNX Runtime does not say why"
    except (ValueError, RuntimeError) as error:
        if len(providers) == 1:
            raise
        session = ort.InferenceSession(model, options, providers=providers[-1:], enable_fallback=False)
        return session, one_line(error)


class OnnxEngine:
    """A graph in ONNX Runtime.

    Args:
        model: the serialised graph.
        device: see `EnhanceOptions.device`.
        threads: CPU threads, 0 for as many as the process may use.

    Raises:
        ModelError: the graph cannot be loaded.
        OutOfResources: too little memory, or no more threads.
        UsageError: no such device.
    """

    def __init__(self, model: bytes, *, device: str = "auto", threads: int = 0) -> None:
        chosen = _choose(device)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available()
        # Threads that wait by spinning take the processor from those that work: with other programs beside
        # it, or more threads than cores, that costs many times what it gains.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # What fails in a run is raised; the log would print it as well.
        self._run_options = ort.RunOptions()
        self._run_options.log_severity_level = 4
        # Within a run memory is used again, which spares a sixth of its time; afterwards most is given back,
        # for photos come in many sizes, and what the largest needed would be held for ever.
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        providers = list(dict.fromkeys([_PROVIDERS[chosen], _PROVIDERS["cpu"]]))
        try:
            self._session, reason = _session(model, options, providers)
        except Exception as error:
            if lacking := scarce(str(error), memory=True):
                raise lacking from error
            raise ModelError(f"ONNX Runtime cannot load the model ({one_line(error)})", _REMEDY) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        # DirectML allows one thread at a time to run a session.
        self._turn = Lock() if chosen == "directml" else nullcontext()
        if self._session.get_providers()[0] != _PROVIDERS[chosen]:
            told = f"{chosen} could not be started ({reason}); computing on the CPU"
            warnings.warn(told, RuntimeWarning, stacklevel=2)

    def run(self, **inputs: Floats) -> dict[str, Floats]:
        """Return the graph's outputs by name.

        Raises:
            InputTooLarge: more than memory holds.
            ModelError: the graph does not fit its inputs.
        """
        try:
            with self._turn:
                outputs: Any = self._session.run(self._outputs, inputs, self._run_options)
        except Exception as error:  # ONNX Runtime tells its errors apart by their text only
            if scarce(str(error), memory=True):
                reason, remedy = "there is not enough memory for the photo", "Take smaller tiles."
                raise InputTooLarge(reason, remedy) from error
            raise ModelError(f"ONNX Runtime cannot run the model ({one_line(error)})", _REMEDY) from error
        return dict(zip(self._outputs, outputs, strict=True))

    def stop(self) -> None:
        """End what it runs, between two nodes of the graph, and refuse to run again."""
        self._run_options.terminate = True
