"""Starting up is cheap: heavy libraries load when a command needs them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from shared import Result

HEAVY = {"numpy", "onnxruntime", "torch", "pyvips", "PIL", "matplotlib", "skimage"}

SCRIPT = """
import contextlib, io, sys
import relume
sys.argv = ["relume", *sys.argv[1:]]
if len(sys.argv) > 1:
    from relume.cli import main
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
print(*(name for name in sys.modules if "." not in name))
"""


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["enhance", "--help"]])
def test_nothing_heavy_is_imported_without_need(arguments: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "relume" in done.stdout.split()
    assert HEAVY.intersection(done.stdout.split()) == set()


def test_version(relume: Callable[..., Result]) -> None:
    result = relume("--version")
    assert result.code == 0
    assert re.fullmatch(rb"relume \d+\.\d+\.\d+\S*\n", result.out)


def test_help_names_every_command(relume: Callable[..., Result]) -> None:
    result = relume("--help")
    assert result.code == 0
    everyone = ("enhance", "models", "evaluate", "compare", "doctor")
    for command in (*everyone, "data", "train", "ablate", "plot", "export"):
        assert command in result.out.decode()


@pytest.mark.parametrize("arguments", [["enhance"], ["brighten"], ["enhance", "a.jpg", "--tile", "much"]])
def test_wrong_usage_is_code_2(relume: Callable[..., Result], arguments: list[str]) -> None:
    result = relume(*arguments)
    assert result.code == 2
    assert result.out == b""
    assert result.err
