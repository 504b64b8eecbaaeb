"""The container: its file by a linter and, where an engine runs, the container itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
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
