"""The server: uvicorn with limits on connections that stand still, and a stop that finishes what runs."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from relume.errors import UsageError
from relume.options import EnhanceOptions
from relume.service.app import ABORT, make_app
from relume.service.metrics import Metrics
from relume.service.options import ServiceOptions
from relume.service.pool import Pool
from relume.service.worker import Setup
from relume.threads import share

_MOST_CONNECTIONS = 500
"""Connections at once; beyond them the answer is 503."""

_LAST_LOOK = 0.2
"""Seconds between the end of listening and the end of idle connections, for requests that have just come."""


class _Protocol(H11Protocol):
    """A connection that is cut when it stands still without a request: before one, within its header, or with
    an answer that is not taken.
    """

    stall_seconds = 10.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        inner = self.app
        self._idle_since: object = None

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope[ABORT] = self.transport.abort
            try:
                await inner(scope, receive, send)
            except asyncio.CancelledError:  # by a second Ctrl-C: what runs is given up
                self.transport.abort()
                await asyncio.sleep(0)  # until the server knows

        self.app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch = self.loop.call_later(self.stall_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        cycle: Any = cast(Any, self.cycle)  # None at first, which uvicorn's types do not say
        idle = cycle is None or cycle.response_complete
        mark = (cycle,) if idle else None
        if idle and mark == self._idle_since:
            self.transport.abort()
            return
        self._idle_since = mark
        self._watch = self.loop.call_later(self.stall_seconds, self._look)


class _Server(uvicorn.Server):
    """Tells the application that it stops, and lets requests through that have just arrived."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: Any = self.config.app
        app.state.closing = True
        await asyncio.sleep(0)  # what waits to be accepted is, before the port closes
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(_LAST_LOOK)
        await super().shutdown(sockets)


def listen(options: ServiceOptions) -> socket.socket:
    """A socket that listens where the options say.

    Raises:
        UsageError: the port is taken, or there is no such address.
    """
    where = f"{options.host} port {options.port}"
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(found[0], found[1])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen at {where} ({error})", "Choose another --host.") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(found[4])
        opened.listen(_MOST_CONNECTIONS)
    except OSError as error:
        opened.close()
        reason = f"cannot listen at {where} ({error.strerror})"
        raise UsageError(reason, "Choose another --port or --host.") from error
    return opened


def serve(
    options: ServiceOptions,
    enhancing: EnhanceOptions,
    *,
    token: str = "",
    origins: Sequence[str] = (),
    on_start: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve until the process is told to stop, and finish what runs then; a second Ctrl-C gives it up.

    Args:
        options: where, and with what limits.
        enhancing: how workers compute, and the model that they load first.
        token: what requests must show.
        origins: of sites whose pages may ask.
        on_start: told the address, when the service takes photos.

    Raises:
        UsageError: it cannot listen there.
        RelumeError: the workers cannot be started.
    """
    metrics = Metrics()
    threads = enhancing.threads or share(options.processes)
    setup = Setup(
        replace(enhancing, threads=threads),
        options.worker_memory,
        options.seconds,
        options.max_bytes,
        options.max_pixels,
    )
    pool = Pool(
        setup,
        options.processes,
        options.queue,
        lambda reason: metrics.deaths.labels(reason).inc(),
    )
    with listen(options) as listening:
        pool.start()
        try:
            app = make_app(options, pool, metrics, token=token, origins=origins)
            host, port = listening.getsockname()[:2]
            on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            if _run(app, options, listening):
                pool.give_up()
        finally:
            pool.close()


def _run(app: Any, options: ServiceOptions, listening: socket.socket) -> bool:
    """Serve until it is told to stop; returns whether what runs then is to be given up."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of what strangers send
    config = uvicorn.Config(
        app,
        http=type("Protocol", (_Protocol,), {"stall_seconds": options.stall_seconds}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=round(2 * options.seconds + options.transfer_seconds),
    )
    server = _Server(config)

    def hang_up(number: int, frame: FrameType | None) -> None:
        server.handle_exit(signal.SIGTERM, None)

    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hang_up)
    with suppress(KeyboardInterrupt):  # which the server raises once more when it has stopped
        server.run(sockets=[listening])
    return server.force_exit
