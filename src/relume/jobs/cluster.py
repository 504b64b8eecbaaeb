"""Many photos on a cluster, by Ray Data: the same plan, and the same work in each of its workers.

Ray moves orders and what became of them, never pixels: a worker reads and writes photos itself, by the places
that they are in. It keeps a process of its own for them, so that a photo that ends the process costs that
photo alone. What a lost machine or a killed worker leaves undone is done elsewhere, a limited number of
times.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from relume.errors import Fault, MissingExtra, OutOfResources, UsageError, error_of, install
from relume.jobs.batch import Outcome
from relume.jobs.crew import Hand, Setup, failed, outcome_of, told_of
from relume.jobs.places import location
from relume.jobs.plan import Job
from relume.private import keep_ray_to_itself

_GROUP = 8
"""Orders that a worker gets at a time, at most: what is lost with it."""

_MEMORY = 128 << 20
"""Bytes that Ray keeps for what it moves: orders, and what became of them."""

_SECONDS = 10
"""Longest wait for a cluster's address."""

_LONGEST_TMPDIR = 40
"""Characters; Ray makes sockets below, whose names the system limits."""


@dataclass(frozen=True)
class Cluster:
    """Where and how many.

    Attributes:
        address: of a cluster that runs; empty for one of this machine alone, which ends with the batch.
        workers: how many at once; 0 as many as there are processors for, or GPUs.
        threads: processors of each worker.
        gpus: of each worker, which may be a fraction.
        tries: how many workers may be lost over a photo.
    """

    address: str = ""
    workers: int = 0
    threads: int = 1
    gpus: float = 0.0
    tries: int = 3


def run_on_ray(jobs: Sequence[Job], setup: Setup, cluster: Cluster) -> Generator[Outcome]:
    """Like `run_in_processes`, on the workers of a Ray cluster; outcomes come as groups of photos are done.

    Args:
        jobs: from `plan`.
        setup: how a worker works; it travels to the cluster, where relume has to be installed.
        cluster: where.

    Raises:
        MissingExtra: Ray is not installed.
        OutOfResources: the cluster has fewer processors or GPUs than a worker needs.
        Fault: Ray gives up.
        RelumeError: a worker cannot begin.
        UsageError: no cluster answers.
    """
    if not jobs:
        return
    left = {_order(job): job for job in jobs}
    with _joined(cluster) as ray:
        room = _room(ray, cluster)
        workers = min(len(jobs), room, cluster.workers or room)
        for told in _told(ray, list(left), setup, cluster, workers):
            if "ended" in told:
                raise error_of(**told["ended"])
            yield outcome_of(left.pop(told["order"]), told)


def _order(job: Job) -> str:
    return json.dumps([str(job.source), str(job.target)])


