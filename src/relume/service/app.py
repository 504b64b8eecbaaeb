"""The application: its paths, and how a photo goes through them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from relume import site
from relume.errors import ExitCode, RelumeError
from relume.models import describe_models
from relume.photo.formats import HEAD_BYTES, sniff
from relume.service import body, describe
from relume.service.body import Account, Ledger
from relume.service.gate import Gate
from relume.service.metrics import Metrics
from relume.service.options import ServiceOptions
from relume.service.orders import Asked, Order
from relume.service.pool import Pool
from relume.service.problems import Problem, as_problem, retry
from relume.version import __version__

PAGE = Path(str(resources.files("relume"))) / "page"
"""The folder of the page's files."""

ABORT = "relume.abort"
"""Key of a request's scope: a call that cuts the connection."""

_PIECE = 1 << 16


class Service:
    """What the paths share.

    Args:
        options: limits.
        pool: workers, started.
        metrics: where to count.
    """

    def __init__(self, options: ServiceOptions, pool: Pool, metrics: Metrics) -> None:
        self.options = options
        self.pool = pool
        self.metrics = metrics
        self.ledger = Ledger(options.transit)
        metrics.watch(pool, self.ledger)

    async def answer(self, request: Request, asked: Mapping[str, Any], *, look_only: bool) -> Response:
        """Receive a photo, have it done, and hand out what became of it.

        Raises:
            Problem: what any of it is refused by.
            ClientDisconnect: who asked has gone.
        """
        account = Account(self.ledger)
        try:
            body.check_announced(request.headers, self.options)
            self.pool.check_room()
            photo, fields = await body.receive(request, account, self.options)
            self.metrics.received.inc(len(photo))
            order = Order.of(_together(_once(request, asked), fields), look_only=look_only)
            _check_kind(photo)
            reply, result = await _unless_gone(request, self.pool.run(order, photo))
            self.metrics.seconds.observe(reply["seconds"])
            if look_only:
                return JSONResponse({name: reply[name] for name in describe.LOOK})
            account.add(len(result))
            self.metrics.sent.inc(len(result))
            account, mine = Account(self.ledger), account
            return _Result(reply, result, mine, self.options.stall_seconds)
        finally:
            account.release()


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """Await work, and give it up where who asked has gone meanwhile.

    Raises:
        ClientDisconnect: who asked has gone.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for each in (working, watching):
            each.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await asyncio.gather(working, watching, return_exceptions=True)


def _once(request: Request, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of the query, of which none may stand there twice: which of them counts would be a guess.

    Raises:
        Problem: one is given twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    _refuse_twice(name for name in asked if names.count(name) > 1)
    return asked


def _refuse_twice(names: Iterable[str]) -> None:
    for name in names:
        remedy = "Give each option once, in the query or in the form."
        reason = f"{name}: is given twice"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, ExitCode.USAGE, reason, remedy)


def _together(asked: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """Options of the query, and those of a form.

    Raises:
        Problem: a field that is no option, out of range, or in the query, too.
    """
    if not fields:
        return asked
    try:
        told = Asked.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error.errors()) from error
    _refuse_twice(name for name in asked if name in fields)
    return {**asked, **told.model_dump(exclude_unset=True)}


def _check_kind(photo: bytes | bytearray) -> None:
    """Raises Problem (415) where the bytes are of no format that is read."""
    try:
        sniff(bytes(photo[:HEAD_BYTES]), "")
    except RelumeError as error:
        problem = as_problem(error)
        problem.status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        raise problem from None


def _invalid(errors: Sequence[Any]) -> Problem:
    """What pydantic says is wrong, in one sentence."""
    said: dict[str, str] = {}  # an option of several types has an error for each
    for each in errors:
        name = next((part for part in map(str, each["loc"]) if part != "query"), "request")
        what = "is no option" if each["type"] == "extra_forbidden" else each["msg"][:100].lower()
        said.setdefault(name[:40], what)
    reason = "; ".join(f"{name}: {what}" for name, what in list(said.items())[:3])
    remedy = "See /openapi.json for the options and their ranges."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, ExitCode.USAGE, reason, remedy)


class _Result(Response):
    """A photo on its way out; cut off where who asked does not take it. Ends its account when it is out."""

    def __init__(
        self, reply: Mapping[str, Any], result: bytes, account: Account, stall_seconds: float
    ) -> None:
        super().__init__(
            headers={
                "Relume-Look": json.dumps(reply["look"]),
                "Relume-Notes": json.dumps(reply["notes"]),
                "Cache-Control": "no-store",
                "Content-Length": str(len(result)),
            },
            media_type=reply["mime"],
        )
        self._result = result
        self._account = account
        self._stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        view = memoryview(self._result)
        try:
            await send(start)
            for at in range(0, len(view), _PIECE):
                piece = bytes(view[at : at + _PIECE])
                message = {"type": "http.response.body", "body": piece, "more_body": True}
                await asyncio.wait_for(send(message), self._stall_seconds)
            last = {"type": "http.response.body", "body": b"", "more_body": False}
            await asyncio.wait_for(send(last), self._stall_seconds)
        except TimeoutError:
            scope[ABORT]()
            await asyncio.sleep(0)  # until the server knows
        finally:
            self._account.release()


def make_app(
    options: ServiceOptions,
    pool: Pool,
    metrics: Metrics,
    *,
    token: str = "",
    origins: Sequence[str] = (),
    page: Path = PAGE,
) -> FastAPI:
    """The application.

    Args:
        options: limits.
        pool: workers, started; who started them ends them.
        metrics: where to count.
        token: what requests must show.
        origins: of sites whose pages may ask (CORS).
        page: folder of files that are served at `/`.
    """
    service = Service(options, pool, metrics)
    app = FastAPI(
        title="relume",
        version=__version__,
        description=describe.ABOUT,
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.closing = False
    _add_photos(app, service)
    _add_facts(app, service)
    _add_errors(app, service)
    _describe(app)
    if (page / "index.html").is_file():
        _add_site(app)
        app.mount("/", StaticFiles(directory=page, html=True))
    app.add_middleware(Gate, options=options, metrics=metrics, token=token, origins=origins)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Relume-Look", "Relume-Notes", "Retry-After"],
        )
    return app


def _add_photos(app: FastAPI, service: Service) -> None:
    """The paths that take a photo."""

    @app.post("/enhance", **describe.ENHANCE)
    async def enhance(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        return await service.answer(request, asked.model_dump(exclude_unset=True), look_only=False)

    @app.post("/look", **describe.LOOK_AT)
    async def look(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        return await service.answer(request, asked.model_dump(exclude_unset=True), look_only=True)


def _add_facts(app: FastAPI, service: Service) -> None:
    """The paths that only tell."""

    @app.get("/models", **describe.MODELS)
    async def models() -> Response:
        return JSONResponse(describe_models())

    @app.get("/health", **describe.HEALTH)
    async def health() -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    @app.get("/ready", **describe.READY)
    async def ready() -> Response:
        if app.state.closing or not service.pool.alive:
            why = "it is stopping" if app.state.closing else "no worker runs"
            raise retry(HTTPStatus.SERVICE_UNAVAILABLE, f"the service takes no photos: {why}", 5)
        return JSONResponse({"status": "ready", "workers": service.pool.alive})

    @app.get("/metrics", **describe.METRICS)
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_site(app: FastAPI) -> None:
    """What the page needs beside its own files, so that it can also compute by itself."""
    graphs = site.model_files()

    @app.get(f"/{site.FACTS}", include_in_schema=False)
    async def about() -> Response:
        return JSONResponse(site.facts(service=True))

    @app.get("/graphs/{file}", include_in_schema=False)
    async def graph(file: str) -> Response:
        found = graphs.get(f"graphs/{file}")
        own = PAGE / "graphs" / Path(file).name
        if found is None and not own.is_file():
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(found or own.read_bytes(), media_type="application/octet-stream")


def _add_errors(app: FastAPI, service: Service) -> None:
    """What becomes of errors: each is a problem, and none of them a traceback for strangers."""

    @app.exception_handler(RelumeError)
    async def refused(request: Request, error: RelumeError) -> Response:
        return as_problem(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _invalid(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        remedy = "See /openapi.json for the paths and their methods."
        status = HTTPStatus(error.status_code)
        return Problem(status, ExitCode.USAGE, error.detail, remedy, headers=error.headers).response()

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # which nobody hears


def _describe(app: FastAPI) -> None:
    """Add to the description of the interface what a photo is sent as."""
    own = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe.completed(own())
        return app.openapi_schema

    app.openapi = openapi
