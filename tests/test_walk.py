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
MOST_FOLDED, MOST_ONCE = 180, 125
"""Changes of module, with loops folded and with each function read once: 174 and 119, and a little room."""
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
