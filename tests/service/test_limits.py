"""What the service refuses, outlives and cleans up: its limits, and how clients and workers end."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from relume.errors import ExitCode, UsageError
from relume.service.body import Account, Ledger
from relume.service.options import LEAST, OWN, ServiceOptions, is_loopback
from relume.service.problems import Problem
from service.served import SMALL, Served, serving
from service.test_service import Night, assert_problem

LINUX = pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs Linux' /proc")
TIGHT = (
    *SMALL,
    *("--queue", 1, "--max-bytes", 1_000_000, "--max-pixels", 20_000),
    *("--stall-seconds", 1, "--transfer-seconds", 2),
)


@pytest.fixture(scope="module")
def tight() -> Iterator[Served]:
    """A service with narrow limits, one worker and one place to wait."""
    with serving(*TIGHT) as served:
        yield served


def wait_for(what: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def plain(side: int, **options: Any) -> bytes:
    """A dark photo without structure."""
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 20, np.uint8)).save(stream, "PNG", **options)
    return stream.getvalue()


# Too much


def test_too_many_bytes_are_413(tight: Served) -> None:
    with tight.client as client:
        announced = client.post("/enhance", content=bytes(2_000_000))
        in_pieces = client.post("/enhance", content=iter([bytes(500_000)] * 4))
        in_a_form = client.post("/enhance", files={"photo": bytes(1_200_000)})
    for answer in (announced, in_pieces, in_a_form):
        assert_problem(answer, 413, ExitCode.INPUT_TOO_LARGE, "1,000,000 bytes")


def test_too_many_pixels_are_413(tight: Served) -> None:
    with tight.client as client:
        assert_problem(client.post("/look", content=plain(150)), 413, ExitCode.INPUT_TOO_LARGE, "150 x 150")


def test_more_than_a_workers_memory_is_413() -> None:
    photo = plain(6000)
    with serving("--workers", 1, "--memory", 900, "--threads", 1) as served, served.client as client:
        assert_problem(client.post("/enhance", content=photo), 413, ExitCode.INPUT_TOO_LARGE, "memory")
        assert client.post("/enhance", content=plain(30)).status_code == 200


# Too slow


def opened(served: Served, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    connection.sendall(sent)
    return connection


HEAD = b"POST /enhance HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


def test_a_body_that_stands_still_is_408(tight: Served) -> None:
    with opened(tight, HEAD + b"\xff\xd8\xff") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_body_that_trickles_is_408(tight: Served) -> None:
    with opened(tight, HEAD) as connection:
        started = time.monotonic()
        connection.settimeout(0.3)
        while time.monotonic() < started + 10:
            connection.sendall(b"x")
            try:
                assert connection.recv(1000).startswith(b"HTTP/1.1 408")
                break
            except TimeoutError:
                continue
        assert 1.5 < time.monotonic() - started < 10


def test_a_header_that_does_not_end_is_cut(tight: Served) -> None:
    for sent in (b"", b"POST /enh", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"):
        with opened(tight, sent) as connection:
            assert connection.recv(1000) == b""


def test_a_client_that_does_not_read_is_cut(tight: Served) -> None:
    with serving(*SMALL, "--stall-seconds", 1) as served:
        pixels = np.random.default_rng(0).integers(0, 255, (2500, 2500, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=50)
        path = "/enhance?strength=0&format=tiff"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(stream.getvalue())}\r\n\r\n"
        with opened(served, head.encode() + stream.getvalue()):
            wait_for(lambda: served.metric("relume_sent_bytes_total") > 0)
            assert served.metric("relume_transit_bytes") > 5_000_000
            wait_for(lambda: served.metric("relume_transit_bytes") == 0)


def test_clients_that_stop_half_way_leave_nothing_behind(tight: Served) -> None:
    left = [opened(tight, HEAD + b"\xff\xd8\xff") for _ in range(100)]
    wait_for(lambda: tight.metric("relume_transit_bytes") > 0)
    for connection in left[::2]:
        connection.close()
    with tight.client as client:
        assert client.post("/enhance", content=plain(20)).status_code == 200
    wait_for(lambda: tight.metric("relume_transit_bytes") == 0)
    for connection in left[1::2]:
        connection.close()
    assert tight.metric("relume_busy") == tight.metric("relume_waiting") == 0


def test_a_body_that_waits_to_be_asked_for_is_refused_at_once(tight: Served) -> None:
    head = HEAD.replace(b"1000", b"5000000").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    started = time.monotonic()
    with opened(tight, head) as connection:
        said = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert said.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in said.lower()
    assert time.monotonic() < started + 0.9  # not after --stall-seconds
    asked = HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    with opened(tight, asked) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")


# Workers that hang, die, or are all taken


@LINUX
def test_a_full_queue_is_429_and_a_killed_worker_one_failed_request(tight: Served) -> None:
    (worker,) = tight.workers()
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads, tight.client as client:
        first = threads.submit(client.post, "/enhance", content=plain(20))
        wait_for(lambda: tight.metric("relume_busy") == 1)
        second = threads.submit(client.post, "/enhance", content=plain(20))
        wait_for(lambda: tight.metric("relume_waiting") == 1)
        third = client.post("/enhance", content=plain(20))
        assert_problem(third, 429, ExitCode.RESOURCES, "queue")
        assert int(third.headers["retry-after"]) >= 1
        os.kill(worker, signal.SIGKILL)
        assert_problem(first.result(), 500, ExitCode.FAULT, "SIGKILL")
        assert second.result().status_code == 200
        assert client.post("/enhance", content=plain(20)).status_code == 200
        assert client.get("/ready").status_code == 200
    assert tight.metric('relume_worker_deaths_total{reason="crash"}') == 1


@LINUX
def test_a_photo_that_takes_too_long_is_504_and_a_wait_503() -> None:
    with (
        serving(*SMALL, "--seconds", 2, "--queue", 4) as served,
        ThreadPoolExecutor(3) as threads,
        served.client as client,
    ):
        (worker,) = served.workers()
        os.kill(worker, signal.SIGSTOP)
        asked = [threads.submit(client.post, "/look", content=plain(20)) for _ in range(3)]
        answers = sorted((each.result() for each in asked), key=lambda answer: answer.status_code)
        assert served.workers() != [worker]
        assert served.metric('relume_worker_deaths_total{reason="time"}') >= 1
    # The second may get the worker that comes in place of the first one's; the third's time is over then.
    assert [answer.status_code for answer in answers] in ([200, 503, 504], [503, 503, 504])
    assert_problem(answers[1], 503, ExitCode.RESOURCES, "no worker")
    assert int(answers[1].headers["retry-after"]) >= 1
    assert_problem(answers[2], 504, ExitCode.RESOURCES, "2 s")


@LINUX
def test_workers_have_limits_of_the_system(tight: Served) -> None:
    said = Path(f"/proc/{tight.workers()[0]}/limits").read_text()
    limits = {line[:26].strip(): line[26:].split()[0] for line in said.splitlines()}
    assert limits["Max core file size"] == "0"
    assert int(limits["Max file size"]) <= 4 << 20
    assert int(limits["Max data size"]) == ServiceOptions(workers=1, memory=1500).worker_memory


@LINUX
def test_workers_go_with_a_server_that_is_killed() -> None:
    with serving(*SMALL, stopped=-signal.SIGKILL) as served:
        (worker,) = served.workers()
        served.process.kill()
        wait_for(lambda: not Path(f"/proc/{worker}").exists())


# Stopping


def test_a_stop_finishes_what_has_come_in() -> None:
    photo = plain(1600)  # none is done before the last one has come in
    with serving(*SMALL, "--queue", 20) as served, ThreadPoolExecutor(12) as threads:
        client = served.client
        asked = [threads.submit(client.post, "/enhance", content=photo) for _ in range(12)]
        wait_for(lambda: served.metric("relume_busy") + served.metric("relume_waiting") >= 12)
        served.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
        with pytest.raises(ConnectionRefusedError):
            opened(served, b"")
    assert [each.status_code for each in answers] == [200] * 12
    assert answers[-1].headers["connection"] == "close"


def test_a_second_interrupt_gives_up_what_runs() -> None:
    """Without waiting, and without a word (which `serving` asserts)."""
    with serving(*SMALL) as served, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(served.client.post, "/enhance", content=plain(6000))
        wait_for(lambda: served.metric("relume_busy") == 1)
        time.sleep(0.3)
        started = time.monotonic()
        for _ in range(2):
            served.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        served.process.wait(20)
        assert time.monotonic() - started < 3
        with pytest.raises(httpx.RemoteProtocolError):
            asked.result()


# Who may ask


def test_a_token_guards_all_but_the_page_and_the_probes(night: Night) -> None:
    with serving(*SMALL, env={"RELUME_TOKEN": "secret"}) as served, served.client as client:
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        for path in ("/models", "/metrics", "/openapi.json"):
            assert_problem(client.get(path), 401, ExitCode.USAGE, "token")
        for shown in (
            {},
            {"authorization": "Bearer other"},
            {"authorization": "secret"},
            {"authorization": "Basic %"},
        ):
            answer = client.post("/enhance", content=night(), headers=shown)
            assert_problem(answer, 401, ExitCode.USAGE, "token")
            assert answer.headers["www-authenticate"].startswith("Basic ")  # so that a browser asks
        assert client.post("/enhance", content=night(), auth=("anyone", "other")).status_code == 401
        right = client.post("/enhance", content=night(), headers={"authorization": "Bearer secret"})
        assert right.status_code == 200
        assert client.post("/enhance", content=night(), auth=("", "secret")).status_code == 200
        for worker in served.workers():
            assert b"secret" not in Path(f"/proc/{worker}/environ").read_bytes()


def test_other_sites_ask_only_where_they_are_named(night: Night) -> None:
    with serving(*SMALL, "--origin", "https://good.example") as served, served.client as client:
        for site, allowed in (("https://good.example", True), ("https://bad.example", False)):
            headers = {"origin": site, "sec-fetch-site": "cross-site"}
            answer = client.post("/enhance", content=night(), headers=headers)
            assert answer.status_code == (200 if allowed else 403)
            assert (answer.headers.get("access-control-allow-origin") == site) is allowed
            asked = {"origin": site, "access-control-request-method": "POST"}
            assert client.options("/enhance", headers=asked).status_code == (200 if allowed else 400)


def refused(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "relume", "serve", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "RELUME_TOKEN"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    return done.returncode, done.stderr


def test_tokens_are_those_that_every_client_can_show(night: Night) -> None:
    for token in ("two words", "späte", "tab\t", " "):
        code, said = refused("--port", "0", "--token", token)
        assert (code, "the token has" in said) == (ExitCode.USAGE, True)
    with serving(*SMALL, env={"RELUME_TOKEN": "a:b=/+~!"}) as served, served.client as client:
        assert client.get("/models", headers={"authorization": "bearer  a:b=/+~!"}).status_code == 200
        assert client.get("/models", auth=("anyone", "a:b=/+~!")).status_code == 200
        assert client.get("/models", headers={"authorization": b"Bearer \xff"}).status_code == 401


@pytest.mark.parametrize(
    "origin", ["*", "https://example.org/", "example.org", "https://Example.org", "null"]
)
def test_origins_are_those_that_browsers_send(origin: str) -> None:
    code, said = refused("--port", "0", "--origin", origin)
    assert (code, origin in said) == (ExitCode.USAGE, True)


def test_other_machines_are_not_served_without_a_token(tight: Served) -> None:
    code, said = refused("--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert code == ExitCode.USAGE
    assert "RELUME_TOKEN" in said
    code, said = refused("--port", str(tight.port))
    assert code == ExitCode.USAGE
    assert "--port" in said
    code, said = refused("--model", "nothing")
    assert code == ExitCode.MODEL


def test_options_are_checked() -> None:
    for wrong in ({"port": 70000}, {"queue": -1}, {"memory": 500}, {"seconds": 0}, {"max_bytes": 0}):
        with pytest.raises(UsageError):
            ServiceOptions(**wrong)
    options = ServiceOptions(workers=3, memory=4000)
    assert options.transit + 3 * options.worker_memory + OWN <= 4000 * 10**6
    assert options.worker_memory > LEAST
    assert is_loopback("127.1.2.3")
    assert is_loopback("::1")
    assert not is_loopback("192.168.1.2")
    assert not is_loopback("example.org")


def test_bytes_on_their_way_have_a_limit_together() -> None:
    ledger = Ledger(100)
    first, second = Account(ledger), Account(ledger)
    first.add(60)
    second.add(40)
    with pytest.raises(Problem) as refused:
        second.add(1)
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    first.release()
    second.add(60)
    second.release()
    second.release()
    assert ledger.held == 0


# Nothing stays


@LINUX
def test_no_photo_is_written(tmp_path: Path, night: Night) -> None:
    """Not even as a temporary file: none is left, and the system lets no process of the service write one."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    for folder in (home, scratch):
        folder.mkdir()
    photos = [night("JPEG", size=(600, 800)), night("TIFF"), plain(1200, compress_level=0)]
    if find_spec("rawpy"):
        from photo.test_raw import dng, mosaic

        photos.append(dng(mosaic(24, 32)))  # which a process of the worker's develops
    environment = {"HOME": str(home), "TMPDIR": str(scratch)}
    with serving(*SMALL, env=environment, before=_write_nothing) as served, served.client as client:
        for data in photos:
            assert client.post("/enhance", files={"photo": data}).status_code == 200
        assert list(home.rglob("*")) == list(scratch.rglob("*")) == []


def _write_nothing() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
