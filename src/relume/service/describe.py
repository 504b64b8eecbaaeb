"""The description of the interface (OpenAPI), as far as it does not follow from the code."""

from __future__ import annotations

from typing import Any

from relume.photo.formats import FORMATS
from relume.service.body import FIELD
from relume.service.orders import Asked
from relume.service.problems import MEDIA_TYPE

ABOUT = (
    "Makes dark photographs readable. A photo is sent as the body of a request, as it is, or as a file in "
    f"the field `{FIELD}` of a form; options stand in the query, or in fields of the form. Nothing is kept."
)

LOOK = ("look", "width", "height", "bits", "format", "notes")
"""What is told of a photo without a result."""

_OPTIONS: dict[str, Any] = Asked.model_json_schema()["properties"]
_BYTES = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _BYTES},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: _BYTES, **_OPTIONS},
                "additionalProperties": False,
            }
        },
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "remedy", "code", "kind"],
    "properties": {
        "type": {"type": "string", "example": "urn:relume:error:INPUT_INVALID"},
        "title": {"type": "string", "example": "Unprocessable Entity"},
        "status": {"type": "integer", "example": 422},
        "detail": {"type": "string", "example": "the JPEG file is cut off"},
        "remedy": {"type": "string", "example": "Copy the photo again from where it came."},
        "code": {"type": "integer", "description": "The exit code of the command line.", "example": 4},
        "kind": {"type": "string", "example": "InputInvalid"},
    },
}
_WHY = {
    400: "The request is not HTTP, or names no host of this service.",
    401: "The request shows no valid token.",
    403: "Another site may not ask here.",
    408: "The body did not arrive in time.",
    413: "More bytes or pixels than the service takes.",
    415: "No format that relume reads, or a compressed body.",
    422: "An option is out of range or given twice, or the photo is damaged.",
    429: "The queue is full.",
    500: "A fault that this photo brought to light.",
    503: "No worker became free in time, or the service stops.",
    504: "The photo took too long.",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds after which to try again."}}
_LOOK_EXAMPLE = {
    "strength": 1.0,
    "denoise": 1.0,
    "highlight_guard": 0.5,
    "downsample": 1,
    "network_stops": [3.1, 3.0, 3.3],
}


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {
        code: {
            "description": _WHY[code],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            **({"headers": _RETRY} if code in (429, 503) else {}),
        }
        for code in codes
    }


def _json(about: str, example: Any) -> dict[int | str, dict[str, Any]]:
    kind = "array" if isinstance(example, list) else "object"
    return {
        200: {
            "description": about,
            "content": {"application/json": {"schema": {"type": kind}, "example": example}},
        }
    }


def _path(summary: str, responses: dict[int | str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"summary": summary, "responses": responses, **more}


_TEXT = {"type": "string"}
_PHOTO = {
    200: {
        "description": "The result, with the metadata of the photo.",
        "content": {one.mime: {"schema": _BYTES} for one in FORMATS.values()},
        "headers": {
            "Relume-Look": {"schema": _TEXT, "description": "What was decided for the photo, as JSON."},
            "Relume-Notes": {
                "schema": _TEXT,
                "description": "What reading and writing had to change, a JSON list of sentences.",
            },
        },
    }
}
_REFUSALS = _problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 504)

ENHANCE = _path("Enhance a photo.", {**_PHOTO, **_REFUSALS}, openapi_extra={"requestBody": _BODY})
LOOK_AT = _path(
    "Decide what a photo needs, without doing it.",
    {
        **_json(
            "What was decided.",
            {
                "look": _LOOK_EXAMPLE,
                "width": 600,
                "height": 400,
                "bits": 8,
                "format": "jpeg",
                "notes": [],
            },
        ),
        **_REFUSALS,
    },
    openapi_extra={"requestBody": _BODY},
)
MODELS = _path(
    "List the models.",
    {
        **_json(
            "The models.", [{"name": "photo", "params": 162_000, "summary": "For photos of any camera."}]
        ),
        **_problems(400, 401, 403),
    },
)
HEALTH = _path("Whether the service lives.", {**_json("It does.", {"status": "ok"}), **_problems(400)})
READY = _path(
    "Whether the service takes photos.",
    {**_json("It does.", {"status": "ready", "workers": 2}), **_problems(400, 503)},
)
METRICS = _path(
    "Counters for Prometheus.",
    {
        200: {"description": "The counters.", "content": {"text/plain": {"schema": _TEXT}}},
        **_problems(400, 401, 403),
    },
)


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The description with what all paths share, and without what FastAPI adds for its own errors."""
    parts = schema.setdefault("components", {})
    schemas: dict[str, Any] = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "password": {"type": "http", "scheme": "basic"},
    }
    for path, methods in schema["paths"].items():
        if path not in ("/health", "/ready"):
            for one in methods.values():
                one["security"] = [{"token": []}, {"password": []}, {}]
    return schema
