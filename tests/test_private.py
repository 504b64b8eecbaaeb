"""Nothing leaves the machine, and nothing is written but what was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from relume.photo import Photo, write_photo
from shared import dark

SOURCE = Path(__file__).resolve().parents[1] / "src"
RELUME = [sys.executable, "-m", "relume"]
IDLE = 15
"""Seconds after which ONNX Runtime's telemetry, if it is on, has called its host: 9 by measurement."""

ENHANCE_AND_WAIT = f"""
import sys, time
import relume
relume.write_photo(relume.enhance(sys.argv[1]), sys.argv[2])
time.sleep({IDLE})
"""


def as_a_user(home: Path) -> dict[str, str]:
    """A user's environment; libraries keep quiet where CI is set, so it must not be."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


class Waiting(NamedTuple):
    """A traced process in a folder, which has its photo, its home, the trace and the result."""

    folder: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="module", autouse=True)
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting | None]:
    """Enhances and waits while the tests before the one that looks at it run; None without strace."""
    if shutil.which("strace") is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("waiting")
    (folder / "home").mkdir()
    write_photo(Photo(dark(24, 32)), folder / "a.png")
    strace = ["strace", "-f", "-e", "trace=socket,connect,sendto", "-o", str(folder / "trace")]
    python = [sys.executable, "-c", ENHANCE_AND_WAIT, str(folder / "a.png"), str(folder / "out.png")]
    with subprocess.Popen(
        [*strace, *python], env=as_a_user(folder / "home"), stderr=subprocess.PIPE, text=True
    ) as process:
        yield Waiting(folder, process)
        process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def forgotten(folder: Path) -> list[str]:
    """What lies in a folder of temporary files but PyTorch's own."""
    return [name for name in left_in(folder) if not name.startswith("torchinductor")]


def left_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "results"),
    [
        (["enhance", "a.png"], ["a.relume.png"]),
        (["evaluate", ".", "--strength", "auto"], []),
        (["compare", ".", "-o", "page.html"], ["page.html"]),
        (["doctor"], []),
        (["models"], []),
    ],
    ids=lambda value: value[0] if value else "",
)
def test_a_command_writes_what_was_asked_for_alone(
    photo: Callable[..., Path], home: Path, tmp_path: Path, arguments: list[str], results: list[str]
) -> None:
    photo("work/a.png")
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [*RELUME, *arguments],
        cwd=work,
        env=as_a_user(home) | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    assert left_in(work) == sorted(["a.png", *results])
    assert left_in(home) == []
    assert forgotten(scratch) == []


# Of all networks the one that is exported soonest.
LABORATORY = """
from pathlib import Path
from relume.lab.recipe import Phase, Recipe, to_json
recipe = Recipe("small", (Phase(2, 16, 1),), network="zero-dce", validate_every=2, precision="float32")
Path("recipe.json").write_text(to_json(recipe))
"""


@pytest.mark.slow
def test_the_laboratory_writes_what_was_asked_for_alone(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from relume.datasets.splits import read_split

    for name in [*read_split("our485_scenes")[:1], "a", "b"]:
        for side in ("low", "high"):
            (tmp_path / "data/lol_v1/our485" / side).mkdir(parents=True, exist_ok=True)
            write_photo(Photo(dark(48, 64)), tmp_path / "data/lol_v1/our485" / side / f"{name}.png")
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()

    def run(*command: str) -> None:
        environment = as_a_user(home) | {"TMPDIR": str(scratch), "RELUME_DATA": str(tmp_path / "data")}
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run(sys.executable, "-c", LABORATORY)
    run(*RELUME, "train", "recipe.json", "-o", "run", "-q")
    run(*RELUME, "plot", "run", "-o", "curves.png")
    run(*RELUME, "export", "run", "--name", "small", "-o", "model")
    assert left_in(home) == []
    assert forgotten(scratch) == []
    assert sorted(path.name for path in work.iterdir()) == ["curves.png", "model", "recipe.json", "run"]


def test_no_process_of_relume_opens_a_socket_of_the_internet(waiting: Waiting | None) -> None:
    if waiting is None:
        pytest.skip("needs strace: an audit hook of Python does not see what a native library does")
    said = waiting.process.communicate()[1]
    if waiting.process.returncode and "ptrace" in said:
        pytest.skip("strace may not trace here")
    assert waiting.process.returncode == 0, said
    assert (waiting.folder / "out.png").exists()
    trace = (waiting.folder / "trace").read_text().splitlines()
    assert [line for line in trace if "AF_INET" in line] == []
    assert left_in(waiting.folder / "home") == []
