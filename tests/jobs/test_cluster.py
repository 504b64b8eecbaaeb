"""Many photos on Ray: the same results, and what a worker that is lost costs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import SimpleNamespace

import hands
import pytest

from relume.errors import ExitCode, Fault, ModelError, OutOfResources, UsageError
from relume.jobs import cluster
from relume.jobs.batch import Outcome, run_batch
from relume.jobs.cluster import Cluster, run_on_ray
from relume.jobs.crew import TRIES, Setup
from relume.jobs.plan import Job, Output
from relume.private import keep_ray_to_itself
from shared import Result, digest

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
Make = Callable[..., Path]
Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
OUTPUT = Output(hashed=True)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import what tests give them."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests/jobs")]))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, which is empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def make(photo: Make, tmp_path: Path) -> Callable[[int], Job]:
    def make(width: int) -> Job:
        return Job(photo(f"in/{width}.png", size=(24, width)), tmp_path / f"out/{width}.png")

    return make


@pytest.mark.slow
def test_a_worker_that_is_lost_costs_nothing_and_a_poison_itself_alone(
    make: Callable[[int], Job], tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = [make(width) for width in (13, 14, 15, *range(30, 36))]
    wanted = Cluster(workers=2, tries=2)
    setup = Setup(partial(hands.begin, tmp_path), OUTPUT)
    outcomes: dict[str, Outcome] = {}
    for outcome in run_on_ray(jobs, setup, wanted):
        outcomes[outcome.job.source.stem] = outcome
        (node,) = import_module("ray").nodes()
        assert node["NodeManagerAddress"] == "127.0.0.1"
    assert not list(home.iterdir())
    assert capfd.readouterr() == ("", "")
    assert len(outcomes) == len(jobs)
    killed, lost = outcomes.pop("13"), outcomes.pop("15")
    for outcome, said in ((killed, "SIGSEGV"), (lost, "was lost")):
        assert isinstance(outcome.error, Fault)
        assert outcome.error.path == str(outcome.job.source)
        assert said in str(outcome.error)
        assert not outcome.job.target.exists()  # type: ignore[union-attr]
    attempts = (tmp_path / "attempts").read_text().split()
    assert attempts.count("13") == TRIES
    assert attempts.count("15") == wanted.tries
    assert {each.status for each in outcomes.values()} == {"ok"}
    alone = [Job(each.job.source, tmp_path / "alone" / each.job.target.name) for each in outcomes.values()]
    for outcome in run_batch(alone, OUTPUT, hands.begin(tmp_path, print)):
        assert outcome.sha256 == outcomes[outcome.job.source.stem].sha256
        assert outcome.sha256 == digest(tmp_path / "out" / outcome.job.target.name)


class Ledger:
    """Stands for the actor that counts; what Ray calls `remote` is done at once."""

    def __init__(self, lost: int) -> None:
        self.begin = SimpleNamespace(remote=lambda order: lost)
        self.end = SimpleNamespace(remote=lambda order: None)


def test_what_cannot_begin_ends_the_batch(
    make: Callable[[int], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "import_module", lambda name: SimpleNamespace(get=lambda value: value))
    worker = cluster._Worker(Setup(hands.begin_badly, OUTPUT), Ledger(0), 1)
    (told,) = worker({"order": [cluster._order(make(30))]})["told"]
    monkeypatch.setattr(cluster, "_joined", lambda _: nullcontext(None))
    monkeypatch.setattr(cluster, "_room", lambda *_: 1)
    monkeypatch.setattr(cluster, "_told", lambda *_: [json.loads(told)])
    with pytest.raises(ModelError, match="the model is damaged"):
        list(run_on_ray([make(30)], Setup(hands.begin_badly, OUTPUT), Cluster()))


@pytest.mark.parametrize(
    ("has", "wants", "room"),
    [
        ({"CPU": 5.0}, Cluster(threads=2), 2),
        ({"CPU": 64.0, "GPU": 2.0}, Cluster(gpus=0.25), 8),
        ({"CPU": 64.0, "GPU": 1.0}, Cluster(threads=32, gpus=0.1), 2),
    ],
)
def test_workers_are_as_many_as_there_is_room_for(has: dict[str, float], wants: Cluster, room: int) -> None:
    assert cluster._room(SimpleNamespace(cluster_resources=lambda: has), wants) == room


def test_more_than_there_is_and_no_cluster_are_refused(make: Callable[[int], Job]) -> None:
    with pytest.raises(OutOfResources, match="0 GPUs"):
        cluster._room(SimpleNamespace(cluster_resources=lambda: {"CPU": 4.0}), Cluster(gpus=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match="no cluster answers"):
        list(run_on_ray([make(30)], Setup(hands.begin_badly, OUTPUT), Cluster(address)))


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster on this machine that relume did not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keep_ray_to_itself(joins=False, here=True)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    command = ["start", "--head", "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "2"]
    with tempfile.TemporaryDirectory(prefix="ray-") as scratch:
        options = ["--include-dashboard=false", "--disable-usage-stats", "--block", "--temp-dir", scratch]
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert head.stdout is not None
            assert any(b"Ray runtime started" in line for line in head.stdout)
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(head.pid, signal.SIGKILL)  # asked to end, it takes half a minute
            head.communicate(timeout=60)


@pytest.mark.slow
def test_the_command_joins_a_cluster_and_writes_what_the_local_engine_writes(
    relume: Run, photo: Make, tmp_path: Path, running: str
) -> None:
    for number in range(3):
        photo(f"in/{number}.png", seed=number)
    (tmp_path / "in/damaged.png").write_bytes(b"damaged")
    here = relume("batch", tmp_path / "in", tmp_path / "here", "--workers", 2, "--json", "-q")
    command = ["batch", tmp_path / "in", tmp_path / "there", "--engine", "ray", "--address", running]
    done = subprocess.run([sys.executable, "-m", "relume", *command, "--json", "-q"], capture_output=True)
    there = Result(done.returncode, done.stdout, done.stderr.decode())
    assert here.code == there.code == ExitCode.BATCH_PARTLY_FAILED, there.err
    assert [line for line in there.err.splitlines() if "damaged.png" not in line] == []

    def told(result: Result) -> list[tuple[object, ...]]:
        return sorted((Path(line["input"]).name, line["status"], line.get("sha256")) for line in result.lines)

    assert told(here) == told(there)
    for number in range(3):
        assert digest(tmp_path / f"here/{number}.png") == digest(tmp_path / f"there/{number}.png")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
def test_from_bucket_to_bucket_while_the_driver_and_a_worker_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark with fewer photos; it raises where a result is missing or differs, or a line does."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    from stores import s3_server

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    with s3_server():
        row = import_module("cluster").measure(tmp_path, 48, 2, Random(0))  # noqa: S311
    assert row["equal_to_local"] == row["manifest_lines"] == 48
    assert row["driver_killed_after"] < row["worker_killed_after"] < 48
