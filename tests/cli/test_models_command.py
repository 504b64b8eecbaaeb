"""`relume models` and `relume doctor`."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from relume.cli import models
from relume.doctor import EXTRAS
from relume.errors import ExitCode, OutputUnwritable
from relume.models import load_card, store
from relume.photo import FORMATS, Photo, encode_photo
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
    assert facts.keys() >= {"relume", "python", "platform", "packages", "faults", "devices", "extras"}
    assert facts["faults"] == {}
    assert facts["formats"] == dict.fromkeys(FORMATS, "ok")
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


@pytest.mark.parametrize("package", ["pyvips", "onnxruntime", "rawpy"])
def test_doctor_finds_a_package_that_does_not_load(
    relume: Run, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("relume.models.list_models", list)
    result = relume("doctor", "--json")
    facts = json.loads(result.out)
    assert (result.code, result.err) == (ExitCode.MISSING_EXTRA, "")
    assert facts["packages"][package][0].isdecimal()
    assert list(facts["faults"]) == [package]
    assert facts["faults"][package].startswith("installed, but does not load: ")
    assert bool(facts["formats"]) == (package == "rawpy")


def test_doctor_shows_versions_before_a_package_that_does_not_load(
    relume: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    out = relume("doctor").out.decode()
    assert re.match(r"relume \d", out)
    assert re.search(r"\n  pyvips +\d.*\n(.*\n)*pyvips: installed, but does not load: ", out)


def test_doctor_tells_extras_and_missing_packages(relume: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("numpy", "pi-heif", "onnx", "openvino"):
            raise metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    result = relume("doctor", "--json")
    facts = json.loads(result.out)
    states = {"heif": "not installed", "jxl": "installed", "raw": "installed", "lab": "lacks onnx"}
    states["openvino"] = "not installed"
    names = ("metrics", "study", "tasks", "video", "serve", "cloud", "ray")
    installed = dict.fromkeys(names, "installed")
    assert facts["extras"] == states | installed
    assert (list(facts["faults"]), result.code) == (["numpy"], ExitCode.MISSING_EXTRA)


def test_doctor_finds_a_format_that_cannot_be_written(relume: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(photo: Photo, *, format: str) -> tuple[bytes, tuple[str, ...]]:  # noqa: A002
        if format == "avif":
            raise OutputUnwritable("the AVIF encoder failed")
        return encode_photo(photo if format != "webp" else Photo(photo.rgb_HWC + 20), format=format)

    monkeypatch.setattr("relume.photo.encode_photo", encode)
    monkeypatch.setattr("relume.models.list_models", list)
    result = relume("doctor", "--json")
    formats = json.loads(result.out)["formats"]
    assert result.code == ExitCode.OUTPUT_UNWRITABLE
    assert formats.pop("avif") == "the AVIF encoder failed."
    assert formats.pop("webp").startswith("wrong result")
    assert set(formats.values()) == {"ok"}


def test_doctor_knows_the_extras_that_the_package_declares() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared = {
        extra: {re.split(r"[<>=]", package)[0] for package in packages}
        for extra, packages in project["optional-dependencies"].items()
    }
    declared.pop("dev")
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == declared
