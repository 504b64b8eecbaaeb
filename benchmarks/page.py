"""Time of the page's private mode in headless Chromium, and how far its results are from the command line's.

    python benchmarks/page.py [--photo PHOTO]

One photo in several sizes, each chosen, previewed and downloaded as PNG; the fastest of three. Nothing else
should run meanwhile.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import store
from PIL import Image
from playwright.sync_api import sync_playwright

from relume import Enhancer
from relume.site import write_site

SIZES = ((600, 400), (1920, 1080), (4000, 3000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=Path("docs/images/night.jpg"))
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(given.photo, Path(folder), given.times)
    store("page", rows)


def measured(photo: Path, folder: Path, times: int) -> list[dict[str, Any]]:
    write_site(folder / "site")
    handler = functools.partial(Quiet, directory=str(folder / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    enhancer = Enhancer(precision="float32")
    rows: list[dict[str, Any]] = []
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium") or sys.exit("no Chromium"), args=["--no-sandbox"]
        )
        page = browser.new_context(locale="en-GB").new_page()
        page.set_default_timeout(300_000)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("() => document.getElementById('runs').textContent.includes('offline')")
        page.evaluate("document.getElementById('format').value = 'png'")
        threads = page.evaluate("document.getElementById('runs').textContent.match(/\\d+/)[0]")
        for size in SIZES:
            file = folder / f"{size[0]}x{size[1]}.jpg"
            with Image.open(photo) as original:
                original.resize(size, Image.Resampling.BICUBIC).save(file, quality=92)
            rows.append(row(page, file, folder, enhancer, times, threads))
            print(rows[-1], flush=True)
        browser.close()
    server.shutdown()
    return rows


def row(page: Any, file: Path, folder: Path, enhancer: Enhancer, times: int, threads: str) -> dict[str, Any]:
    """Seconds until a photo can be compared, until it is saved, and of the command line's work."""
    ready = "name => document.getElementById('status').textContent.startsWith(name + ' is ready')"

    def opened() -> None:
        page.set_input_files("#pick", str(file))
        page.wait_for_function(ready, arg=file.name)

    def saved() -> None:
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(folder / "result.png")

    pairs = [(seconds(opened), seconds(saved)) for _ in range(times)]
    own = min(seconds(lambda: enhancer.enhance(file)) for _ in range(times))
    with Image.open(folder / "result.png") as result:
        theirs = np.asarray(result).astype(int)
    difference = int(np.abs(theirs - enhancer.enhance(file).rgb_HWC).max())
    height, width = theirs.shape[:2]
    to_compare, to_save = (round(min(each), 2) for each in zip(*pairs, strict=True))
    return {
        "size": file.stem,
        "megapixels": round(height * width / 1e6, 2),
        "seconds_to_compare": to_compare,
        "seconds_to_save": to_save,
        "seconds_of_enhancer": round(own, 2),
        "largest_difference": difference,
        "browser_threads": threads,
    }


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    main()
