"""Threads follow what the process may use, not what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relume import threads

SECOND = "0::/system/photos\n"
FIRST = "4:cpu,cpuacct:/system/photos\n3:memory:/\n0::/\n"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 processors; the folder of control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(threads, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text(SECOND)
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("max 100000\n", 64), ("200000 100000\n", 2), ("150000 100000\n", 2), ("5000 100000\n", 1), ("?", 64)],
)
def test_the_second_version_of_control_groups(group: Path, text: str, count: int) -> None:
    write(group / "system/photos/cpu.max", text)
    assert threads.available() == count


def test_a_group_above_counts_too(group: Path) -> None:
    write(group / "system/photos/cpu.max", "800000 100000\n")
    write(group / "system/cpu.max", "300000 100000\n")
    assert threads.available() == 3


def test_a_container_that_sees_its_own_root_alone(group: Path) -> None:
    write(group / "cpu.max", "200000 100000\n")
    assert threads.available() == 2


@pytest.mark.parametrize(("quota", "count"), [(-1, 64), (250000, 3)])
def test_the_first_version_of_control_groups(group: Path, tmp_path: Path, quota: int, count: int) -> None:
    (tmp_path / "own").write_text(FIRST)
    write(group / "cpu,cpuacct/system/photos/cpu.cfs_quota_us", f"{quota}\n")
    write(group / "cpu,cpuacct/system/photos/cpu.cfs_period_us", "100000\n")
    assert threads.available() == count


@pytest.mark.parametrize("own", ["", "no colons", "\n\n"])
def test_odd_tables_limit_nothing(group: Path, tmp_path: Path, own: str) -> None:
    (tmp_path / "own").write_text(own)
    assert threads.available() == 64


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinities here")
def test_a_process_held_to_one_processor() -> None:
    script = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    script += "; from relume import threads; print(threads.available())"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "1\n"
