"""`relume models` and `relume doctor`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relume.cli import models
from relume.errors import ExitCode
from relume.zoo import load_card, store
from shared import Result

Run = Callable[..., Result]


def test_models_as_json(relume: Run) -> None:
    result = relume("models", "--json")
    assert (result.code, result.err) == (0, "")
    rows = json.loads(result.out)
    for row in rows:
        assert row.keys() >= {"name", "params", "gmacs_256", "shipped"}
        assert row["params"] > 0
        assert row["gmacs_256"] > 0
    assert [row["name"] for row in rows if row["shipped"]] == ["lol", "photo"]


def test_models_as_text(relume: Run) -> None:
    result = relume("models")
    assert result.code == 0
    assert "shipped" in result.out.decode().splitlines()[0]


def test_without_the_laboratory_the_shipped_models_remain(
    relume: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    assert all(row["shipped"] for row in json.loads(relume("models", "--json").out))


def test_a_card(relume: Run) -> None:
    result = relume("models", "lol")
    card = json.loads(result.out)
    assert result.code == 0
    assert card["name"] == "lol"
    assert card["files"] == load_card("lol").files


def test_no_such_card(relume: Run) -> None:
    result = relume("models", "none")
    assert (result.code, result.out) == (ExitCode.MODEL, b"")
    assert result.err.count("\n") == 1


def test_doctor_finds_all_well(relume: Run) -> None:
    result = relume("doctor")
    assert result.code == 0
    assert "model lol: ok" in result.out.decode()


def test_doctor_as_json(relume: Run) -> None:
    facts = json.loads(relume("doctor", "--json").out)
    assert facts.keys() >= {"relume", "python", "platform", "packages", "devices", "models"}
    assert facts["models"] == {"lol": "ok", "photo": "ok"}
    assert "cpu" in facts["devices"]


def test_doctor_finds_a_damaged_model(
    relume: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_enhancer: Callable[..., Any]
) -> None:
    monkeypatch.setattr("relume.enhancer.Enhancer", kept_enhancer.__wrapped__)
    shutil.copytree(str(store.WEIGHTS), tmp_path / "weights")
    monkeypatch.setattr(store, "WEIGHTS", tmp_path / "weights")
    (tmp_path / "weights" / "lol.local.onnx").write_bytes(b"damaged")
    result = relume("doctor")
    assert result.code == ExitCode.MODEL
    assert "lol.local.onnx" in result.out.decode()
