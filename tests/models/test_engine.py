"""The engine turns the runtime's errors into relume's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest

from relume.errors import InputTooLarge, ModelError, UsageError
from relume.models import load_card, load_graph
from relume.models.engines import OnnxEngine, available_devices, onnx


@pytest.fixture
def engine() -> OnnxEngine:
    card = load_card("lol")
    return OnnxEngine(load_graph("lol", card, "lol.global.onnx"), device="cpu", threads=1)


def test_the_processor_is_always_there() -> None:
    assert available_devices()[-1] == "cpu"


def test_no_graph_at_all() -> None:
    with pytest.raises(ModelError, match="cannot load") as caught:
        OnnxEngine(b"no graph")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["tpu", "", "CPU"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(UsageError, match="cpu"):
        OnnxEngine(b"", device=device)


def test_directml_runs_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    class Session:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]  # DirectML could not be started, which is told

        def get_outputs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(name="enhanced")]

        def run(self, *_: object) -> list[int]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            sleep(0.01)
            running -= 1
            return [0]

    monkeypatch.setattr(onnx.ort, "InferenceSession", Session)
    monkeypatch.setattr(onnx, "available_devices", lambda: ["directml", "cpu"])
    with pytest.warns(RuntimeWarning, match="directml could not be started"):
        engine = OnnxEngine(b"", device="directml")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.run(), range(8)))
    assert most == 1


@pytest.mark.parametrize(("device", "well"), [("cuda", True), ("cpu", False)])
def test_a_device_that_fails_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], device: str, well: bool
) -> None:
    """ONNX Runtime's own way to fall back prints on stdout, where a photo may be on its way."""
    asked: list[list[str]] = []

    class Session(onnx.ort.InferenceSession):
        def _create_inference_session(self, providers: list[str], *_: object) -> None:
            asked.append(list(providers))
            self._fallback_providers = ["CPUExecutionProvider"]
            if not well or providers[0] != "CPUExecutionProvider":
                raise RuntimeError("no such luck")

        def get_outputs(self) -> list[SimpleNamespace]:
            return []

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnx.ort, "InferenceSession", Session)
    monkeypatch.setattr(onnx, "available_devices", lambda: ["cuda", "cpu"])
    if well:
        with pytest.warns(RuntimeWarning, match=r"cuda could not be started \(no such luck\)"):
            OnnxEngine(b"", device=device)
        assert asked == [["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]]
    else:
        with pytest.raises(ModelError, match="no such luck"):
            OnnxEngine(b"", device=device)
        assert len(asked) == 1
    assert capfd.readouterr().out == ""


def test_unfitting_inputs(engine: OnnxEngine) -> None:
    with pytest.raises(ModelError, match="cannot run") as caught:
        engine.run(thumbnail=np.zeros((1, 5, 3, 3), np.float32))
    assert "\n" not in str(caught.value)


def test_too_little_memory(engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    monkeypatch.setattr(engine, "_session", SimpleNamespace(run=fails))
    with pytest.raises(InputTooLarge, match="smaller tiles"):
        engine.run(thumbnail=np.zeros((1, 3, 64, 64), np.float32))
