"""How far a reader must follow one photo from command to file: counted by `benchmarks/modules.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "modules.py"
MOST_FOLDED, MOST_ONCE = 200, 135
"""Changes of module, with loops folded and with each function read once: 194 and 130, and a little room."""

HELPERS = """
def one():
    pass

def two():
    one()
"""
LOOP = """
def start():
    for _ in range(5):
        b["two"]()
        own()

def own():
    pass
"""
TWICE = """
def start():
    b["one"]()
    own()
    b["one"]()

def own():
    pass
"""
COMPREHENSION = """
def start():
    return sum(each for each in [b["one"](), 1] if each)
"""


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("benchmark_modules", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def walked(modules: ModuleType, source: str) -> Any:
    """The walk of `start`, in a module that calls the helpers, which stand in another one."""
    helpers: dict[str, Any] = {"__name__": "relume.b"}
    own: dict[str, Any] = {"__name__": "relume.a", "b": helpers}
    for text, names in ((HELPERS, helpers), (source, own)):
        exec(compile(text, f"{names['__name__']}.py", "exec"), names)  # noqa: S102 - our own, from above
    walk = modules.Walk()
    sys.setprofile(walk)
    try:
        own["start"]()
    finally:
        sys.setprofile(None)
    return walk


def test_a_loop_is_read_once(modules: ModuleType) -> None:
    walk = walked(modules, LOOP)
    assert walk.every == 1 + 5 * 2
    assert walk.folded() == walk.once() == 1 + 2
    assert [visit.name for _, visit in walk.read.lines()] == ["start", "two", "one", "own"]


def test_what_two_places_call_is_known_the_second_time(modules: ModuleType) -> None:
    walk = walked(modules, TWICE)
    assert walk.every == walk.folded() == 1 + 3
    assert walk.once() == 1 + 2


def test_comprehensions_are_read_where_they_stand(modules: ModuleType) -> None:
    assert walked(modules, COMPREHENSION).every == 1 + 1


def test_one_photo_can_be_followed() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    told = re.findall(r"^(\d+) changes of module", done.stdout, re.MULTILINE)
    every, folded, once = (int(count) for count in told)
    assert every >= folded >= once
    assert folded <= MOST_FOLDED
    assert once <= MOST_ONCE
