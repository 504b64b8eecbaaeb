"""What the documents and docstrings show is run: commands, Python, and what they print."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import relume as package
from relume import evaluate
from relume.errors import ExitCode
from shared import Result, dark

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/how-to.md", "docs/tutorial.md")

LEFT_OUT = {
    "train": "takes minutes; tests/lab trains",
    "--run": "needs a trained run; tests/lab evaluates some",
    "watch": "waits for photos; tests/cli has some come",
    "serve": "answers until it is stopped; tests/service asks it",
    "night.mp4": "takes long; tests/video enhances clips",
    "s3://bucket/dark": "needs a store; tests/jobs starts one",
}
"""Words of commands that are not run here, and why."""

MODULES = (
    "relume", "relume.datasets.overlap", "relume.datasets.pairs", "relume.enhancer", "relume.errors",
    "relume.evaluate.metrics", "relume.evaluate.protocol", "relume.evaluate.tasks.scores", "relume.options",
    "relume.photo.photo", "relume.photo.read", "relume.photo.write",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What examples find in the current folder: a dark photo, folders of photos, and pairs."""

    def put(name: str, seed: int = 0, light: int = 1) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.minimum(light * dark(seed=seed).astype(int), 255).astype(np.uint8)).save(path)

    put("night.jpg")
    for seed in (1, 2):
        put(f"photos/{seed}.jpg", seed)
        put(f"holiday/day{seed}/{seed}.jpg", seed)
        put(f"low/{seed}.png", seed)
        put(f"high/{seed}.png", seed, light=4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(page: str) -> Iterator[str]:
    """Every line of a page's code blocks that runs relume, without its comment."""
    for line in re.findall(r"(?m)^ {4,}(.*)$", (ROOT / page).read_text()):
        if re.search(r"(?:^|\| )relume ", line):
            yield re.split(r"\s#", line)[0]


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, folder: Path, relume: Callable[..., Result]) -> None:
    ran = 0
    for line in lines(page):
        words = shlex.split(re.sub(r".*\| (?=relume )", "", line).split(" | ")[0].split(" > ")[0])[1:]
        if LEFT_OUT.keys() & set(words):
            continue
        stdin = (folder / "night.jpg").read_bytes() if "-" in words else b""
        result = relume(*words, stdin=stdin)
        assert (result.code, line) == (ExitCode.OK, line), result.err
        ran += 1
    assert ran >= 2


def test_every_command_that_is_left_out_is_shown() -> None:
    shown = {word for page in PAGES for line in lines(page) for word in shlex.split(line)}
    assert {word for word in LEFT_OUT if word not in shown} == set()


@pytest.mark.parametrize("page", PAGES)
def test_python_runs(page: str) -> None:
    frames = [dark(seed=seed) for seed in (1, 2)]
    known: dict[str, Any] = {"pixels": dark(), "frames": frames}
    for code in re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / page).read_text()):
        if "get_context" not in code:  # processes: tests/test_api.py
            exec(compile(code, page, "exec"), known)  # noqa: S102
    for result in known.get("results", [known.get("bright", frames[0])]):
        assert result.shape == dark().shape


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str) -> None:
    found = doctest.testmod(import_module(name), report=True)
    assert found.attempted > 0
    assert found.failed == 0


def test_every_public_name_has_an_example() -> None:
    for module in (package, evaluate):
        for name in module.__all__:
            public = getattr(module, name)
            functions = callable(public) and not isinstance(public, type)
            if functions or (module is package and name != "__version__"):
                assert ">>> " in (public.__doc__ or ""), name


def test_examples_of_the_laboratory() -> None:
    pytest.importorskip("torch")
    found = doctest.testmod(import_module("relume.lab.recipe"))
    assert (found.failed, found.attempted > 0) == (0, True)
