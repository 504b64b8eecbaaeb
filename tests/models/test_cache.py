"""OpenVINO keeps compiled graphs where it is told to, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from relume.models import load_card, load_graph
from relume.models.engines import load_engine


@pytest.mark.parametrize("wanted", [True, False])
def test_compiled_graphs_are_kept_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELUME_CACHE", raising=False)
    if wanted:
        monkeypatch.setenv("RELUME_CACHE", str(tmp_path / "cache"))
    load_engine("openvino", load_graph("lol", load_card("lol"), "lol.global.onnx"), threads=1)
    assert any(tmp_path.rglob("*.blob")) is wanted
