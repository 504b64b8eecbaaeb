"""The laboratory's commands: what they say to a newcomer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relume.errors import ExitCode
from relume.lab.formats import FORMATS
from relume.lab.recipe import Recipe, to_json
from relume.lab.recipes import RECIPES
from relume.lab.recipes.ablations import GRIDS
from shared import Result

Run = Callable[..., Result]


@pytest.mark.parametrize(("command", "names"), [("train", RECIPES), ("ablate", GRIDS)])
def test_without_arguments_they_list_what_there_is(
    relume: Run, command: str, names: dict[str, object]
) -> None:
    result = relume(command)
    assert (result.code, result.err) == (0, "")
    lines = result.out.decode().splitlines()
    assert [line.split()[0] for line in lines] == list(names)
    assert all(len(line) > 40 for line in lines)


def test_a_recipe_is_shown_without_pytorch() -> None:
    script = "import sys; sys.modules['torch'] = None; sys.argv = ['relume', 'train', 'lol', '--show']\n"
    script += "from relume.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "lol"


@pytest.fixture
def recipe(tiny_recipe: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.json"
    path.write_text(to_json(tiny_recipe))
    return path


def test_a_run_with_changes_is_resumed_without_naming_them_again(
    relume: Run, recipe: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, common = tmp_path / "run", ["--data", tiny_root, "--device", "cpu", "-q"]
    changed = ["--set", "seed=7", "--set", "phases.0.steps=4"]
    with monkeypatch.context() as patch:
        patch.setattr("relume.lab.training.loop.save_weights", _interrupted)
        assert relume("train", recipe, "-o", run, *changed, *common).code == ExitCode.INTERRUPTED
    result = relume("train", recipe, "-o", run, "--resume", *common)
    assert result.code == 0, result.err
    assert json.loads((run / "recipe.json").read_text())["seed"] == 7
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(recipe.read_text()), "name": "other"}))
    assert relume("train", other, "-o", run, "--resume", *common).code == ExitCode.USAGE
    assert relume("train", recipe, "-o", run, "--resume", "--set", "seed=8", *common).code == ExitCode.USAGE


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_missing_run_is_told(relume: Run, tmp_path: Path) -> None:
    result = relume("plot", tmp_path / "none")
    assert (result.code, result.err) == (
        ExitCode.MODEL,
        f"relume: {tmp_path / 'none'}: there is no such run. Name the folder of a training run.\n",
    )
    assert relume("export", tmp_path / "none", "--name", "a", "-o", tmp_path).code == ExitCode.MODEL


def test_a_missing_teacher_is_told_to_be_one(
    relume: Run, tiny_recipe: Recipe, tiny_root: Path, tmp_path: Path
) -> None:
    options = {"teachers": {"best": {"run": "runs/none"}}}
    losses = {"charbonnier": 1.0, "imitation-best": 1.0}
    made = replace(tiny_recipe, method="multi-teacher", method_options=options, losses=losses)
    (tmp_path / "taught.json").write_text(to_json(made))
    result = relume("train", tmp_path / "taught.json", "--data", tiny_root, "-o", tmp_path / "run", "-q")
    assert result.code == ExitCode.MODEL
    assert "runs/none: the recipe's teacher is this run: there is no such run. Train it first" in result.err
    assert "method_options by --set" in result.err
    assert "method_options.teachers" not in result.err


def test_a_run_to_start_from_that_is_missing_is_told_to_be_trained(
    relume: Run, recipe: Path, tiny_root: Path, tmp_path: Path
) -> None:
    result = relume(
        "train", recipe, "--set", "start=runs/none", "--data", tiny_root, "-o", tmp_path / "run", "-q"
    )
    assert result.code == ExitCode.MODEL
    assert "runs/none: there is no such file of weights, and no such run. Train the run first" in result.err
    assert "Errno" not in result.err


def test_a_format_without_a_photo_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    arguments = ("export", "photo", "--to", "pt2", "-o", str(tmp_path / "out"))
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "relume", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == ExitCode.USAGE
    assert "Name a dark one with --photo" in result.stderr
    assert not re.search(r"\| +torch$", result.stderr, re.MULTILINE)


def _convert(to: str) -> list[object]:
    return ["export", "photo", "--to", to, "--calibration", "PHOTO", "--photo", "PHOTO", "-o"]


PLACES = [
    *map(_convert, FORMATS),
    ["export", "RUN", "--name", "x", "-o"],
    ["train", "RECIPE", "--data", "ROOT", "-o"],
    ["ablate", "iaml", "--data", "ROOT", "-o"],
    ["prune", "RUN", "--data", "ROOT", "--runs"],
    ["search", "--data", "ROOT", "--runs"],
    ["lab", "soup", "RUN", "-o"],
    ["lab", "grow", "RUN", "RECIPE", "-o"],
    ["lab", "units", "RUN", "--data", "ROOT", "-o"],
    ["lab", "graphs", "-o"],
    ["data", "pack", "RECIPE", "--data", "ROOT", "-o"],
    ["data", "shard", "RECIPE", "--data", "ROOT", "-o"],
]
FILES = [
    ["ablate", "iaml", "--data", "ROOT", "--maps"],
    ["ablate", "iaml", "--data", "ROOT", "--csv"],
    ["lab", "bench", "lol", "--data", "ROOT", "-o"],
]


@pytest.mark.parametrize(
    ("arguments", "below"),
    [*((each, "") for each in PLACES), *((each, "deep/folder") for each in [*PLACES, *FILES])],
)
def test_a_place_that_cannot_be_written_into_is_refused_before_any_work(
    relume: Run,
    photo: Callable[..., Path],
    recipe: Path,
    tiny_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    below: str,
) -> None:
    (tmp_path / "file").write_text("no folder")
    named = {"PHOTO": photo("dark.png"), "RUN": tmp_path, "RECIPE": recipe, "ROOT": tiny_root}
    work = ("data.paired.load_pair", "run.Run.network", "export.export_graphs", "formats.source_of")
    for name in work:
        monkeypatch.setattr(f"relume.lab.{name}", _worked)
    result = relume(*(named.get(each, each) for each in arguments), tmp_path / "file" / below)
    assert result.code == ExitCode.OUTPUT_UNWRITABLE, result.err
    assert f"relume: {tmp_path}/file" in result.err.splitlines()[-1]


def _worked(*_: object, **__: object) -> None:
    raise AssertionError("work was done")


TRACED = """
import torch
from relume.lab.tracing import SIZES, trace
trace(torch.nn.Conv2d(3, 3, 3), {"x": torch.rand(1, 3, 16, 16)}, ["y"], {"x": SIZES})
"""


def test_what_the_exporter_says_of_other_packages_stays_with_it() -> None:
    done = subprocess.run([sys.executable, "-c", TRACED], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_table_that_is_not_there_is_named_once(relume: Run, tmp_path: Path) -> None:
    for command in (["prune"], ["search"], ["ablate", "iaml"]):
        result = relume(*command, "--from", tmp_path / "none.csv")
        assert (result.code, result.err.count("none.csv")) == (ExitCode.DATA, 1)
        assert "(No such file or directory). Check the name." in result.err
