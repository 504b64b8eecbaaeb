"""Processes that train together: how they are started on one machine, and how one joins the others."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from relume.errors import ExitCode, RelumeError, UsageError
from relume.lab.ranks import own_threads
from relume.lab.training.device import pick_device

_PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others: while the first validates, or fills a cache, they have nothing to do.
One that has died ends the others at once."""


@contextmanager
def joined(device: str) -> Generator[torch.device]:
    """Join the processes that torchrun has started, if it has; yields the device of this one.

    Raises:
        UsageError: a device that is not there, or on which processes cannot train together.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield pick_device(device)
        return
    chosen = _device_of_rank(device)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield chosen
    finally:
        distributed.destroy_process_group()


def _device_of_rank(name: str) -> torch.device:
    """The GPU of this rank, or the CPU with its share of the threads."""
    device = pick_device(name)
    if device.type == "cpu":
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(own_threads())
        return device
    if device.type != "cuda":
        raise UsageError(
            f"processes cannot train together on '{device.type}'", "Choose --device cpu or cuda."
        )
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if own >= torch.cuda.device_count():
        raise UsageError(
            f"there are {torch.cuda.device_count()} GPUs, too few for process {own + 1}", "Start fewer."
        )
    torch.cuda.set_device(own)
    return torch.device("cuda", own)


class RankFailed(RelumeError):
    """A process of several has ended; it has said why, and its exit code is kept."""

    def __init__(self, rank: int, code: int) -> None:
        super().__init__(
            f"process {rank} of those that train together has ended ({code}), and the others with it",
            "See the messages above; --resume continues from the last checkpoint.",
        )
        self.exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.FAULT


def launch(processes: int, act: Callable[..., Any], *arguments: Any) -> None:
    """Run a function of a module in several processes of this machine, as torchrun does.

    Raises:
        RankFailed: one of them has ended with an error, and all have been ended.
        KeyboardInterrupt: this process was interrupted or terminated, and they have ended.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.distributed.launcher", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.2,
        start_method="spawn",
    )
    try:
        with _handlers_kept():
            elastic_launch(config, _in_rank)(act, *arguments)
    except ChildFailedError as error:
        first, failure = error.get_first_failure()
        raise RankFailed(first, failure.exitcode) from error
    except SignalException as error:
        raise KeyboardInterrupt from error


@contextmanager
def _handlers_kept() -> Generator[None]:
    """Leave this process's signals as they were; torchrun's launcher sets them for its own end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_rank(act: Callable[..., Any], *arguments: Any) -> None:
    """What a started process does; an error is one line, said by the rank that meets it."""
    from relume.progress import print_line

    try:
        act(*arguments)
    except RelumeError as error:
        print_line(f"relume: {error}")
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))


def is_leading() -> bool:
    """Whether this process is the one that reports."""
    return int(os.environ.get("RANK", "0")) == 0
