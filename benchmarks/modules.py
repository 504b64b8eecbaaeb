"""How far a reader must follow one photo from command to file, from one module of relume to another.

    python benchmarks/modules.py [PHOTO] [--show] [--at REVISION]...

A profile hook sees each call of a function of relume; strips are done in the same thread here. A change is a
call of a function that stands in another module than the one called before it. Three figures:

- Every call, loops and all.
- Loops folded: what one line of a function calls counts once per call of that function, however often a loop
  comes by it.
- Each function once: when it is first met; a reader knows it from then on. This is the walk as it is read.

Functions that are made and not written, such as the `__init__` of a dataclass, do not count, nor do
comprehensions, which are read where they stand, and what finds the library of an array. `--show` prints the
walk with loops folded. With revisions, each is walked in a process of its own, and `results/modules.csv` is
written.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

os.environ.setdefault("CI", "1")
PHOTO = Path(__file__).parent.parent / "docs" / "images" / "night.jpg"
_GENERATED = "<string>"
_PARTS = frozenset(("<module>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"))
"""Code that is not called by a name: it is read where it stands."""
_IMPORTS = ("relume.arrays", frozenset(("namespace", "is_numpy")))
"""What finds the library of an array; earlier array-api-compat did, which did not count either."""


@dataclass
class Visit:
    """A call of a function, with what its lines call, each once and in the order in which they first do."""

    module: str = ""
    name: str = ""
    calls: dict[tuple[int, CodeType], Visit] = field(default_factory=dict)

    def lines(self, depth: int = -1) -> Iterator[tuple[int, Visit]]:
        """All visits in the order in which they are read, each with its depth."""
        if depth >= 0:
            yield depth, self
        for each in self.calls.values():
            yield from each.lines(depth + 1)


class Walk:
    """Follows the thread that runs the command."""

    def __init__(self) -> None:
        self.every = 0
        self.read = Visit()
        self._inside: list[tuple[FrameType | None, Visit]] = [(None, self.read)]
        self._before = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _is_ours(frame):
            self._enter(frame)
        elif event == "return" and self._inside[-1][0] is frame:
            self._inside.pop()

    def _enter(self, frame: FrameType) -> None:
        module = frame.f_globals["__name__"]
        self.every += module != self._before
        self._before = module
        caller, visit = self._inside[-1]
        line = caller.f_lineno if caller is not None else 0
        here = visit.calls.setdefault((line, frame.f_code), Visit(module, frame.f_code.co_qualname))
        self._inside.append((frame, here))

    def folded(self) -> int:
        """Changes of module where each line's calls count once per call of its function."""
        return _changes([visit for _, visit in self.read.lines()])

    def once(self) -> int:
        """Changes of module where each function is read when it is first met, and known from then on."""
        first: dict[tuple[str, str], Visit] = {}
        for _, visit in self.read.lines():
            first.setdefault((visit.module, visit.name), visit)
        return _changes(list(first.values()))


def _changes(visits: list[Visit]) -> int:
    return sum(before.module != after.module for before, after in pairwise([Visit(), *visits]))


def _is_ours(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    code = frame.f_code
    if module == _IMPORTS[0] and code.co_name in _IMPORTS[1]:
        return False
    return module.startswith("relume") and code.co_name not in _PARTS and code.co_filename != _GENERATED


class _AtOnce(Executor):
    """Does work where it is ordered, so that the hook sees it."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **named))
        return done


def walk(photo: Path, folder: Path) -> Walk:
    """The walk of `relume enhance PHOTO`, once everything is imported."""
    import concurrent.futures

    concurrent.futures.ThreadPoolExecutor = _AtOnce
    from relume.cli.app import app

    def run(name: str) -> None:
        try:
            app(["enhance", str(photo), "-o", str(folder / name), "-q"], standalone_mode=False)
        except SystemExit as ended:
            if ended.code:
                raise

    run("first.png")
    counted = Walk()
    sys.setprofile(counted)
    try:
        run("second.png")
    finally:
        sys.setprofile(None)
    return counted


def store(photo: Path, revisions: list[str]) -> None:
    """Walk at each revision, and write the figures."""
    import machine
    from revisions import short, sources

    rows: list[dict[str, Any]] = []
    for revision in revisions:
        with sources(revision) as (source,), source.start(__file__, str(photo)) as process:
            told, _ = process.communicate()
        every, folded, once = (int(line.split()[0]) for line in told.splitlines()[-3:])
        rows.append(
            {"revision": short(revision), "every_call": every, "loops_folded": folded, "functions_once": once}
        )
        print(rows[-1])
    print(machine.store("modules", rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", nargs="?", type=Path, default=PHOTO)
    parser.add_argument("--show", action="store_true", help="print the walk as it is read")
    parser.add_argument("--at", action="append", help="a revision; `here` is the working tree")
    options = parser.parse_args()
    if options.at:
        store(options.photo.resolve(), options.at)
        return
    with tempfile.TemporaryDirectory() as folder:
        counted = walk(options.photo, Path(folder))
    if options.show:
        before = ""
        for depth, visit in counted.read.lines():
            mark = ">" if visit.module != before else " "
            before = visit.module
            print(f"{mark} {'  ' * depth}{visit.module.removeprefix('relume.')}: {visit.name}")
    print(f"{counted.every} changes of module, every call counted")
    print(f"{counted.folded()} changes of module, loops folded")
    print(f"{counted.once()} changes of module, each function once")


if __name__ == "__main__":
    main()
