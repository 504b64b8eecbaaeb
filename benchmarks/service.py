"""How the service bears load, nonsense, clients that stop half way, and a stop while it works.

    python benchmarks/service.py [--seconds 60] [--clients 1,8,64] [--malformed 10000] [--only load,large]

All on loopback, against `relume serve` with its defaults, on the machine that also runs the clients:

- *load*: so many clients send a photo of 600 x 400 pixels over and over for the time given; one that is told
  to try again (429) does so after the time that it is told, a second at most. Throughput and latencies are of
  photos that came back, memory is the peak of all processes together (PSS).
- *large*: one JPEG photo of 50 megapixels, and the most memory that its worker takes.
- *malformed*: requests that schemathesis draws from the description of the interface, and mutated files of
  every format (those of `fuzz.py`); afterwards the service must be ready, and a photo come back as before.
- *half*: a hundred clients stop in the middle of a body, half of them without closing the connection.
- *stop*: SIGTERM while 16 clients send photos; every request that was sent before must be answered.

Results go to `results/service.csv`; the exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fuzz  # which finds the tests' modules
import httpx
import machine
import numpy as np
from PIL import Image

from service.served import Served, serving

PHOTO = Path(__file__).parents[1] / "docs/images/night.jpg"
LONGEST_WAIT = 1.0
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXPECTED = {200, 413, 415, 422, 429}
"""Answers that a broken photo may get."""


def memory_of(pid: int) -> int:
    """Bytes of a process and its children, shared ones counted once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) << 10 if line.startswith("Pss:") else 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(memory_of(int(child)) for child in (task / "children").read_text().split())
    except OSError:  # it has ended
        pass
    return total


@contextmanager
def watching_memory(served: Served) -> Iterator[list[int]]:
    """The peak of all processes while the block runs, in a list of one."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.3):
            peak[0] = max(peak[0], memory_of(served.process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@dataclass
class Counts:
    """What clients got."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


async def client(opened: httpx.AsyncClient, photo: bytes, end: float, counts: Counts) -> None:
    """Send a photo until the time is over."""
    while time.monotonic() < end:
        started = time.perf_counter()
        try:
            answer = await opened.post("/enhance", content=photo)
        except httpx.HTTPError as error:
            counts.statuses[type(error).__name__] += 1
            continue
        counts.statuses[str(answer.status_code)] += 1
        if answer.status_code == 200:
            counts.latencies.append(time.perf_counter() - started)
        else:
            await asyncio.sleep(min(float(answer.headers.get("retry-after", 0)), LONGEST_WAIT))


async def clients(address: str, photo: bytes, number: int, seconds: float) -> Counts:
    counts = Counts()
    limits = httpx.Limits(max_connections=number, max_keepalive_connections=number)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as opened:
        end = time.monotonic() + seconds
        await asyncio.gather(*(client(opened, photo, end, counts) for _ in range(number)))
    return counts


def load(served: Served, numbers: list[int], seconds: float) -> Iterator[dict[str, Any]]:
    """A row for each number of clients."""
    photo = PHOTO.read_bytes()
    for number in numbers:
        with watching_memory(served) as peak:
            started = time.perf_counter()
            counts = asyncio.run(clients(served.address, photo, number, seconds))
            taken = time.perf_counter() - started
        wrong = {name: count for name, count in counts.statuses.items() if name not in ("200", "429")}
        p50, p99 = np.percentile(counts.latencies, [50, 99])
        yield {
            "what": f"load, {number} clients",
            "requests": counts.statuses.total(),
            "photos": counts.statuses["200"],
            "photos_per_second": round(counts.statuses["200"] / taken, 2),
            "p50_seconds": round(float(p50), 3),
            "p99_seconds": round(float(p99), 3),
            "peak_mib": peak[0] >> 20,
            "told_to_wait": counts.statuses["429"],
            "wrong": sum(wrong.values()),
            "detail": " ".join(f"{name}:{count}" for name, count in wrong.items()),
        }


