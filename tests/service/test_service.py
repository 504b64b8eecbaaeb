"""The service as programs and browsers ask it: a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from photo import samples
from relume.errors import ExitCode
from relume.options import Controls, Saving
from relume.photo import read_photo
from service.served import Served
from shared import Result

Night = Callable[..., bytes]


def test_a_photo_comes_back_as_from_the_command_line(
    client: Any, relume: Callable[..., Result], night: Night
) -> None:
    data = night("JPEG", size=(50, 70), exif=samples.exif(1))
    by_service = client.post("/enhance", content=data)
    by_command = relume("enhance", "-", "-o", "-", "--threads", 1, stdin=data)
    assert by_service.status_code == 200
    assert by_service.headers["content-type"] == "image/jpeg"
    assert by_service.content == by_command.out
    assert b"Exif" in by_service.content
    assert json.loads(by_service.headers["relume-notes"]) == []
    assert json.loads(by_service.headers["relume-look"])["strength"] == 1.0


@pytest.mark.parametrize("as_form", [False, True])
def test_options_stand_in_the_query_or_in_the_form(
    client: Any, relume: Callable[..., Result], night: Night, as_form: bool
) -> None:
    data = night()
    asked = {"strength": "0.5", "exposure": "0.4", "format": "webp", "quality": "70", "strip": "true"}
    if as_form:
        answer = client.post("/enhance", files={"photo": ("night.png", data)}, data=asked)
    else:
        answer = client.post("/enhance", content=data, params=asked)
    options = ["--strength", 0.5, "--exposure", 0.4, "--format", "webp", "--quality", 70, "--strip"]
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content == relume("enhance", "-", "-o", "-", "--threads", 1, *options, stdin=data).out


def test_a_photo_that_is_left_alone_is_its_own_bytes(client: Any) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(stream, "PNG")
    answer = client.post("/enhance", content=stream.getvalue())
    assert answer.content == stream.getvalue()
    assert json.loads(answer.headers["relume-notes"]) == ["left as it is"]


def test_a_look_is_decided_without_a_result(client: Any, night: Night) -> None:
    told = client.post("/look", content=night(), params={"strength": 0.5, "downsample": 2}).json()
    assert told["look"]["strength"] == 0.5
    assert told["look"]["downsample"] == 2
    assert (told["width"], told["height"], told["bits"], told["format"]) == (32, 24, 8, "png")


def test_sixteen_bits_and_alpha_stay(client: Any) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((20, 30), 3000, np.uint16)).save(stream, "PNG")
    photo = read_photo(client.post("/enhance", content=stream.getvalue(), params={"strength": 1}).content)
    assert (photo.bits, photo.grey) == (16, True)


def test_the_facts(client: Any) -> None:
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/ready").json() == {"status": "ready", "workers": 1}
    assert {"photo", "lol"} <= {row["name"] for row in client.get("/models").json()}
    assert "relume_requests_total" in client.get("/metrics").text


def test_the_description_has_every_option(client: Any) -> None:
    described = client.get("/openapi.json").json()["paths"]["/enhance"]["post"]
    names = {each["name"] for each in described["parameters"]}
    asked = {each.name for options in (Controls, Saving) for each in fields(options)}
    assert names == asked | {"model", "downsample"}
    form = described["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert form.keys() == names | {"photo"}


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"strength": "2"}, "strength"),
        ({"strength": "nan"}, "strength"),
        ({"model": "/etc/passwd.json"}, "model"),
        ({"model": "nothing"}, "model"),
        ({"quality": "0"}, "quality"),
        ({"format": "gif"}, "format"),
        ({"downsample": "5"}, "downsample"),
        ({"threads": "4"}, "threads"),
        ({"tile": "0"}, "tile"),
        ({"device": "cuda"}, "device"),
    ],
)
@pytest.mark.parametrize("as_form", [False, True])
def test_wrong_options_are_422(
    client: Any, night: Night, asked: dict[str, str], word: str, as_form: bool
) -> None:
    if as_form:
        answer = client.post("/enhance", files={"photo": night()}, data=asked)
    else:
        answer = client.post("/enhance", content=night(), params=asked)
    assert_problem(answer, 422, ExitCode.USAGE, word)


def assert_problem(answer: Any, status: int, code: ExitCode, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"]) == (status, int(code))
    assert words in told["detail"]
    assert told["remedy"].endswith(".")


@pytest.mark.parametrize("in_form", [0, 1, 2])
def test_an_option_that_is_given_twice_is_422(client: Any, night: Night, in_form: int) -> None:
    """Which of them counts would be a guess; `in_form` of the two stand in the form."""
    data = night()
    if in_form == 0:
        answer = client.post("/enhance?strength=0.5&strength=0.7", content=data)
    elif in_form == 1:
        answer = client.post("/enhance?strength=0.5", files={"photo": data}, data={"strength": "0.5"})
    else:
        answer = client.post("/enhance", files={"photo": data}, data={"strength": ["0.5", "0.7"]})
    assert_problem(answer, 422, ExitCode.USAGE, "strength")


def test_a_compressed_body_is_415(client: Any, night: Night) -> None:
    for coding in ("gzip", "deflate, br", "GZIP"):
        headers = {"content-encoding": coding}
        answer = client.post("/enhance", content=gzip.compress(night()), headers=headers)
        assert_problem(answer, 415, ExitCode.USAGE, "compressed")
        assert answer.headers["accept-encoding"] == "identity"
    assert client.post("/look", content=night(), headers={"content-encoding": "identity"}).status_code == 200


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "zlib", "nothing", "utf-7", '"'])
def test_no_character_set_of_a_form_is_a_fault(client: Any, charset: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff.--\xe9\r\n--x--\r\n'
    kind = f"multipart/form-data; charset={charset}; boundary=x"
    answer = client.post("/enhance", content=body, headers={"content-type": kind})
    assert answer.status_code == 422, answer.text


def test_what_is_not_foreseen_is_a_fault_with_all_headers_and_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("relume.service.app.describe_models", fail)
    answers = asked_here(tmp_path, ["/models", "/metrics"])
    assert_problem(answers["/models"], 500, ExitCode.FAULT, "KeyError")
    assert "default-src 'self'" in answers["/models"].headers["content-security-policy"]
    assert 'relume_requests_total{path="/models",status="500"} 1.0' in answers["/metrics"].text
    assert "nobody thought of this" in caplog.text


def test_head_tells_what_get_would(client: Any) -> None:
    for path in ("/", "/health", "/ready", "/models", "/metrics", "/site.json", "/graphs/cells.onnx"):
        asked, told = client.get(path), client.head(path)
        assert told.status_code == asked.status_code == 200, path
        assert told.content == b""
        assert told.headers["content-type"] == asked.headers["content-type"]
    assert client.head("/enhance").status_code == 405


def test_what_is_no_photo_is_415(client: Any) -> None:
    assert_problem(client.post("/enhance", content=b"%PDF-1.7"), 415, ExitCode.INPUT_INVALID, "PDF")
    assert_problem(client.post("/enhance", content=b""), 415, ExitCode.INPUT_INVALID, "empty")


def test_a_damaged_photo_is_422(client: Any, night: Night) -> None:
    assert_problem(client.post("/enhance", content=night("JPEG")[:300]), 422, ExitCode.INPUT_INVALID, "JPEG")


def test_a_form_needs_one_photo(client: Any, night: Night) -> None:
    for files in ({"picture": night()}, [("photo", night()), ("photo", night())]):
        assert_problem(client.post("/enhance", files=files), 422, ExitCode.USAGE, "form")
    broken = client.post("/enhance", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert_problem(broken, 422, ExitCode.USAGE, "boundary")
    header = b'--x\r\nContent-Disposition[: form-data; name="photo"\r\n\r\n--x--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert_problem(client.post("/enhance", content=header, headers=kind), 422, ExitCode.USAGE, "form")


def test_paths_and_methods_that_are_none(client: Any) -> None:
    assert_problem(client.get("/nothing"), 404, ExitCode.USAGE, "Not Found")
    for wrong in (client.get("/enhance"), client.post("/health"), client.put("/look", content=b"x")):
        assert_problem(wrong, 405, ExitCode.USAGE, "Method Not Allowed")
    assert client.options("/enhance").headers["allow"] == client.get("/look").headers["allow"] == "POST"


def test_every_answer_carries_headers_of_security(client: Any) -> None:
    for answer in (client.get("/health"), client.get("/nothing"), client.post("/enhance", content=b"")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_other_sites_may_not_ask(client: Any, night: Night) -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": "https://example.org"}
    assert_problem(client.post("/enhance", content=night(), headers=headers), 403, ExitCode.USAGE, "site")
    assert client.get("/health", headers=headers).status_code == 200


def test_other_names_are_not_the_service(client: Any, night: Night) -> None:
    for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost@evil.example"):
        answer = client.post("/enhance", content=night(), headers={"host": name})
        assert_problem(answer, 400, ExitCode.USAGE, "host")
    for name in ("localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"):
        assert client.get("/health", headers={"host": name}).status_code == 200


def test_random_requests_after_the_description_find_no_fault(service: Served, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    wrong = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [*(Path(sys.executable).with_name("schemathesis"), "run"), f"{service.address}/openapi.json"]
    options = ["--checks", wrong, "--phases", "fuzzing", "--max-examples", "10", "--max-time", "8"]
    done = subprocess.run(
        [*command, *options, "--generation-database", "none", "--seed", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert service.metric("relume_worker_deaths_total") == 0


def asked_here(folder: Path, paths: list[str]) -> dict[str, Any]:
    """Answers of an application in this process, without workers, with a page of its own."""
    from relume.options import EnhanceOptions
    from relume.service.app import make_app
    from relume.service.metrics import Metrics
    from relume.service.options import ServiceOptions
    from relume.service.pool import Pool
    from relume.service.worker import Setup

    (folder / "index.html").write_text("<p>here")
    pool = Pool(Setup(EnhanceOptions(), 1, 1, 1, 1), 1, 1)
    app = make_app(ServiceOptions(), pool, Metrics(), page=folder)

    async def ask() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return {path: await client.get(path) for path in paths}

    answers = asyncio.run(ask())
    pool.close()
    return answers


def test_the_page_stands_behind_the_other_paths(tmp_path: Path) -> None:
    """In this process, as the page is another's to build."""
    answers = asked_here(tmp_path, ["/", "/enhance", "/nothing", "/ready"])
    assert answers["/"].text == "<p>here"
    assert "default-src 'self'" in answers["/"].headers["content-security-policy"]
    assert_problem(answers["/enhance"], 405, ExitCode.USAGE, "Method Not Allowed")
    assert_problem(answers["/nothing"], 404, ExitCode.USAGE, "Not Found")
    assert_problem(answers["/ready"], 503, ExitCode.RESOURCES, "no worker")
