"""Engines by their names, and precisions by what the processor is made for."""

from __future__ import annotations

import numpy as np
import pytest

from relume import Enhancer
from relume.errors import MissingExtra, ModelError, UsageError
from relume.models.engines import choice, load_engine
from relume.models.engines import openvino as module


def test_openvino_enhances_as_onnx_runtime_does() -> None:
    pytest.importorskip("openvino")
    dark = np.random.default_rng(0).integers(0, 40, (70, 90, 3), np.uint8)
    ours, theirs = (
        Enhancer(engine=engine, precision="float32", device="cpu", threads=1).enhance(dark).astype(int)
        for engine in ("onnxruntime", "openvino")
    )
    assert np.abs(ours - theirs).max() <= 1
    assert ours.mean() > 2 * dark.mean()


def test_openvino_computes_in_bfloat16_where_the_processor_does() -> None:
    library = pytest.importorskip("openvino")
    dark = np.random.default_rng(0).integers(0, 40, (70, 90, 3), np.uint8)
    if "BF16" not in library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UsageError, match="no bfloat16"):
            Enhancer(engine="openvino", precision="bfloat16")
        return
    ours, theirs = (
        Enhancer(engine="openvino", precision=precision, threads=1).enhance(dark).astype(int)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(ours - theirs).max() <= 3


def test_onnx_runtime_has_no_bfloat16() -> None:
    with pytest.raises(UsageError, match="--engine openvino"):
        Enhancer(precision="bfloat16")


def test_openvinos_errors_are_relumes() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(ModelError, match="cannot load") as caught:
        load_engine("openvino", b"no graph")
    assert "\n" not in str(caught.value)


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"\[openvino\]"):
        load_engine("openvino", b"")


def test_openvino_takes_no_other_device() -> None:
    with pytest.raises(UsageError, match="cuda"):
        load_engine("openvino", b"", device="cuda")


def test_unknown_engines_are_refused() -> None:
    with pytest.raises(UsageError, match="onnxruntime or openvino"):
        Enhancer(engine="tensorrt")


@pytest.mark.parametrize(
    ("flags", "fast"), [("sse4_2 avx2", False), ("avx2 avx512_vnni", True), ("asimd asimddp", True)]
)
def test_what_a_processor_says_decides(monkeypatch: pytest.MonkeyPatch, flags: str, fast: bool) -> None:
    monkeypatch.setattr(choice.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(choice.Path, "read_text", lambda _: f"flags\t\t: fpu {flags}\n")
    choice.is_fast_at_int8.cache_clear()
    assert choice.is_fast_at_int8() is fast
    choice.is_fast_at_int8.cache_clear()
