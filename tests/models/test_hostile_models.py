"""Cards and graphs from elsewhere, whatever they hold, end in a `ModelError`: soon, in little memory."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume import Enhancer
from relume.errors import ExitCode, ModelError
from shared import Result, dark

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

Run = Callable[..., Result]
FLOAT = TensorProto.FLOAT
ANY = ["n", 3, "h", "w"]


def graph(
    *nodes: Any, inputs: tuple[Any, ...] = (), output: int = FLOAT, shape: Any = None, **rest: Any
) -> bytes:
    """A graph `image` -> `enhanced`."""
    image = helper.make_tensor_value_info("image", FLOAT, ANY)
    enhanced = helper.make_tensor_value_info("enhanced", output, shape)
    made = helper.make_graph(nodes, "graph", [image, *inputs], [enhanced], **rest)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()


def constant(name: str, values: Any, kind: int = FLOAT, dims: tuple[int, ...] = ()) -> Any:
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, dims, values))


def plus(number: float) -> bytes:
    return graph(constant("c", [number]), helper.make_node("Add", ["image", "c"], ["enhanced"]))


def endless() -> bytes:
    """A loop that goes on while true, which is always."""
    names = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("on", 9, []),
    ]
    x, y = (helper.make_tensor_value_info(name, FLOAT, ANY) for name in ("x", "y"))
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["goes"]), helper.make_node("Abs", ["x"], ["y"])],
        "body",
        [*names, x],
        [helper.make_tensor_value_info("goes", 9, []), y],
    )
    return graph(
        constant("true", [True], TensorProto.BOOL),
        helper.make_node("Loop", ["", "true", "image"], ["enhanced"], body=body),
    )


def without_the_middle() -> bytes:
    return graph(
        *(constant(name, [value], TensorProto.INT64, (1,)) for name, value in (("a", 0), ("b", 9), ("c", 3))),
        helper.make_node("Slice", ["image", "a", "b", "c"], ["enhanced"]),
    )


GRAPHS: dict[str, bytes] = {
    "another-shape": without_the_middle(),
    "no-axes": graph(helper.make_node("ReduceMean", ["image"], ["enhanced"], keepdims=0)),
    "integers": graph(
        helper.make_node("Cast", ["image"], ["enhanced"], to=TensorProto.INT64), output=TensorProto.INT64
    ),
    "doubles": graph(
        helper.make_node("Cast", ["image"], ["enhanced"], to=TensorProto.DOUBLE), output=TensorProto.DOUBLE
    ),
    "not-a-number": graph(
        constant("c", [-1.0]),
        helper.make_node("Mul", ["image", "c"], ["m"]),
        helper.make_node("Sqrt", ["m"], ["enhanced"]),
    ),
    "infinite": graph(constant("c", [0.0]), helper.make_node("Div", ["image", "c"], ["enhanced"])),
    "another-input": graph(
        helper.make_node("Add", ["image", "more"], ["enhanced"]),
        inputs=(helper.make_tensor_value_info("more", FLOAT, ANY),),
    ),
    "endless": endless(),
    "no-graph": b"not a graph",
    "empty": b"",
}


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a card for a graph: `model(graph, halo=16)`."""

    def make(content: bytes, **facts: Any) -> Path:
        (tmp_path / "odd.onnx").write_bytes(content)
        card = {
            "name": "odd",
            "summary": "",
            "network": "odd",
            "params": 1,
            "gmacs_256": 0.1,
            "thumbnail_size": None,
            "size_multiple": 1,
            "halo": 0,
            "files": {"odd.onnx": hashlib.sha256(content).hexdigest()},
        }
        (tmp_path / "odd.json").write_text(json.dumps({**card, **facts}))
        return tmp_path / "odd.json"

    return make


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless is what takes longer than a second."""
    monkeypatch.setattr("relume.look.trial.LIMIT", 1.0)


def test_a_graph_that_does_nothing_odd_is_taken(model: Callable[..., Path]) -> None:
    enhancer = Enhancer(model(plus(0.3)))
    assert enhancer.enhance(dark(), strength=1).mean() > dark().mean()


@pytest.mark.parametrize("name", GRAPHS)
def test_an_odd_graph_is_an_error_of_the_model(model: Callable[..., Path], name: str) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        Enhancer(model(GRAPHS[name]))
    assert time.monotonic() - started < 10
    assert caught.value.remedy


def test_the_command_line_tells_it_in_a_line(relume: Run, model: Callable[..., Path], tmp_path: Path) -> None:
    picture = tmp_path / "night.png"
    from relume.photo import Photo, write_photo

    write_photo(Photo(dark()), picture)
    for name in ("another-shape", "not-a-number", "endless"):
        result = relume("enhance", picture, "--model", model(GRAPHS[name]))
        assert (result.code, result.err.count("\n")) == (ExitCode.MODEL, 1)


def test_what_turns_odd_later_is_an_error_too(model: Callable[..., Path]) -> None:
    """Sound for the grey of the first run, and no number for what is darker."""
    odd = graph(
        constant("c", [-0.19]),
        helper.make_node("Add", ["image", "c"], ["m"]),
        helper.make_node("Sqrt", ["m"], ["enhanced"]),
    )
    enhancer = Enhancer(model(odd))
    with pytest.raises(ModelError, match="not a number"):
        enhancer.enhance(dark(), strength=1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("number", [1.01, -1.0])
def test_a_result_beyond_the_range_is_held_in_it(
    model: Callable[..., Path], bits: int, number: float
) -> None:
    """1.01 would wrap round to a dark level."""
    enhancer = Enhancer(model(plus(number)))
    before = dark(bits=bits)
    result = enhancer.enhance(before, strength=1, highlight_guard=0, colour_guard=0, denoise=1)
    if number > 0:
        assert (result >= before).all()
        assert (result == 2**bits - 1).all()
    else:
        assert (result <= before).all()


# Cards


@pytest.mark.parametrize(
    "facts",
    [
        {"thumbnail_size": 10**9},
        {"size_multiple": 10**9},
        {"halo": 10**12},
        {"halo": 24, "size_multiple": 16},
        {"params": 10**30},
        {"name": "o\0dd"},
        {"files": {"o\0dd.onnx": "0"}},
        {"name": "../odd"},
        {"name": ""},
    ],
    ids=str,
)
def test_an_odd_card_is_an_error_of_the_model(model: Callable[..., Path], facts: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        Enhancer(model(plus(0.3), **facts))


def test_a_card_nested_too_deep(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"name":' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(ModelError, match="damaged"):
        Enhancer(tmp_path / "odd.json")


def test_a_name_with_a_nul(tmp_path: Path) -> None:
    for name in (f"{tmp_path}/o\0dd.json", "o\0dd"):
        with pytest.raises(ModelError):
            Enhancer(name)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices are POSIX's")
@pytest.mark.parametrize("what", ["pipe", "endless", "folder", "nothing"])
@pytest.mark.parametrize("part", ["odd.json", "odd.onnx"])
def test_a_card_or_graph_without_end(
    model: Callable[..., Path], tmp_path: Path, what: str, part: str
) -> None:
    model(plus(0.3))
    (tmp_path / part).unlink()
    if what == "pipe":
        os.mkfifo(tmp_path / part)
    elif what == "endless":
        (tmp_path / part).symlink_to("/dev/zero")
    elif what == "folder":
        (tmp_path / part).mkdir()
    with pytest.raises(ModelError):
        Enhancer(tmp_path / "odd.json")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_signal_ends_an_endless_graph(model: Callable[..., Path]) -> None:
    script = f"import sys; sys.argv = ['relume', 'enhance', 'x.png', '--model', {str(model(endless()))!r}]\n"
    script += "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from relume.look import trial\nfrom relume.cli import main\n"
    script += "try_model = trial._within\n"
    script += "def told(*a): print('trying', flush=True); return try_model(*a)\n"
    script += "trial._within = told\nmain()"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"trying\n"
    time.sleep(0.3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - sent < 5
    assert (process.returncode, err) == (ExitCode.INTERRUPTED, b"relume: interrupted.\n")


def test_none_of_it_takes_much_memory() -> None:
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3 << 20  # KiB


# Workers


def test_an_enhancer_pickles_by_its_options(
    model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    model(plus(0.3))
    for enhancer in (Enhancer("lol", tile=64, threads=1, downsample=2), Enhancer("odd.json")):
        packed = pickle.dumps(enhancer)
        assert len(packed) < 1000
        monkeypatch.chdir("/")
        copy = pickle.loads(packed)  # noqa: S301 - our own
        monkeypatch.chdir(tmp_path)
        assert copy.options.tile == enhancer.options.tile
        np.testing.assert_array_equal(copy.enhance(dark(), strength=1), enhancer.enhance(dark(), strength=1))


FORKED = """
import os, sys
import numpy as np
from relume import Enhancer
from relume.errors import UsageError
enhancer, image = Enhancer(threads=2), np.full((30, 40, 3), 20, np.uint8)
enhancer.enhance(image)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    enhancer.enhance(image)
except UsageError as error:
    os._exit(7 if "spawn" in str(error) else 8)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_enhancer_says_so_at_once() -> None:
    """Its threads stay with the parent, so it would wait for them for ever."""
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=60).returncode == 7


def test_one_enhancer_keeps_one_pool() -> None:
    enhancer = Enhancer("lol", threads=2)
    enhancer.enhance(dark(300, 40), strength=1)
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(3):
        enhancer.enhance(dark(300, 40), strength=1)
    assert {thread.ident for thread in threading.enumerate()} <= before
