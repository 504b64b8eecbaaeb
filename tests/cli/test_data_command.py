from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from relume.cli.data import app
from relume.errors import ExitCode, RelumeError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failure(result: Result) -> RelumeError:
    """The error that `relume.cli.main` turns into a line and an exit code."""
    assert isinstance(result.exception, RelumeError)
    return result.exception


def image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for seed in range(6):
        for side in ("low", "high"):
            image(tmp_path / "pairs" / side / f"{seed}.png", seed)
    return tmp_path / "pairs"


def test_described_data_is_verified(pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    described = run("describe", pairs, "--name", "mine", "--terms", "my own", "-o", file)
    assert described.exit_code == 0
    assert described.stderr == f"wrote {file}\n"
    assert json.loads(file.read_text())["terms"] == "my own"
    result = run("verify", pairs, "--manifest", file)
    assert result.exit_code == 0
    assert result.stdout == "mine: 12 files, intact\n"


def test_a_manifest_goes_to_stdout(pairs: Path) -> None:
    result = run("describe", pairs, "--name", "mine", "--terms", "my own")
    assert len(json.loads(result.stdout)["files"]) == 12


def test_verify_names_the_first_differences(pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    run("describe", pairs, "--name", "mine", "--terms", "my own", "-o", file)
    (pairs / "low" / "1.png").unlink()
    image(pairs / "high" / "2.png", 77)
    result = run("verify", pairs, "--manifest", file, "--json")
    error = failure(result)
    assert error.exit_code == ExitCode.DATA
    assert "1 missing (low/1.png); 1 changed (high/2.png)" in str(error)
    (findings,) = json.loads(result.stdout)
    assert (findings["intact"], findings["missing"]) == (False, ["low/1.png"])


def test_the_root_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUME_DATA", str(tmp_path))
    assert "holds none of the sets lol_v1, sice_part1" in str(failure(run("verify")))
    (tmp_path / "lol_v1").mkdir()
    assert "1000 missing (eval15/high/1.png" in str(failure(run("verify")))
    assert "30 missing" in str(failure(run("verify", "--manifest", "lol_v1", "--only", "eval15")))
    assert failure(run("verify", "--only", "eval15")).exit_code == ExitCode.USAGE
    monkeypatch.delenv("RELUME_DATA")
    assert failure(run("verify")).exit_code == ExitCode.DATA


def test_unpack_reports_what_it_did(pairs: Path, tmp_path: Path) -> None:
    result = run("unpack", pairs, tmp_path / "out", "--workers", "1")
    assert result.exit_code == 0
    assert "12 written, 0 there already, 6 pairs" in result.stderr
    assert "0 written, 12 there already" in run("unpack", pairs, tmp_path / "out").stderr
    (pairs / "low" / "1.png").unlink()
    assert failure(run("unpack", pairs, tmp_path / "more")).exit_code == ExitCode.DATA


def test_split_prints_or_writes_json(pairs: Path, tmp_path: Path) -> None:
    result = run("split", pairs, "--share", "0.5")
    assert len(json.loads(result.stdout)["validation"]) == 3
    file = tmp_path / "split.json"
    assert run("split", pairs, "--share", "0.5", "-o", file).exit_code == 0
    assert file.read_text() == result.stdout
    assert (
        failure(run("split", pairs, "-o", tmp_path / "none" / "x.json")).exit_code
        == ExitCode.OUTPUT_UNWRITABLE
    )


@pytest.mark.parametrize("share", ["0", "1", "-1", "nan"])
def test_a_share_out_of_range_is_refused(pairs: Path, share: str) -> None:
    assert failure(run("split", pairs, "--share", share)).exit_code == ExitCode.USAGE


def test_leakage_reports_and_fails_only_on_request(pairs: Path, tmp_path: Path) -> None:
    image(tmp_path / "test" / "x.png", 3)
    image(tmp_path / "test" / "y.png", 99)
    result = run("leakage", tmp_path / "test", pairs / "high")
    assert result.exit_code == 0
    assert "identical" in result.stdout
    assert "1 of 2 images of the first set" in result.stdout
    found = json.loads(run("leakage", tmp_path / "test", pairs / "high", "--json").stdout)
    assert (found["identical"], found["affected"]) == (1, [1, 1])
    failed = run("leakage", tmp_path / "test", pairs / "high", "--fail")
    assert failure(failed).exit_code == ExitCode.DATA
    assert "identical" in failed.stdout


def test_leakage_without_any_match_passes(pairs: Path, tmp_path: Path) -> None:
    image(tmp_path / "test" / "y.png", 99)
    result = run("leakage", tmp_path / "test", pairs / "high", "--fail", "--threshold", "0.95")
    assert result.exit_code == 0
    assert "0 of 1 images" in result.stdout


def test_leakage_needs_one_thing_to_compare_with(pairs: Path) -> None:
    assert failure(run("leakage", pairs)).exit_code == ExitCode.USAGE
    both = run("leakage", pairs, pairs, "--split", "our485_scenes")
    assert failure(both).exit_code == ExitCode.USAGE
    foreign = run("leakage", pairs, "--split", "our485_scenes")
    assert "lacks" in str(failure(foreign))
