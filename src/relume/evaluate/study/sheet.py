"""A study: a static page that asks which of two results is better, and the key that says what they were."""

from __future__ import annotations

import json
import random
import secrets
import shutil
from dataclasses import dataclass, field
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from relume.errors import DataError, OutputExists
from relume.files import holds_anything, make_folder, write_file
from relume.photo import READABLE_SUFFIXES, Photo, read_photo, vips, write_photo

REFERENCE = "input"
"""A folder of this name holds the dark photos: they are shown above the results, and not compared."""

_PAGE = resources.files("relume.evaluate.study") / "page"
_LONGEST = 1600
_QUALITY = 95


@dataclass(frozen=True)
class Study:
    """What was made.

    Attributes:
        key: the file that says which picture is whose; it stands beside the page's folder, not in it.
        pairs: comparisons to draw from.
        checks: further ones, of which one side is spoilt.
        left_out: names of photos that not every folder has.
    """

    key: Path
    pairs: int
    checks: int
    left_out: list[str]


def make_study(sheet: Path, folder: Path, *, asked: int, checks: int, seed: int = 0) -> Study:
    """Write the page, its pictures under names that say nothing, and beside its folder the key.

    Args:
        sheet: a folder with one folder of results per method, with the same names of files in each.
        folder: for the page; new or empty.
        asked: comparisons for each visitor.
        checks: further ones, which every visitor gets, of which one side is spoilt: who does not look at the
            pictures is found by them.
        seed: decides which results are spoilt.

    Raises:
        DataError: fewer than two methods, or no photo that all of them have.
        OutputExists: the folder holds something, or there is a key already.
        RelumeError: what reading and writing refuse.
    """
    sheets = _sheets(sheet)
    folder = folder.absolute()
    key = folder.with_name(f"{folder.name}.key.json")
    for there in (folder, key):
        if there.is_file() or holds_anything(there):
            raise OutputExists("is there already", "Name a new folder for the study.", path=there)
    make_folder(folder.parent)
    partial = folder.with_name(f".{folder.name}.{_token()}.partial")
    try:
        made, told = _written(sheet, partial, sheets, asked, checks, seed)
        for file in _PAGE.iterdir():
            write_file(partial / file.name, file.read_bytes())
        write_file(partial / "study.json", json.dumps(told))
        kept = {"study": told["study"], "methods": sheets.methods}
        write_file(key, json.dumps({**kept, "pictures": made.pictures, "checks": made.checks}, indent=1))
        make_folder(folder)
        for entry in partial.iterdir():
            entry.rename(folder / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Study(key, len(made.pairs) - len(made.checks), len(made.checks), sheets.left_out)


def _written(
    sheet: Path, folder: Path, sheets: _Sheets, asked: int, checks: int, seed: int
) -> tuple[_Made, dict[str, Any]]:
    """The pictures and comparisons, and what the page is told of them."""
    made = _Made(sheet, folder, [*sheets.methods, *([REFERENCE] if sheets.has_reference else [])])
    make_folder(folder / "pictures")
    for name in sheets.names:
        made.compare(name, sheets.methods)
    ordinary = list(made.pairs)
    draw = random.Random(seed)  # noqa: S311 - nothing is secret
    for name in draw.sample(sheets.names, min(checks, len(sheets.names))):
        made.check(name, draw.choice(sheets.methods))
    # Every visitor gets the checks, and as many others with them, so that nothing tells them apart.
    always = [*made.checks, *draw.sample(ordinary, min(len(made.checks), len(ordinary)))]
    draw.shuffle(always)
    told = {"study": _token(), "asked": asked + len(made.checks), "always": always}
    return made, {**told, "pairs": dict(sorted(made.pairs.items()))}


@dataclass(frozen=True)
class _Sheets:
    """What a sheet holds.

    Attributes:
        methods: names of the folders of results.
        names: of the photos that all folders have.
        left_out: of those that only some have.
        has_reference: whether one of the folders holds the dark photos.
    """

    methods: list[str]
    names: list[str]
    left_out: list[str]
    has_reference: bool


def _sheets(sheet: Path) -> _Sheets:
    """The folders of a sheet, and the photos in them; hidden ones and other files are passed over."""
    if not sheet.is_dir():
        raise DataError("there is no such folder", "Name a folder of folders of results.", path=sheet)
    found = {entry.name: _photos(entry) for entry in sorted(sheet.iterdir()) if entry.is_dir()}
    found = {name: photos for name, photos in found.items() if not name.startswith(".")}
    methods = [name for name in found if name != REFERENCE]
    if len(methods) < 2:
        raise DataError(
            "this does not hold two folders of results", "Put one folder per method into it.", path=sheet
        )
    first, *others = found.values()
    names = first.intersection(*others)
    if not names:
        remedy = "Give the results of one photo the same name in every folder."
        raise DataError("no photo is in all of its folders", remedy, path=sheet)
    left_out = first.union(*others) - names
    return _Sheets(methods, sorted(names), sorted(left_out), REFERENCE in found)


def _photos(folder: Path) -> set[str]:
    """Names of the photos in a folder."""
    return {
        file.name
        for file in folder.iterdir()
        if file.suffix.lower() in READABLE_SUFFIXES and file.is_file() and not file.name.startswith(".")
    }


@dataclass
class _Made:
    """Pictures and comparisons of a study, as they come.

    Attributes:
        sheet, folder: as for `make_study`.
        columns: folders of the sheet that are shown.
        pictures: photo and method of each picture by its name in the page.
        pairs: pictures of each comparison by its name: two results and, if there is one, the dark photo.
        checks: comparisons of which one side is spoilt, with the other one.
    """

    sheet: Path
    folder: Path
    columns: list[str]
    pictures: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    pairs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    checks: dict[str, str] = field(default_factory=dict[str, str])
    _known: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def compare(self, name: str, methods: list[str]) -> None:
        """Every method against every other one on a photo."""
        for sides in combinations(methods, 2):
            self._pair(name, *(self._picture(name, method) for method in sides))

    def check(self, name: str, method: str) -> None:
        """A result against itself, spoilt."""
        good = self._picture(name, method)
        bad = self._store(_spoilt(read_photo(self.sheet / method / name)), name, "spoilt")
        self.checks[self._pair(name, good, bad)] = good

    def _pair(self, name: str, *pictures: str) -> str:
        shown = [self._picture(name, REFERENCE)] if REFERENCE in self.columns else []
        pair = _token()
        self.pairs[pair] = [*sorted(pictures), *shown]
        return pair

    def _picture(self, name: str, method: str) -> str:
        if (name, method) not in self._known:
            photo = read_photo(self.sheet / method / name)
            self._known[name, method] = self._store(photo, name, method)
        return self._known[name, method]

    def _store(self, photo: Photo, name: str, method: str) -> str:
        """Write a picture, shrunk to a screen and without metadata; returns its name."""
        token = _token()
        write_photo(_small(photo), self.folder / "pictures" / f"{token}.jpg", quality=_QUALITY, strip=True)
        self.pictures[token] = {"photo": name, "method": method}
        return token


def _token() -> str:
    return secrets.token_hex(6)


def _small(photo: Photo) -> Photo:
    if max(photo.height, photo.width) <= _LONGEST:
        return photo
    small: Any = vips.wrap(photo.rgb_HWC).thumbnail_image(_LONGEST, height=_LONGEST)
    return Photo(np.asarray(small.numpy()), metadata=photo.metadata)


def _spoilt(photo: Photo) -> Photo:
    """What nobody prefers who looks: the picture in coarse squares, at a third of its values."""
    rgb = photo.rgb_HWC
    side = max(4, max(rgb.shape[:2]) // 24)
    rows, columns = (np.arange(length) // side * side for length in (photo.height, photo.width))
    spoilt: Any = rgb[rows][:, columns] // 3
    return photo.with_pixels(spoilt)
