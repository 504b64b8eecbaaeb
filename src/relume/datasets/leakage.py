"""Leakage: images of one set that show what another set shows, so that one cannot honestly test the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.datasets.duplicates import SAME_SCENE, fingerprint, similarities
from relume.datasets.manifest import pixel_checksum
from relume.datasets.pairs import IMAGE_SUFFIXES, list_pairs, natural_key
from relume.datasets.splits import read_split
from relume.errors import DataError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Match:
    """Two images of one scene.

    Attributes:
        first, second: one image of each set.
        similarity: of what they show, at most about 1.
        identical: all pixels are the same.
    """

    first: Path
    second: Path
    similarity: float
    identical: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "first": str(self.first),
            "second": str(self.second),
            "similarity": round(self.similarity, 4),
            "identical": self.identical,
        }


@dataclass(frozen=True)
class Leakage:
    """What two sets of images have in common.

    Attributes:
        images: number of images in each set.
        threshold: similarity from which two images count as one scene.
        highest: the largest similarity between the sets, whether above the threshold or not.
        matches: pairs above the threshold and identical ones, most similar first.
    """

    images: tuple[int, int]
    threshold: float
    highest: float
    matches: list[Match]

    @property
    def identical(self) -> int:
        """Number of pairs with the same pixels."""
        return sum(match.identical for match in self.matches)

    @property
    def affected(self) -> tuple[int, int]:
        """Number of images of each set that have a match in the other."""
        return len({match.first for match in self.matches}), len({match.second for match in self.matches})

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "affected": self.affected,
            "threshold": self.threshold,
            "highest": round(self.highest, 4),
            "identical": self.identical,
            "matches": [match.to_json() for match in self.matches],
        }


def find_leakage(
    first: Sequence[Path],
    second: Sequence[Path],
    *,
    threshold: float = SAME_SCENE,
    progress: Progress | None = None,
) -> Leakage:
    """Compare every image of one set with every image of another, by pixels and by what they show.

    Args:
        first, second: well-lit images; in dark ones noise hides what they show.
        threshold: least similarity to report.
        progress: called with images read and in all.

    Raises:
        RelumeError: an image cannot be read.
    """
    total = len(first) + len(second)
    sums, prints = list[str](), list[npt.NDArray[np.float32]]()
    for index, path in enumerate([*first, *second], start=1):
        sums.append(pixel_checksum(path))
        prints.append(fingerprint(path))
        if progress:
            progress(index, total)
    others, other_sums = np.stack(prints[len(first) :]), sums[len(first) :]
    matches: list[Match] = []
    highest = 0.0
    for path, own_sum, own_print in zip(first, sums, prints, strict=False):
        similar = similarities(own_print, others)
        highest = max(highest, float(similar.max()))
        for position, similarity in enumerate(similar):
            identical = own_sum == other_sums[position]
            if identical or similarity >= threshold:
                matches.append(Match(path, second[position], float(similarity), identical))
    matches.sort(key=lambda match: (not match.identical, -match.similarity))
    return Leakage((len(first), len(second)), threshold, highest, matches)


def images_of(folder: Path) -> list[Path]:
    """The images right inside a folder, in natural order; hidden files do not count.

    Raises:
        DataError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder", "Check the path.", path=folder)
    images = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise DataError(
            "the folder holds no image", "Name a folder of well-lit images, such as `high`.", path=folder
        )
    return sorted(images, key=lambda path: natural_key(path.name))


def sides_of_split(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """Well-lit images of a committed split: those held out and those left for training.

    Args:
        folder: holds `low/` and `high/`, or a `pairs.csv`.
        split: as for `read_split`.

    Raises:
        DataError: no such split, or the folder lacks images that it names.
    """
    held_out = set(read_split(split))
    pairs = list_pairs(folder)
    absent = sorted(held_out - {pair.name for pair in pairs}, key=natural_key)
    if absent:
        raise DataError(
            f"lacks {len(absent)} images of the split '{split}', the first is {absent[0]}",
            "Name the folder that the split was made from.",
            path=folder,
        )
    # Pairs may share a well-lit image.
    validation = dict.fromkeys(pair.high for pair in pairs if pair.name in held_out)
    training = dict.fromkeys(pair.high for pair in pairs if pair.name not in held_out)
    return list(validation), list(training)
