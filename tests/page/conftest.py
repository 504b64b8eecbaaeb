"""A browser on the page: headless Chromium of the system, and a host of files that notes what it is asked."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relume.site import has_runtime, write_site

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODE = shutil.which("node")
AXE = ROOT / "node_modules/axe-core/axe.min.js"

needs_node = pytest.mark.skipif(NODE is None, reason="needs Node")


@dataclass
class Host:
    """A host of files on this machine alone."""

    address: str
    asked: list[str] = field(default_factory=list[str])


@dataclass
class Visit:
    """A page in a browser, with everything that it asked for and complained of."""

    page: Any
    asked: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])

    def add(self, *photos: Path) -> None:
        """Choose photos and wait until the first of them can be compared."""
        self.page.set_input_files("#pick", [str(photo) for photo in photos])
        self.page.wait_for_function(
            "name => document.getElementById('status').textContent.startsWith(name + ' is ready')",
            arg=photos[0].name,
        )

    def download(self, button: str, target: Path) -> str:
        """What a button saves, and the name that it suggests."""
        with self.page.expect_download() as saved:
            self.page.click(button)
        saved.value.save_as(target)
        return saved.value.suggested_filename


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static site, as `relume page` writes it."""
    if not has_runtime():
        pytest.skip("the page's runtime is not here: make page")
    folder = tmp_path_factory.mktemp("page") / "site"
    write_site(folder)
    return folder


@pytest.fixture(scope="session")
def host(site: Path) -> Iterator[Host]:
    """Serves the site without any header of its own, as hosts of files do."""
    with hosting(site) as host:
        yield host


@contextmanager
def hosting(site: Path, **headers: str) -> Iterator[Host]:
    """A host of a site; `headers` are added to every answer."""
    host = Host("")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            host.asked.append(self.path)

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            super().end_headers()

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(site.parent))
    )
    host.address = f"http://127.0.0.1:{server.server_port}/{site.name}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield host
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, or whichever is installed; its driver's event loop must not outlive these tests."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Opens an address in a context of its own: `open_page(address, locale="de-DE", ...)`."""
    contexts: list[Any] = []

    def opened(address: str, *, ready: bool = True, **options: Any) -> Visit:
        context = chromium.new_context(**{"locale": "en-GB", "accept_downloads": True, **options})
        contexts.append(context)
        context.set_default_timeout(90_000)
        visit = Visit(context.new_page())
        visit.page.on("request", lambda request: visit.asked.append(request.url))
        visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
        visit.page.on("console", lambda line: visit.said.append(line.text) if line.type == "error" else None)
        visit.page.goto(address)
        if ready:
            visit.page.wait_for_selector("body[data-provider]")
        return visit

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def visit(open_page: Callable[..., Visit], host: Host) -> Visit:
    """The site, loaded and kept by the browser; photos of earlier tests may be there."""
    visit = open_page(host.address)
    visit.page.wait_for_function("() => navigator.serviceWorker.controller !== null && crossOriginIsolated")
    visit.page.wait_for_selector("body[data-provider]")
    return visit
