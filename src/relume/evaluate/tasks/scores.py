"""Scores of readings: character errors of texts, average precision and recall of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Boxes: TypeAlias = npt.NDArray[np.float64]
"""N x 4: left, top, right, bottom, in pixels."""

SAME_OBJECT = 0.5
"""Least overlap (intersection over union) of a found box with the true one."""

_MOST_BOXES = 100


@dataclass(frozen=True)
class Found:
    """What a detector found in one picture: boxes with their confidence."""

    boxes: Boxes
    confidence: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Boxes found in one picture against the true ones.

    Attributes:
        confidence: of each box found, falling.
        correct: whether it is a true one, found for the first time.
        objects: number of true ones.
    """

    confidence: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_]
    objects: int


@dataclass(frozen=True)
class Errors:
    """Characters that are wrong, missing or too many in one text, and how many it should have."""

    wrong: int
    characters: int


def character_errors(read: str, truth: str) -> Errors:
    """Edit distance of two texts, white space left out; upper and lower case differ."""
    read, truth = ("".join(text.split()) for text in (read, truth))
    return Errors(edit_distance(read, truth), len(truth))


def edit_distance(first: str, second: str) -> int:
    """Least number of insertions, deletions and replacements from one text to the other (Levenshtein 1966).

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(second) + 1))
    for done, own in enumerate(first, start=1):
        before, row[0] = row[0], done
        for place, other in enumerate(second, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (own != other))
    return row[-1]


def character_error_rate(outcomes: Sequence[Errors]) -> float:
    """Wrong characters over all there are; 0 is perfect, 1 is nothing read, more is possible."""
    return sum(each.wrong for each in outcomes) / max(1, sum(each.characters for each in outcomes))


def overlaps(first: Boxes, second: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of every two boxes, N x M."""
    corners = np.minimum(first[:, None, 2:], second[None, :, 2:])
    starts = np.maximum(first[:, None, :2], second[None, :, :2])
    shared = np.clip(corners - starts, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-12)


def judge_boxes(found: Found, truth: Boxes, least: float = SAME_OBJECT) -> Judged:
    """Which found boxes are true: the most confident first, each true one once, as COCO's evaluation does.

    At most the 100 most confident boxes count.
    """
    order = np.argsort(-found.confidence, kind="mergesort")[:_MOST_BOXES]
    shared = overlaps(found.boxes[order], truth)
    free = np.ones(len(truth), bool)
    correct = np.zeros(len(order), bool)
    for place, row in enumerate(shared):
        best = int(np.argmax(np.where(free, row, -1))) if len(truth) else 0
        if len(truth) and free[best] and row[best] >= least:
            free[best] = False
            correct[place] = True
    return Judged(found.confidence[order], correct, len(truth))


def average_precision(outcomes: Sequence[Judged]) -> float:
    """Precision averaged over 101 levels of recall, as COCO does for one class, one overlap, all sizes.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. 0 where there is nothing to find.
    """
    objects = sum(each.objects for each in outcomes)
    confidence = np.concatenate([each.confidence for each in outcomes])
    if not objects or not len(confidence):
        return 0.0
    order = np.argsort(-confidence, kind="mergesort")
    correct = np.concatenate([each.correct for each in outcomes])[order]
    hits = np.cumsum(correct)
    recall = hits / objects
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.where(places < len(envelope), envelope[np.minimum(places, len(envelope) - 1)], 0).mean())


def recall(outcomes: Sequence[Judged]) -> float:
    """Share of the true boxes that were found, at whatever confidence the reader reports."""
    return sum(int(each.correct.sum()) for each in outcomes) / max(1, sum(each.objects for each in outcomes))