def _told(
    ray: Any, orders: Sequence[str], setup: Setup, cluster: Cluster, workers: int
) -> Generator[dict[str, Any]]:
    """What workers say of their photos.

    Raises:
        Fault: Ray gives up.
    """
    size = max(1, min(_GROUP, len(orders) // (4 * workers)))
    groups = -(-len(orders) // size)
    ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Ledger).remote()
    data: Any = ray.data.from_items([{"order": order} for order in orders], override_num_blocks=groups)
    done = data.map_batches(
        _Worker,
        fn_constructor_args=(setup, ledger, cluster.tries),
        batch_size=None,  # a group as it is
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cluster.threads,
        num_gpus=cluster.gpus or None,
    )
    try:
        for row in done.iter_rows():
            yield json.loads(row["told"])
    except ray.exceptions.RayError as error:
        said = " ".join(str(error).split())[:300]
        raise Fault(f"Ray gives up ({said})", "The same command resumes from the manifest.") from error


class _Ledger:
    """An actor that knows how often each photo was begun that has not come to its end.

    Ray gives what a lost worker had to another one, without end; a photo that costs a worker each time is
    stopped by this.
    """

    def __init__(self) -> None:
        self._begun = Counter[str]()

    def begin(self, order: str) -> int:
        """How often it has been begun before."""
        self._begun[order] += 1
        return self._begun[order] - 1

    def end(self, order: str) -> None:
        del self._begun[order]


class _Worker:
    """An actor of Ray, with a process that has the model."""

    def __init__(self, setup: Setup, ledger: Any, tries: int) -> None:
        self._hand, self._ledger, self._tries = Hand(setup), ledger, tries
        self._wait_for: Callable[[Any], Any] = import_module("ray").get

    def __call__(self, group: dict[str, Any]) -> dict[str, list[str]]:
        return {"told": [json.dumps(self._do(str(order))) for order in group["order"]]}

    def _do(self, order: str) -> dict[str, Any]:
        job = Job(*map(location, json.loads(order)))
        lost: int = self._wait_for(self._ledger.begin.remote(order))
        if lost >= self._tries:
            reason = f"the worker that had the photo was lost, {lost} times"
            remedy = "Please report it with the photo; where memory is scarce, take fewer --workers."
            told = told_of(failed(job, Fault(reason, remedy)))
        else:
            told = self._hand.do(job)
        self._wait_for(self._ledger.end.remote(order))
        return {"order": order, **told}


def _room(ray: Any, cluster: Cluster) -> int:
    """Workers that the cluster has room for."""
    has: dict[str, float] = ray.cluster_resources()
    room = int(has.get("CPU", 0) // cluster.threads)
    if cluster.gpus:
        room = min(room, int(has.get("GPU", 0) / cluster.gpus))
    if room < 1:
        raise OutOfResources(
            f"the cluster has {has.get('CPU', 0):g} processors and {has.get('GPU', 0):g} GPUs, "
            f"and a worker needs {cluster.threads} and {cluster.gpus:g}",
            "Give workers less (--threads, --gpus), or the cluster more.",
        )
    return room


@contextmanager
def _joined(cluster: Cluster) -> Generator[Any]:
    """Ray, while it is joined; what it started on this machine ends with the block.

    Raises:
        MissingExtra, UsageError: as `run_on_ray`.
    """
    host, _ = _host_and_port(cluster.address)
    keep_ray_to_itself(joins=bool(cluster.address), here=host in ("", "127.0.0.1", "localhost", "::1"))
    try:
        ray: Any = import_module("ray")
        import_module("ray.data")
        import_module("ray.exceptions")
    except ImportError as error:
        raise MissingExtra("--engine ray needs Ray", install("ray")) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    scratch = None if cluster.address else _scratch()
    handler = signal.getsignal(signal.SIGTERM)
    quiet: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "configure_logging": False,
    }
    try:
        with warnings.catch_warnings(), _hushed():
            warnings.simplefilter("ignore")
            _begin(ray, cluster, scratch, quiet)
        signal.signal(signal.SIGTERM, handler)  # Ray's own ends the program without a word
        _set_up(ray)
        yield ray
    finally:
        ray.shutdown()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _say_nothing(*_: object, **__: object) -> None:
    pass


@contextmanager
def _hushed() -> Generator[None]:
    """Nothing on stderr, where Ray's native part says how it was told to be quiet."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _begin(ray: Any, cluster: Cluster, scratch: str | None, quiet: dict[str, Any]) -> None:
    if not cluster.address:
        ray.init(
            address="local",
            num_cpus=max(1, cluster.workers * cluster.threads) if cluster.workers else None,
            include_dashboard=False,
            object_store_memory=_MEMORY,
            _temp_dir=scratch,
            **quiet,
        )
        return
    host, port = _host_and_port(cluster.address)
    try:
        if port.isdecimal():  # Ray itself would ask for many minutes
            socket.create_connection((host, int(port)), _SECONDS).close()
        ray.init(address=cluster.address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise UsageError(
            f"no cluster answers ({said})",
            "Start one (ray start --head), or leave --address out.",
            path=cluster.address,
        ) from error


def _host_and_port(address: str) -> tuple[str, str]:
    """The parts of an address; of a word, such as `auto`, that and nothing."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), port) if separator else (address, "")


def _set_up(ray: Any) -> None:
    # What Ray has to say of its workers it would print among the lines of results.
    vars(import_module("ray._private.worker"))["print_to_stdstream"] = _say_nothing
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False


def _scratch() -> str | None:
    """A folder for what Ray leaves; None where Ray could not use it."""
    if len(tempfile.gettempdir()) > _LONGEST_TMPDIR or os.name == "nt":
        return None
    return tempfile.mkdtemp(prefix="relume-")
