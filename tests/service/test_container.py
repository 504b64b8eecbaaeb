"""The container: its file by a linter and, where an engine runs, the container itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from relume.service.options import ServiceOptions

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def engine_runs() -> bool:
    found = shutil.which("docker")
    return found is not None and subprocess.run([found, "info"], capture_output=True).returncode == 0


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_the_linter_finds_nothing() -> None:
    done = subprocess.run(
        [HADOLINT, "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_without_root_and_tells_its_health() -> None:
    text = DOCKERFILE.read_text()
    last = text[text.rindex("FROM ") :]
    user = re.search(r"(?m)^USER (\d+)$", last)
    assert user is not None
    assert int(user[1]) > 0
    assert "HEALTHCHECK" in last
    assert f":{ServiceOptions().port}/health" in last
    assert json.loads(re.findall(r"(?m)^ENTRYPOINT (.*)$", last)[0])[:2] == ["relume", "serve"]


def lines_of(word: str) -> list[str]:
    """What stands behind a word of the Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    return re.findall(rf"(?m)^{word} (.*)$", text)


def copied(target: Path) -> None:
    """What the Dockerfile copies from this tree into its first stage, as far as .dockerignore lets it."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for line in lines_of("COPY"):
        *sources, place = line.split()
        if sources[0].startswith("--from"):
            continue
        for name in sources:
            assert name in kept, f"{name} does not reach the engine"
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, target / place)


def test_what_it_builds_serves_and_its_health_is_told(tmp_path: Path) -> None:
    """Its steps without an engine: a wheel from what is copied, started by the entry point, asked as it asks.

    Packages are those of this environment, as an index is for the engine alone.
    """
    pytest.importorskip("hatchling")
    context, installed = tmp_path / "context", tmp_path / "installed"
    context.mkdir()
    copied(context)
    (install,) = [line for line in lines_of("RUN") if "pip install" in line]
    extras = set(re.findall(r"'\.\[(.*)\]'", install)[0].split(","))
    known = tomllib.loads((context / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras <= known.keys()
    assert "--constraint constraints.txt" in install
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", installed, context], check=True)
    command = json.loads(lines_of("ENTRYPOINT")[0])
    environment = {**os.environ, "PYTHONPATH": str(installed), "RELUME_TOKEN": "secret"}
    small = ["--port", "0", "--workers", "1", "--memory", "1500"]
    with subprocess.Popen(
        [sys.executable, "-m", *command, *small],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        (health,) = re.findall(r"HEALTHCHECK .*?CMD (.*)", re.sub(r"\\\n\s*", "", DOCKERFILE.read_text()))
        _, *asking = json.loads(health.replace(":8000/", f":{address.rpartition(':')[2]}/"))
        assert subprocess.run([sys.executable, *asking], capture_output=True).returncode == 0
        photo = (ROOT / "docs/images/night.jpg").read_bytes()
        asked = address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert httpx.post(f"{asked}/look", content=photo, auth=("", "secret"), timeout=60).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert subprocess.run([sys.executable, *asking], capture_output=True).returncode == 1


@pytest.fixture
def container() -> Iterator[str]:
    name = f"relume-{uuid4().hex[:8]}"
    subprocess.run(["docker", "build", "--tag", name, str(ROOT)], check=True)
    limits = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "4500m"]  # noqa: S108
    published = ["--env", "RELUME_TOKEN=secret", "--publish", "127.0.0.1:18000:8000", "--name", name]
    subprocess.run(["docker", "run", "--detach", "--rm", *limits, *published, name], check=True)
    yield name
    subprocess.run(["docker", "stop", name], check=True)
    subprocess.run(["docker", "rmi", name], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not engine_runs(), reason="no container engine runs here")
def test_the_container_serves(container: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            assert httpx.get("http://127.0.0.1:18000/ready").status_code == 200
            break
        except httpx.HTTPError:
            time.sleep(0.5)
    photo = (ROOT / "docs/images/night.jpg").read_bytes()
    headers = {"authorization": "Bearer secret"}
    answer = httpx.post("http://127.0.0.1:18000/enhance", content=photo, headers=headers, timeout=60)
    assert answer.status_code == 200
