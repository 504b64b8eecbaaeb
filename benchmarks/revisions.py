"""What compares revisions of the source: the sources, with the same model files, and a way to run them."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
HERE = "here"
"""Stands for the working tree."""

CUTS = (
    ("decide apart from render, steps once in plain operators", "6905e2b", "d8a055b"),
    ("cards of schema 2", "1d3e1ac", "4967d46"),
    ("options once", "804c275", "5f085a8"),
    ("rooms: jobs and models", "a397143", "b80136f"),
    ("one codec module per format, work out of the command line", "10f09fd", "ae737e6"),
    ("what was left alone is a fact of a result", "61c6522", "29f42e8"),
)
"""Changes of the source that were to change no result: what they did, and the commits before and after."""

_WEIGHTS = ("src/relume/models/weights", "src/relume/zoo/weights")
"""Where the model files lie, now and at earlier revisions."""


@dataclass(frozen=True)
class Source:
    """The source at a revision.

    Attributes:
        revision: its name.
        root: the folder that Python imports from.
    """

    revision: str
    root: Path

    @property
    def weights(self) -> Path:
        """The folder of its model files."""
        return next(each for name in _WEIGHTS if (each := self.root.parent / name).is_dir())

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A script in a process that imports this source; it talks through pipes."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "CI": "1"}
        command = [sys.executable, "-W", "ignore", script, *arguments]
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


@contextmanager
def sources(*revisions: str, own_models: bool = False) -> Generator[list[Source]]:
    """The source of each revision, in a folder that goes with the block.

    Args:
        revisions: what git knows, or `HERE`.
        own_models: let each have the model files of its own; otherwise all have those of the first one.
    """
    with TemporaryDirectory() as folder:
        found = [_unpacked(each, Path(folder) / str(place)) for place, each in enumerate(revisions)]
        for each in found[1:] if not own_models else ():
            own = each.weights
            shutil.rmtree(own)
            shutil.copytree(found[0].weights, own)
        yield found


def _unpacked(revision: str, folder: Path) -> Source:
    if revision == HERE:
        shutil.copytree(
            ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
        return Source(revision, folder / "src")
    archive = _git("archive", revision, "src")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return Source(revision, folder / "src")


@contextmanager
def asked(found: Sequence[Source], script: str, *arguments: str) -> Generator[list[Callable[[str], float]]]:
    """A process of each source, as what sends it a line and returns the number that it answers with."""
    processes = [each.start(script, *arguments) for each in found]

    def ask(process: subprocess.Popen[str], order: str) -> float:
        assert process.stdin is not None  # noqa: S101 - pipes are there
        assert process.stdout is not None  # noqa: S101
        print(order, file=process.stdin, flush=True)
        return float(process.stdout.readline())

    try:
        yield [partial(ask, each) for each in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def same_models(found: Sequence[Source]) -> bool:
    """Whether all sources have the same model files."""
    first, *others = ({file.name: file.read_bytes() for file in each.weights.iterdir()} for each in found)
    return all(other == first for other in others)


def short(revision: str) -> str:
    """The commit of a revision, by its short name."""
    return revision if revision == HERE else _git("rev-parse", "--short", revision).decode().strip()


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
