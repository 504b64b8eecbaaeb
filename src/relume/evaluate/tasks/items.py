"""What a task reads: pictures drawn here, or photographs in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from relume.arrays import EightBits
from relume.datasets.layouts import layout_pairs
from relume.errors import DataError, UsageError
from relume.evaluate.protocol import to_8_bits
from relume.evaluate.tasks.protocol import Item, Task
from relume.evaluate.tasks.scenes import rendered, rendered_boxes
from relume.files import read_text
from relume.photo import read_photo

LONGEST_SIDE = 640
"""Photographs are made smaller than this, so that a measurement takes minutes."""

SURE = 0.5
"""Least confidence of what a reader finds in a well-lit photograph for it to count as being there."""

DRAWN = 12
"""Pictures that are drawn unless a number is asked for."""


def items_of(task: Task, folder: Path | None, limit: int) -> list[Item]:
    """The items of a task.

    Args:
        task: `ocr` reads drawn pictures, or photographs that have their text beside them (`sign.jpg` and
            `sign.txt`); `detection` finds drawn lines of text, or whatever its reader finds in the well-lit
            photographs; `faces` needs photographs.
        folder: of photographs, with all below; None for drawn pictures.
        limit: how many at most; 0 for the usual number of drawn pictures, or for all photographs.

    Raises:
        UsageError: `faces` without a folder.
        DataError: no photograph in the folder has anything to read.
    """
    if folder is None:
        if task.name == "faces":
            raise UsageError("faces are not drawn", "Name a folder of well-lit photographs of people.")
        return (rendered if task.name == "ocr" else rendered_boxes)(limit or DRAWN)
    find = _with_text if task.name == "ocr" else _found_by(task)
    items: list[Item] = []
    for item in find(folder):
        items.append(item)
        if len(items) == limit:
            break
    if not items:
        wanted = "with a .txt file beside them" if task.name == "ocr" else f"with {task.name} in them"
        raise DataError("nothing to read in this folder", f"It needs photographs {wanted}.", path=folder)
    return items


def pictures_of(folder: Path | None, limit: int) -> list[tuple[str, EightBits]]:
    """Names and pixels of well-lit pictures, drawn ones where no folder is named.

    Raises:
        DataError: the folder is missing or holds no photograph.
    """
    if folder is None:
        return [(item.name, item.clean_HWC) for item in rendered(limit or DRAWN)]
    return [(name, _read(path)) for name, path in list(_photographs(folder))[: limit or None]]


def _with_text(folder: Path) -> Iterator[Item]:
    for name, path in _photographs(folder):
        text = path.with_suffix(".txt")
        if text.is_file():
            yield Item(name, _read(path), read_text(text))


def _found_by(task: Task) -> Callable[[Path], Iterator[Item]]:
    """Photographs in which the reader is sure of something, which is the truth from then on."""

    def find(folder: Path) -> Iterator[Item]:
        for name, path in _photographs(folder):
            clean_HWC = _read(path)
            found = task.read(clean_HWC)
            sure = found.boxes[found.confidence >= SURE]
            if len(sure):
                yield Item(name, clean_HWC, sure)

    return find


def _photographs(folder: Path) -> Iterator[tuple[str, Path]]:
    return ((pair.name, pair.high) for pair in layout_pairs(folder, "clean"))


def _read(path: Path) -> EightBits:
    image = Image.fromarray(to_8_bits(read_photo(path).rgb_HWC))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)
