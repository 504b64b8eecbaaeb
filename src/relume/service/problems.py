"""Errors as answers: problem+json (RFC 9457) with relume's exit code and remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from relume.errors import ExitCode, RelumeError

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[ExitCode, HTTPStatus] = {
    ExitCode.USAGE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExitCode.INPUT_UNREADABLE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExitCode.INPUT_INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExitCode.INPUT_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ExitCode.OUTPUT_UNWRITABLE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExitCode.MISSING_EXTRA: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ExitCode.RESOURCES: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What an exit code becomes; every other one is a fault of the server."""


class Problem(RelumeError):
    """An error that an answer tells.

    Args:
        status: of the answer.
        code: the exit code that goes with it.
        kind: name of the error where it arose; that of the exit code by default.
        headers: more of the answer's.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: ExitCode,
        reason: str,
        remedy: str,
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, remedy)
        self.status = status
        self.exit_code = code
        self.kind = kind or code.name
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        return {
            "type": f"urn:relume:error:{self.exit_code.name}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.reason,
            "remedy": self.remedy,
            "code": int(self.exit_code),
            "kind": self.kind,
        }

    def response(self) -> Response:
        """The answer."""
        return Response(
            json.dumps(self.to_json()), int(self.status), headers=self.headers, media_type=MEDIA_TYPE
        )


def as_problem(error: RelumeError) -> Problem:
    """Any error of relume as a problem."""
    if isinstance(error, Problem):
        return error
    return told_problem(type(error).__name__, int(error.exit_code), error.reason, error.remedy)


def told_problem(kind: str, code: int, reason: str, remedy: str) -> Problem:
    """A problem from the parts of an error, as a worker tells them."""
    known = ExitCode(code)
    if known is ExitCode.INPUT_TOO_LARGE:
        remedy = "Send a smaller photo; who runs the service can raise its limits."
    status = STATUS.get(known, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Problem(status, known, reason, remedy, kind=kind, headers=headers)


def retry(status: HTTPStatus, reason: str, seconds: float, *, remedy: str = "Try again later.") -> Problem:
    """A refusal for the moment, with `Retry-After`."""
    headers = {"Retry-After": str(max(1, round(seconds)))}
    return Problem(status, ExitCode.RESOURCES, reason, remedy, headers=headers)
