"""`relume evaluate --stress`: trials that get worse, and what they find."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from relume.errors import DataError, ExitCode, ModelError
from relume.evaluate.metrics import psnr
from relume.evaluate.stress import Trial, limits_of, run_stress, stress_csv, stress_table
from relume.evaluate.tasks.items import pictures_of
from relume.lab.data.stress import trials
from relume.photo import Photo, write_photo
from shared import Result

Run = Callable[..., Result]


def _picture(rows: int = 48, columns: int = 64) -> np.ndarray:
    random = np.random.default_rng(0)
    coarse = random.integers(40, 220, (6, 8, 3)).astype(float)
    return coarse.repeat(rows // 6, 0).repeat(columns // 8, 1).astype(np.uint8)


def _plain(trial_axis: str) -> list[Trial]:
    return [trial for trial in trials() if trial.axis == trial_axis]


def test_the_axes_are_those_that_were_asked_for() -> None:
    axes = {trial.axis: [each.level for each in trials() if each.axis == trial.axis] for trial in trials()}
    assert axes["light"] == [f"1/{2**stop}" for stop in range(1, 9)]
    assert len(axes["camera"]) == 5
    assert axes["jpeg"] == ["95", "85", "70", "50", "30"]
    assert axes["size"] == ["16x16", "64x64", "256x256", "1 MP", "12 MP"]
    assert axes["dead channel"] == ["red", "green", "blue"]
    assert {"bits", "blur", "colour"} <= axes.keys()
    assert [trial.level for trial in trials() if trial.alone] == ["1 MP", "12 MP"]


@pytest.mark.parametrize("axis", ["light", "blur"])
def test_each_step_is_worse_than_the_one_before(axis: str) -> None:
    clean = _picture()
    scores = []
    for trial in _plain(axis):
        dark, target = trial.make("a", clean)
        assert target is clean
        # Brightness apart, which is what a method is to bring back.
        scores.append(
            psnr(dark, target)
            if axis == "light"
            else float(np.abs(np.diff(dark.astype(float), axis=1)).max())
        )
    assert all(before > after for before, after in pairwise(scores))


def test_fewer_bits_leave_fewer_levels() -> None:
    random = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    counts = [len(np.unique(trial.make("a", random)[0])) for trial in _plain("bits")]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= 16


@pytest.mark.parametrize("level", ["16x16", "64x64", "1 MP"])
def test_sizes(level: str) -> None:
    trial = next(trial for trial in _plain("size") if trial.level == level)
    dark, target = trial.make("a", _picture())
    assert dark.shape == target.shape
    wanted = 1_000_000 if level == "1 MP" else int(level.split("x")[0]) ** 2
    assert dark.shape[0] * dark.shape[1] == pytest.approx(wanted, rel=0.01)


def test_a_dead_channel_is_black_and_the_others_are_not() -> None:
    for channel, trial in enumerate(_plain("dead channel")):
        dark, _ = trial.make("a", _picture())
        assert [bool(dark[..., each].any()) for each in range(3)] == [each != channel for each in range(3)]


def test_coloured_light_keeps_its_luminance() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    means = {trial.level: trial.make("a", grey)[0].mean((0, 1)) for trial in _plain("colour")}
    assert means["red"].argmax() == 0
    assert means["green"].argmax() == 1
    assert means["blue"].argmax() == 2


def _same(_: str, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return clean, clean


def test_failures_are_counted_and_leave_the_means_alone() -> None:
    pictures = [("a", _picture()), ("b", _picture()), ("c", _picture()), ("d", _picture())]

    def enhance(name: str, dark: np.ndarray) -> np.ndarray:
        if name == "a":
            raise ModelError("it broke")
        if name == "b":
            return dark[1:]
        return np.full(dark.shape, np.nan) if name == "c" else dark

    rows = run_stress(enhance, pictures, [Trial("light", "1", _same), Trial("light", "2", _same, alone=True)])
    assert (rows[0].images, rows[0].failed, rows[0].psnr, rows[0].ssim) == (4, 3, 100.0, 1.0)
    assert rows[0].reason == "it broke"
    assert (rows[1].images, rows[1].failed, rows[1].psnr) == (1, 1, None)
    assert "1 of 1" in stress_table(rows)
    assert "Fails at light 1, light 2." in limits_of(rows)
    lines = list(csv.DictReader(stress_csv({"mine": rows}).splitlines()))
    assert [line["psnr"] for line in lines] == ["100.00000", ""]


def test_an_error_of_our_own_is_not_a_failure_of_the_method() -> None:
    def enhance(name: str, dark: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stress(enhance, [("a", _picture())], [Trial("light", "1", _same)])
    with pytest.raises(DataError, match="no picture"):
        run_stress(enhance, [], [])


def test_pictures_are_drawn_or_read(tmp_path: Path) -> None:
    assert len(pictures_of(None, 2)) == 2
    write_photo(Photo(np.full((900, 1300, 3), 90, np.uint8)), tmp_path / "big.png")
    [(name, pixels)] = pictures_of(tmp_path, 4)
    assert (name, max(pixels.shape)) == ("big", 640)


def test_the_command(relume: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    few = [trial for trial in trials() if trial.axis in ("light", "dead channel")]
    monkeypatch.setattr("relume.lab.data.stress.trials", lambda: few)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in "ab":
        write_photo(Photo(_picture()), photos / f"{name}.png")
    out = tmp_path / "s.csv", tmp_path / "s.json", tmp_path / "s.png"
    result = relume(
        "evaluate", photos, "--stress", "--classical", "input,gamma", *("-o", out[0]),
        *("-o", out[1], "-o", out[2]),
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = list(csv.DictReader(out[0].read_text().splitlines()))
    assert [row["method"] for row in rows] == ["input"] * len(few) + ["gamma"] * len(few)
    assert all(row["failed"] == "0" and math.isfinite(float(row["psnr"])) for row in rows)
    content = json.loads(out[1].read_text())
    assert "No trial failed." in content["gamma"]["limits"]
    assert len(content["gamma"]["rows"]) == len(few)
    assert out[2].read_bytes().startswith(b"\x89PNG")


def test_stress_takes_no_targets(relume: Run, tmp_path: Path) -> None:
    result = relume("evaluate", tmp_path, tmp_path, "--stress", "--classical", "input")
    assert result.code == ExitCode.USAGE
    assert "HIGH" in result.err


def test_a_task_and_stress_are_two_runs(relume: Run) -> None:
    result = relume("evaluate", "--stress", "--task", "ocr", "--classical", "input")
    assert result.code == ExitCode.USAGE


def test_photographs_are_not_replaced_by_what_is_measured_on_them(relume: Run, tmp_path: Path) -> None:
    write_photo(Photo(_picture()), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    result = relume("evaluate", tmp_path, "--stress", "--classical", "input", "-o", tmp_path / "a.png")
    assert result.code != 0
    assert (tmp_path / "a.png").read_bytes() == before
