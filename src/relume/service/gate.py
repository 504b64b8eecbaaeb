"""What every request passes: who may ask, and headers that every answer carries."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relume.errors import ExitCode, as_failure
from relume.service.metrics import Metrics
from relume.service.options import ServiceOptions, known_hosts
from relume.service.problems import Problem, as_problem

_log = logging.getLogger(__name__)

_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "img-src 'self' blob: data:",
        "connect-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

PHOTOS = ("/enhance", "/look")
"""Paths that take a photo."""

KNOWN = ("/", *PHOTOS, "/models", "/health", "/ready", "/metrics", "/openapi.json")
"""Paths that are counted each by itself: what strangers make up must not fill the memory."""

GUARDED = (*PHOTOS, "/models", "/metrics", "/openapi.json")
"""Paths that need the token, where there is one; the page and the probes need none."""


_NAME = re.compile(r":\d*$")
"""What stands behind the name in a header `Host`."""

_DISCARDED_SECONDS = 5.0
"""Longest time in which the rest of a refused body is taken."""


class Gate:
    """Middleware: the token, no requests that other sites make a browser send, headers of every answer.

    Args:
        app: what stands behind it.
        options: limits.
        metrics: where to count answers.
        token: what a request must show; "" lets all pass.
        origins: of sites that may ask.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        options: ServiceOptions,
        metrics: Metrics,
        token: str = "",
        origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._most = 2 * options.max_bytes
        self._metrics = metrics
        self._hosts = known_hosts(options.host)
        self._token = token
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, headers)

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if message["status"] != HTTPStatus.REQUEST_TIMEOUT:  # of whose body nothing comes
                    await body.discard(self._most)
                self._finish(message, scope, last=body.held_back)
            await send(message)

        problem = self._misled(scope, headers) or self._refusal(scope["path"], headers)
        answer = self._app if problem is None else problem.response()
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server leaves out the body
        try:
            await answer(scope, body.receive, with_headers)
        except Exception as error:
            if begun:
                raise
            # Outside of here it would be answered without headers, and not counted.
            _log.exception("a request to %s failed", scope["path"] if scope["path"] in KNOWN else "other")
            await as_problem(as_failure(error, None)).response()(scope, body.receive, with_headers)

    def _finish(self, message: Message, scope: Scope, *, last: bool) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in SECURITY.items():
            headers.setdefault(name, value)
        if last or scope["app"].state.closing:
            headers["connection"] = "close"
        path = scope["path"] if scope["path"] in KNOWN else "other"
        self._metrics.requests.labels(path, message["status"]).inc()

    def _misled(self, scope: Scope, headers: Headers) -> Problem | None:
        """The refusal of a request under another name, or of a photo's path by another method.

        The page's files stand behind all paths and would answer there, that there is no such file.
        """
        if scope["path"] in PHOTOS and scope["method"] != "POST":
            remedy = "Send a photo by POST; see /openapi.json."
            reason, allowed = HTTPStatus.METHOD_NOT_ALLOWED.phrase, {"Allow": "POST"}
            return Problem(HTTPStatus.METHOD_NOT_ALLOWED, ExitCode.USAGE, reason, remedy, headers=allowed)
        if not self._hosts or _NAME.sub("", headers.get("host", "")).lower() in self._hosts:
            return None
        remedy = f"Ask for {', '.join(sorted(self._hosts))}, or name another --host."
        return Problem(HTTPStatus.BAD_REQUEST, ExitCode.USAGE, "the request is for another host", remedy)

    def _refusal(self, path: str, headers: Headers) -> Problem | None:
        if not path.startswith(GUARDED):
            return None
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("origin") not in self._origins:
            remedy = "Ask from the service's own page; who runs the service can allow others by --origin."
            return Problem(HTTPStatus.FORBIDDEN, ExitCode.USAGE, "another site may not ask here", remedy)
        if self._token and not hmac.compare_digest(_shown(headers), self._token.encode()):
            return Problem(
                HTTPStatus.UNAUTHORIZED,
                ExitCode.USAGE,
                "the request shows no valid token",
                "Send the header 'Authorization: Bearer TOKEN' with the token of the service, or the token "
                "as the password of any user.",
                headers={"WWW-Authenticate": 'Basic realm="relume", charset="UTF-8"'},
            )
        return None


def _shown(headers: Headers) -> bytes:
    """The token that a request shows: by itself, or as a password, for which browsers ask by themselves."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return shown.strip().encode("latin-1")  # the very bytes of the header
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(shown, validate=True).partition(b":")[2]
    return b""


class _Body:
    """The body of a request, and whether some of it is still to come."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        self._open = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._announced = headers.get("expect", "").lower() == "100-continue"

    @property
    def held_back(self) -> bool:
        """Whether the client waits to be asked for the body, and may not send it at all."""
        return self._announced and self._open

    async def receive(self) -> Message:
        self._announced = False  # the server asks for it now
        message = await self._receive()
        if not message.get("more_body"):
            self._open = False
        return message

    async def discard(self, most: int) -> None:
        """Take what is still to come: most clients read no answer before they have sent all."""
        if self.held_back:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARDED_SECONDS):
                while self._open and most > 0:
                    most -= len((await self.receive()).get("body", b""))
