"""Bodies of requests: bounded in size, in time and, all together, in memory. None of it touches a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from relume.errors import ExitCode
from relume.service.options import ServiceOptions
from relume.service.problems import Problem, retry

FIELD = "photo"
"""Name of the field of a form that holds the photo."""

_MOST_FIELDS = 32
_LONGEST_FIELD = 4096
_AROUND = 1 << 16
"""Bytes of a form around its photo."""


class Ledger:
    """Bytes of bodies and results that are on their way, with a limit on all of them together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Account:
    """What one request holds of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held = 0

    def add(self, count: int) -> None:
        """Hold so many bytes more.

        Raises:
            Problem: (429) there is no room for them now.
        """
        if self._ledger.held + count > self._ledger.most:
            raise retry(HTTPStatus.TOO_MANY_REQUESTS, "too many photos are on their way at once", 5)
        self._ledger.held += count
        self._held += count

    def release(self) -> None:
        """Hold nothing more."""
        self._ledger.held -= self._held
        self._held = 0


def too_large(options: ServiceOptions) -> Problem:
    """The refusal of a body beyond the limit."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ExitCode.INPUT_TOO_LARGE,
        f"the body has more than {options.max_bytes:,} bytes",
        "Send a smaller photo; who runs the service can raise --max-bytes.",
    )


def check_announced(headers: Headers, options: ServiceOptions) -> None:
    """Raises Problem where a body announces itself as too large (413), or as compressed (415)."""
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            ExitCode.USAGE,
            f"the body is compressed ({coding[:40]})",
            "Send it as it is, without Content-Encoding: photos are compressed already.",
            headers={"Accept-Encoding": "identity"},
        )
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > options.max_bytes + _AROUND:
        raise too_large(options)


async def pieces(request: Request, account: Account, options: ServiceOptions) -> AsyncGenerator[bytes]:
    """The body piece by piece, on account.

    Raises:
        Problem: too large (413), too slow (408), or no room for it now (429).
        ClientDisconnect: its sender has gone.
    """
    total = 0
    end = asyncio.get_running_loop().time() + options.transfer_seconds
    stream = request.stream()
    while True:
        left = end - asyncio.get_running_loop().time()
        try:
            piece = await asyncio.wait_for(anext(stream), max(0.0, min(options.stall_seconds, left)))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                ExitCode.USAGE,
                "the body did not arrive in time",
                f"Send it within {options.transfer_seconds:g} s, without pauses of more than "
                f"{options.stall_seconds:g} s.",
                headers={"Connection": "close"},
            ) from None
        total += len(piece)
        if total > options.max_bytes + _AROUND:
            raise too_large(options)
        account.add(len(piece))
        yield piece


async def receive(
    request: Request, account: Account, options: ServiceOptions
) -> tuple[bytes | bytearray, dict[str, str]]:
    """The photo's bytes, and the other fields of a form.

    Raises:
        Problem: no photo, a broken form (422), or what `pieces` raises.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        return await _from_form(request, account, options)
    data = bytearray()
    async for piece in pieces(request, account, options):
        data += piece
    if len(data) > options.max_bytes:
        raise too_large(options)
    return data, {}


class _InMemory(MultiPartParser):
    spool_max_size = 2**62


async def _from_form(
    request: Request, account: Account, options: ServiceOptions
) -> tuple[bytes | bytearray, dict[str, str]]:
    parser = _InMemory(
        request.headers,
        pieces(request, account, options),
        max_files=1,
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_FIELD,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _wrong(f"the form cannot be read ({error.message.rstrip('.')})") from error
    except UnicodeError as error:  # that of a character set which decodes nothing
        raise _wrong("the form's character set is none for text") from error
    try:
        photos = [
            value for name, value in form.multi_items() if name == FIELD and isinstance(value, UploadFile)
        ]
        if len(photos) != 1:
            raise _wrong(f"the form has no file in its field '{FIELD}'")
        data = await photos[0].read()
        account.add(len(data))
    finally:
        await form.close()
    if len(data) > options.max_bytes:
        raise too_large(options)
    return data, _fields(form)


def _fields(form: FormData) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            if name in told:
                raise _wrong(f"the form has two fields '{name[:40]}'")
            told[name] = value
    return told


def _wrong(reason: str) -> Problem:
    remedy = f"Send the photo's bytes as the body, or a form with one file in its field '{FIELD}'."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, ExitCode.USAGE, reason, remedy)
