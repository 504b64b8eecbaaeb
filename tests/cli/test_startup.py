"""Starting up is cheap: heavy libraries load when a command needs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relume.cli.app import COMMANDS, LABORATORY, whole
from relume.errors import ExitCode
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
print(*(name for name in sys.modules if "." not in name or name.startswith("relume.cli.")))
"""


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"], ["enhance", "--help"], ["models"], ["models", "lol"]]
)
def test_nothing_heavy_is_imported_without_need(arguments: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "relume" in done.stdout.split()
    assert HEAVY.intersection(done.stdout.split()) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted by what Linux tells of them")
def test_linear_algebra_starts_no_threads() -> None:
    script = f"{SCRIPT}\nimport os, numpy\nprint(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", script, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "1"


def test_a_list_of_commands_loads_none_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--help"], capture_output=True, text=True, check=True
    )
    assert {name for name in done.stdout.split() if name.startswith("relume.cli.")} == {"relume.cli.app"}


def test_lists_say_what_commands_say_of_themselves() -> None:
    told = {name: (command.help or "").split("\n\n")[0] for name, command in whole().commands.items()}
    assert told == {**COMMANDS, **LABORATORY}


def test_a_wrong_name_is_answered_with_the_right_one(relume: Callable[..., Result]) -> None:
    assert "enhance" in relume("enhnce").err


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


def _process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from relume.cli import main; main()", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("arguments", [["--help"], ["models", "lol"]])
def test_a_full_disk_behind_stdout_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full, _process(*arguments, stdout=full) as process:
        err = process.communicate()[1]
    assert process.returncode == ExitCode.OUTPUT_UNWRITABLE
    assert err.startswith("relume: stdout: cannot be written")
    assert err.count("\n") == 1


def test_a_reader_that_has_gone_ends_a_command_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe, _process("models", "lol", stdout=pipe) as process:
        err = process.communicate()[1]
    assert (process.returncode, err) == (ExitCode.OUTPUT_UNWRITABLE, "")


@pytest.mark.parametrize(
    ("package", "error"),
    [("pyvips", "OSError('cannot load library')"), ("onnxruntime", "ImportError('DLL load failed')")],
)
def test_a_package_that_does_not_load_is_one_line(package: str, error: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise {error}")
    with _process("enhance", "a.jpg", env={**os.environ, "PYTHONPATH": str(tmp_path)}) as process:
        err = process.communicate()[1]
    assert process.returncode == ExitCode.MISSING_EXTRA
    assert error.split("'")[1] in err
    assert "relume doctor" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("enhance --model p", ["photo"]),
        ("enhance --model ", ["lol", "photo"]),
        ("enhance --device c", ["coreml", "cpu", "cuda"]),
        ("enhance --format ti", ["tiff"]),
        ("evaluate low --models lol,p", ["lol,photo"]),
        ("models l", ["lol"]),
        ("train iaml-", ["iaml-cpu"]),
        ("train --device m", ["mps"]),
        ("ablate comp", ["compact-clarity"]),
        (
            "data samples --recipe ph",
            [
                "photo",
                "photo-best",
                "photo-lit",
                "photo-nights",
                "photo-pruned",
                "photo-rendered",
                "photo-settled",
            ],
        ),
    ],
)
def test_the_tab_key_offers_names(line: str, offered: list[str]) -> None:
    if line.split()[0] in ("train", "ablate", "data"):
        pytest.importorskip("torch")
    words = line.split() + ([""] if line.endswith(" ") else [])
    asked = {
        "_RELUME_COMPLETE": "complete_bash",
        "COMP_WORDS": f"relume {line}",
        "COMP_CWORD": str(len(words)),
    }
    script = "import sys; sys.argv = ['relume']; from relume.cli.app import app; app(prog_name='relume')"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True, text=True
    )
    assert [name for name in done.stdout.split() if name.startswith(tuple(offered))] == offered, done.stderr


INTERRUPTED = """
def import_():
    raise KeyboardInterrupt

try:
    import_()
except KeyboardInterrupt as stopped:
    raise ImportError("initialization failed", name="pyvips") from stopped
"""


def test_a_package_that_was_being_loaded_when_the_user_stopped_is_no_fault(tmp_path: Path) -> None:
    """What is written in C tells an interruption while it loads as an error of its own."""
    (tmp_path / "pyvips.py").write_text(INTERRUPTED)
    with _process("enhance", "a.jpg", env={**os.environ, "PYTHONPATH": _path(tmp_path)}) as process:
        err = process.communicate()[1]
    assert (process.returncode, err) == (ExitCode.INTERRUPTED, "relume: interrupted.\n")


STOPPED = """
import runpy, sys

class Stop:
    def find_spec(self, name, *_):
        if name == "relume.errors":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
runpy.run_module("relume", run_name="__main__")
"""


def test_an_interruption_while_the_command_line_itself_loads_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "relume: interrupted.\n")


def test_what_loads_before_an_interruption_is_heard_is_little() -> None:
    script = "import sys, relume.__main__; print('typing' in sys.modules, 'secrets' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", script], env=_found(), capture_output=True, text=True)
    assert done.stdout == "False False\n", done.stderr


def _found() -> dict[str, str]:
    """The environment of a Python that finds relume without the packages installed, which may load more."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


def _path(first: Path) -> str:
    return os.pathsep.join([str(first), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_python_runs_the_package_too() -> None:
    done = subprocess.run([sys.executable, "-m", "relume", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "relume")


ENDING = """
import atexit, sys, threading, time
import relume.cli

class Held:
    def __del__(self):
        print("freed", flush=True)

def work():
    time.sleep(0.2)
    print("thread", end=" ")

def main():
    global held
    held = Held()
    atexit.register(print, "handler", end=" ")
    threading.Thread(target=work).start()
    sys.exit({code})

relume.cli.main = main
relume.cli.command()
"""


def test_a_command_ends_when_all_is_done_without_taking_everything_down() -> None:
    done = subprocess.run([sys.executable, "-c", ENDING.format(code=3)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "thread handler ")
    failed = subprocess.run(
        [sys.executable, "-c", ENDING.format(code="'why'")], capture_output=True, text=True
    )
    assert (failed.returncode, failed.stderr) == (1, "why\n")


def test_what_cannot_be_written_at_the_end_is_an_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no such device here")
    command = [sys.executable, "-m", "relume", "models", "--json"]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stdout=full, stderr=subprocess.PIPE).returncode == 7
