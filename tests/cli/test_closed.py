"""What may not be read or written: one line that names it, and the right exit code, from every command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relume.errors import ExitCode
from relume.evaluate.report import aligned, markdown_table

COMMANDS = [
    ["enhance", "closed"],
    ["enhance", "closed/a.jpg"],
    ["batch", "closed", "out"],
    ["watch", "closed", "-o", "out"],
    ["evaluate", "closed"],
    ["evaluate", "open", "--run", "closed"],
    ["evaluate", "open", "open", "--lpips", "closed/x"],
    ["compare", "closed"],
    ["study", "closed", "-o", "out"],
    ["data", "verify", "closed"],
    ["data", "split", "closed"],
    ["data", "describe", "closed", "--name", "a", "--terms", "b"],
    ["data", "describe", "half", "--name", "a", "--terms", "b"],
    ["data", "leakage", "closed", "open"],
    ["data", "unpack", "closed", "out"],
    ["plot", "closed"],
]
PLACES = [
    ["export", "photo", "--to", "onnx-steps", "-o"],
    ["enhance", "open", "-o"],
    ["batch", "open"],
    ["watch", "open", "-o"],
]

SCRIPT = """
import sys
from relume.cli import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["relume", *line.split(" ")]
    try:
        main()
    except SystemExit as ended:
        print(f"[{ended.code}]", file=sys.stderr)
"""


@pytest.fixture
def unprivileged(tmp_path: Path, photo: Callable[..., Path]) -> Callable[[list[list[str]]], list[list[str]]]:
    """Runs commands where even the superuser may read only what permissions let him; what each said."""
    if os.name != "posix" or (os.geteuid() == 0 and not shutil.which("setpriv")):
        pytest.skip("permissions do not hold here")
    apart = [] if os.geteuid() else ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    for name in ("open/a.jpg", "closed/a.jpg", "half/a.jpg", "half/closed/b.jpg"):
        photo(name)
    places = [tmp_path / "closed", tmp_path / "half" / "closed"]

    def run(commands: list[list[str]]) -> list[list[str]]:
        for place in places:
            place.chmod(0)
        try:
            done = subprocess.run(
                [*apart, sys.executable, "-c", SCRIPT],
                input="\n".join(map(" ".join, commands)),
                capture_output=True,
                text=True,
                cwd=tmp_path,
            )
        finally:
            for place in places:
                place.chmod(0o700)
        assert done.returncode == 0, done.stderr
        said: list[list[str]] = [[]]
        for line in done.stderr.splitlines():
            said[-1].append(line)
            if line.startswith("["):
                said.append([])
        return said[:-1]

    return run


def test_what_may_not_be_read_is_named_in_one_line(
    unprivileged: Callable[[list[list[str]]], list[list[str]]],
) -> None:
    pytest.importorskip("torch")
    for command, said in zip(COMMANDS, unprivileged(COMMANDS), strict=True):
        *_, line, code = said
        assert code == f"[{int(ExitCode.INPUT_UNREADABLE)}]", (command, said)
        assert line.startswith("relume: "), (command, said)
        assert "closed" in line
        assert "report" not in line


def test_what_may_not_be_written_into_is_named_in_one_line(
    unprivileged: Callable[[list[list[str]]], list[list[str]]],
) -> None:
    pytest.importorskip("torch")
    commands = [[*command, "closed"] for command in PLACES]
    for command, said in zip(commands, unprivileged(commands), strict=True):
        assert said[-1] == f"[{int(ExitCode.OUTPUT_UNWRITABLE)}]", (command, said)
        assert any(line.startswith("relume: closed") for line in said), (command, said)


def test_names_keep_to_their_cells_of_tables() -> None:
    table = [["image", "PSNR"], ["a\nb\x1b[31m|.png", "1"]]
    for text in (aligned(table), markdown_table(table)):
        assert len(text.splitlines()) == len(markdown_table(table).splitlines()) - (text == aligned(table))
        assert "\x1b" not in text
        assert r"a\nb\x1b[31m" in text