def drawn(served: Served, seconds: int) -> tuple[int, str]:
    """How many requests schemathesis drew, and what it found."""
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{served.address}/openapi.json"]
    options = ["--checks", CHECKS, "--max-time", str(seconds), "--max-examples", "2000"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *options, "--generation-database", "none", "--no-color", "--seed", "1"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    found = re.search(r"(\d+) generated", done.stdout)
    failures = re.findall(r"(?m)^- (ST\d+ .*)$", done.stdout)
    said = "; ".join(failures) or ("" if done.returncode == 0 else done.stdout[-500:] + done.stderr[-500:])
    return int(found[1]) if found else 0, said


def large(served: Served) -> dict[str, Any]:
    """A row: a JPEG photo of nearly as many pixels as the service takes."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(5, 40, (720, 1080, 3), dtype=np.uint8))
    stream = io.BytesIO()
    small.resize((8640, 5760), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=90)
    with watching_memory(served) as peak, served.client as asking:
        started = time.perf_counter()
        answer = asking.post("/enhance", content=stream.getvalue(), timeout=300)
    return {
        "what": "large",
        "requests": 1,
        "photos": int(answer.status_code == 200),
        "p50_seconds": round(time.perf_counter() - started, 1),
        "peak_mib": peak[0] >> 20,
        "wrong": int(answer.status_code != 200),
        "detail": f"8640x5760, worker's peak {max(map(peak_of, served.workers())) >> 20} MiB",
    }


def peak_of(pid: int) -> int:
    """Most bytes of memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def malformed(served: Served, count: int) -> dict[str, Any]:
    """A row: requests and photos that are broken."""
    with served.client as asking:
        before = asking.post("/enhance", content=PHOTO.read_bytes()).content
    with watching_memory(served) as peak:
        number, found = drawn(served, max(20, count // 60))
        seeds = fuzz.made([name for name in fuzz.SEEDS if name != "raw"])

        def send(index: int) -> str:
            rng = np.random.default_rng((1, index))
            data = fuzz.mutated(seeds[int(rng.integers(0, len(seeds)))], rng)
            path = "/look" if index % 3 else "/enhance"
            answer = asking.post(path, **({"content": data} if index % 2 else {"files": {"photo": data}}))
            return str(answer.status_code)

        with served.client as asking, ThreadPoolExecutor(4) as threads:
            statuses = Counter(threads.map(send, range(max(0, count - number))))
    with served.client as asking:
        ready = asking.get("/ready").status_code == 200
        same = asking.post("/enhance", content=PHOTO.read_bytes()).content == before
    wrong = {name: times for name, times in statuses.items() if int(name) not in EXPECTED}
    sound = ready and same and not found
    return {
        "what": "malformed",
        "requests": number + statuses.total(),
        "peak_mib": peak[0] >> 20,
        "told_to_wait": statuses["429"],
        "wrong": sum(wrong.values()) + (not sound),
        "detail": " ".join(
            [
                f"drawn:{number}",
                *(f"{name}:{times}" for name, times in sorted(statuses.items())),
                f"ready:{ready} same:{same} workers_died:{deaths(served):g} {found}",
            ]
        ),
    }


def deaths(served: Served) -> float:
    return sum(served.metric(f'relume_worker_deaths_total{{reason="{why}"}}') for why in ("crash", "time"))


def half(served: Served) -> dict[str, Any]:
    """A row: clients that stop half way."""
    photo = PHOTO.read_bytes()
    head = f"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(photo)}\r\n\r\n".encode()
    before = memory_of(served.process.pid)
    connections = []
    for _ in range(100):
        connection = socket.create_connection(("127.0.0.1", served.port))
        connection.sendall(head + photo[: len(photo) // 2])
        connections.append(connection)
    for connection in connections[::2]:
        connection.close()
    with served.client as asking:
        meanwhile = asking.post("/enhance", content=photo).status_code
    started = time.monotonic()
    while served.metric("relume_transit_bytes") and time.monotonic() < started + 30:
        time.sleep(0.2)
    left = served.metric("relume_transit_bytes")
    files = len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))
    for connection in connections[1::2]:
        connection.close()
    grown = (memory_of(served.process.pid) - before) >> 20
    return {
        "what": "half",
        "requests": 101,
        "wrong": int(left > 0 or meanwhile != 200),
        "detail": f"meanwhile:{meanwhile} bytes_left:{left:g} after_s:{time.monotonic() - started:.1f} "
        f"grown_mib:{grown} open_files:{files}",
    }


def stop() -> dict[str, Any]:
    """A row: SIGTERM under load. What was sent before it must be answered, and nothing hang after it."""
    photo = PHOTO.read_bytes()
    results: Counter[str] = Counter()
    stopped = [float("inf")]

    def ask(address: str) -> None:
        while True:
            sent = time.monotonic()
            try:
                answer = httpx.post(f"{address}/enhance", content=photo, timeout=120)
                results[str(answer.status_code)] += 1
                if answer.status_code == 429:
                    time.sleep(0.1)
            except httpx.ConnectError:
                results["refused before the stop" if sent < stopped[0] - 0.5 else "refused"] += 1
                if sent > stopped[0]:
                    return
            except httpx.HTTPError as error:
                results[f"lost ({type(error).__name__})"] += 1
                if sent > stopped[0]:
                    return

    with serving() as served, ThreadPoolExecutor(16) as threads:
        for _ in range(16):
            threads.submit(ask, served.address)
        time.sleep(5)
        stopped[0] = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait()
        seconds = time.monotonic() - stopped[0]
    wrong = sum(count for name, count in results.items() if name not in ("200", "429", "refused"))
    return {
        "what": "stop",
        "requests": results.total(),
        "photos": results["200"],
        "told_to_wait": results["429"],
        "wrong": wrong,
        "detail": " ".join(f"{name}:{count}" for name, count in results.items()) + f" ended_s:{seconds:.1f}",
    }


PARTS = ("load", "large", "malformed", "half", "stop")
COLUMNS = ("what", "requests", "photos", "photos_per_second", "p50_seconds", "p99_seconds", "peak_mib")
COLUMNS = (*COLUMNS, "told_to_wait", "wrong", "detail")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    rows: list[dict[str, Any]] = []

    def add(row: dict[str, Any]) -> None:
        rows.append({name: row.get(name, "") for name in COLUMNS})
        print({name: value for name, value in row.items() if value != ""}, flush=True)

    with serving() as served:
        if "load" in wanted:
            for row in load(served, [int(each) for each in arguments.clients.split(",")], arguments.seconds):
                add(row)
        if "large" in wanted:
            add(large(served))
        if "malformed" in wanted:
            add(malformed(served, arguments.malformed))
        if "half" in wanted:
            add(half(served))
    if "stop" in wanted:
        add(stop())
    if wanted == list(PARTS):
        machine.store("service", rows)
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
