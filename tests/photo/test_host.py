"""relume as a part of other programs: what it leaves alone, and what it refuses to do in their processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relume.errors import RelumeError
from relume.photo import FORMATS, Metadata, Photo, encode_photo, read_photo
from shared import CASES

from . import samples


def run(script: str, *arguments: str) -> list[str]:
    """The lines that a program prints which ends in time, and well."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_hosts_libvips_stays_as_it_is() -> None:
    script = (
        "import pyvips\n"
        "from pyvips.voperation import cache_get_max\n"
        'svg = b\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\'\n'
        "print(cache_get_max(), pyvips.Image.new_from_buffer(svg, '').width)\n"
        "import numpy as np, relume\n"
        "from relume.photo import FORMATS, Photo, encode_photo, read_photo\n"
        "for name in FORMATS:\n"
        "    read_photo(encode_photo(Photo(np.zeros((9, 9, 3), np.uint8)), format=name)[0])\n"
        "print(cache_get_max(), pyvips.Image.new_from_buffer(svg, '').width)\n"
    )
    before, after = run(script)
    assert before == after


def test_a_program_of_relumes_own_sets_limits() -> None:
    script = (
        "import pyvips, sys\n"
        "from pyvips.voperation import cache_get_max\n"
        "from relume.photo.vips import set_limits\n"
        "set_limits(3)\n"
        'svg = b\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\'\n'
        "try:\n"
        "    pyvips.Image.new_from_buffer(svg, '')\n"
        "except pyvips.Error:\n"
        "    print(cache_get_max(), pyvips.vips_lib.vips_concurrency_get())\n"
    )
    assert run(script) == ["0 3"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
@pytest.mark.parametrize("action", ["read", "write", "only import"])
def test_a_forked_child_works_or_says_why_not(action: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(samples.pillow_file(samples.ramp(), "PNG"))
    script = (
        "import os, sys, numpy as np\n"
        "from relume import Photo, RelumeError, read_photo, write_photo\n"
        "path, action = sys.argv[1:]\n"
        "if action == 'read':\n"
        "    read_photo(path)\n"
        "if action == 'write':\n"
        "    write_photo(Photo(np.zeros((9, 9, 3), np.uint8)), path)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        print(read_photo(path).width, flush=True)\n"
        "    except RelumeError as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(read_photo(path).height)\n"
    )
    first, second = run(script, str(path), action)
    if action == "only import":
        assert (first, second) == ("32", "24")
    else:
        assert "forked" in first
        assert "spawn" in first
        assert second in ("24", "9")


def test_warnings_that_are_no_text_are_logged_and_not_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(RelumeError):
        read_photo(CASES / "words_no_text.png")
    assert any("\ufffd" in said for said in caplog.messages)
    assert capfd.readouterr().err == ""


def test_a_resolution_beyond_reason_is_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    about = Metadata(dpi=(1e12, 1e12))
    for form in FORMATS:
        encode_photo(Photo(samples.ramp(), metadata=about), format=form)
    assert capfd.readouterr().err == ""


def test_mutated_files_of_every_format_do_no_harm() -> None:
    """A little of what `benchmarks/fuzz.py` does with twenty thousand files."""
    script = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
    formats = "jpeg,png,webp,tiff,avif,heif,jxl,gif,bmp,pnm"
    command = [sys.executable, str(script), "--count", "400", "--seed", "7", "--formats", formats]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("size", [1 << 20])
def test_a_large_tag_of_the_other_byte_order_is_turned_at_once(size: int) -> None:
    import tracemalloc

    from relume.photo import ifd

    data = b"MM\0*\0\0\0\x08\0\1\xc0\0\0\3" + (size // 2).to_bytes(4, "big") + b"\0\0\0\x1a" + bytes(4)
    data += np.arange(size // 2, dtype=">u2").tobytes()
    tracemalloc.start()
    directory = ifd.read(lambda at, size: data[at : at + size], ">", 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    value = directory.tags[0xC000]
    np.testing.assert_array_equal(np.frombuffer(value.data, "<u2"), np.arange(size // 2, dtype="<u2"))
    assert peak < 6 * size
