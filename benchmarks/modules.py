"""How often the walk of one photo, from command to file, changes from one module of relume to another.

    python benchmarks/modules.py [PHOTO] [--show]

A profile hook counts each call of a function of another module than that of the function called before, loops
and all; beside it stands how many different changes these are. The fewer, the shorter the way that a reader
must follow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("CI", "1")
PHOTO = Path(__file__).parent.parent / "docs" / "images" / "night.jpg"


class Walk:
    """Counts changes of module in the thread that runs the command."""

    def __init__(self) -> None:
        self.changes: Counter[tuple[str, str]] = Counter()
        self._before = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("relume") or frame.f_code.co_name == "<module>":
            return
        if module != self._before:
            self.changes[self._before, module] += 1
            self._before = module


def walk(photo: Path, folder: Path) -> Walk:
    """The walk of `relume enhance PHOTO`, once everything is imported."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", nargs="?", type=Path, default=PHOTO)
    parser.add_argument("--show", action="store_true", help="print each change, and how often it happens")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counted = walk(options.photo, Path(folder))
    if options.show:
        for (before, after), times in counted.changes.most_common():
            print(f"{times:4} {before} -> {after}")
    total = counted.changes.total()
    print(f"{total} changes of module, {len(counted.changes)} different ones")


if __name__ == "__main__":
    main()
