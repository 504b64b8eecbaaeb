"""One protocol for anything that reads a picture: items, a reader, a score.

Every item is a well-lit picture whose content is known. It is darkened, each method makes a result of it, the
reader reads the result, and the score compares what was read with what is there. Scores have 95 % intervals
by bootstrap over pictures (Efron, "Bootstrap Methods", Annals of Statistics 7(1), 1979).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from relume.arrays import EightBits
from relume.colour import LUMA_REC601, to_linear, to_srgb
from relume.errors import DataError
from relume.evaluate.metrics import mean_luma
from relume.evaluate.protocol import to_8_bits

Method: TypeAlias = Callable[[str, EightBits, EightBits], npt.NDArray[Any]]
"""Takes an item's name, the dark picture and the clean one; only controls may look at the clean one."""

RESAMPLES = 1000
INPUT = "input"
"""The method that does nothing; others are compared with it."""

CLEAN = "clean"
"""What tables call the reader's score on the well-lit picture itself: more cannot be hoped for."""


@dataclass(frozen=True)
class Item:
    """A well-lit picture and what is on it.

    Attributes:
        name: unique among the items.
        clean_HWC: the picture, 8 bits.
        truth: what a perfect reader would say: a text, or boxes N x 4 (left, top, right, bottom).
    """

    name: str
    clean_HWC: EightBits
    truth: Any


@dataclass(frozen=True)
class Task:
    """A reader and how it is judged.

    Attributes:
        name: of the task.
        reader: what reads, with its version.
        licence: of the reader and its weights.
        score: what the score is.
        higher_is_better: which way.
        read: what the reader says of a picture.
        judge: one picture's outcome, from what was read and the truth.
        total: the score of many outcomes.
    """

    name: str
    reader: str
    licence: str
    score: str
    higher_is_better: bool
    read: Callable[[EightBits], Any]
    judge: Callable[[Any, Any], Any]
    total: Callable[[Sequence[Any]], float]


@dataclass(frozen=True)
class Measured:
    """The score of one method at one darkness.

    Attributes:
        method: its label; `CLEAN` for the well-lit pictures.
        exposure: factor on the light; 1 for the well-lit pictures.
        images: number of pictures.
        score: of all of them.
        low, high: ends of its 95 % interval.
        gain: how much more it is than the score of the dark pictures themselves; None for those.
        gain_low, gain_high: ends of the gain's 95 % interval, picture by picture.
    """

    method: str
    exposure: float
    images: int
    score: float
    low: float
    high: float
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(self).items()
        }


def run_task(
    task: Task,
    items: Sequence[Item],
    methods: Mapping[str, Method],
    exposures: Sequence[float],
    darken: Callable[[Item, float], EightBits],
    progress: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Score every method at every darkness, and the reader on the well-lit pictures.

    Args:
        task: reader and score.
        items: at least one.
        methods: by label.
        exposures: factors on the light.
        darken: makes an item's dark picture.
        progress: called with readings done and in all.

    Returns:
        The well-lit pictures' score, then that of each method for each exposure.

    Raises:
        DataError: there is no item.
        RelumeError: as the methods.
    """
    if not items:
        raise DataError(
            "there is nothing to read", "Name a folder of pictures with something to read on them."
        )
    done, total = 0, len(items) * (1 + len(methods) * len(exposures))

    def outcome(item: Item, pixels: npt.NDArray[Any]) -> Any:
        nonlocal done
        judged = task.judge(task.read(to_8_bits(pixels)), item.truth)
        done += 1
        if progress is not None:
            progress(done, total)
        return judged

    measured = [measure(task, CLEAN, 1.0, [outcome(item, item.clean_HWC) for item in items])]
    for exposure in exposures:
        dark = [darken(item, exposure) for item in items]
        outcomes = {
            label: [
                outcome(item, method(item.name, dark_HWC, item.clean_HWC))
                for item, dark_HWC in zip(items, dark, strict=True)
            ]
            for label, method in methods.items()
        }
        base = outcomes.get(INPUT)
        measured += [
            measure(task, label, exposure, own, None if label == INPUT else base)
            for label, own in outcomes.items()
        ]
    return measured


def measure(
    task: Task, method: str, exposure: float, outcomes: Sequence[Any], base: Sequence[Any] | None = None
) -> Measured:
    """The score of outcomes with its interval, and what is gained over others of the same pictures."""
    plain = Measured(method, exposure, len(outcomes), task.total(outcomes), *interval(task.total, outcomes))
    if base is None:
        return plain
    both = list(zip(outcomes, base, strict=True))

    def gain(pairs: Sequence[tuple[Any, Any]]) -> float:
        return task.total([own for own, _ in pairs]) - task.total([other for _, other in pairs])

    low, high = interval(gain, both)
    return replace(plain, gain=gain(both), gain_low=low, gain_high=high)


def interval(
    total: Callable[[Sequence[Any]], float], outcomes: Sequence[Any], resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of a score by bootstrap: percentiles over resampled pictures, seed 0."""
    random = np.random.default_rng(0)
    drawn = random.integers(len(outcomes), size=(resamples, len(outcomes)))
    scores = [total([outcomes[index] for index in row]) for row in drawn.tolist()]
    low, high = np.percentile(scores, (2.5, 97.5)).tolist()
    return low, high


def match_brightness(dark_HWC: EightBits, clean_HWC: EightBits) -> EightBits:
    """The dark picture, its linear light times one factor, so that its mean luma is that of the clean one.

    A control: what a reader gains from brightness alone. Values that reach white are cut off there.
    """
    linear = to_linear(np.arange(256) / 255)
    wanted = mean_luma(clean_HWC)
    counts = np.stack([np.bincount(dark_HWC[..., channel].ravel(), minlength=256) for channel in range(3)])
    weights = np.array(LUMA_REC601)[:, None] * counts / counts[0].sum()
    low, high = 0.0, 20.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if (weights * _lit(linear, 2.0**middle)).sum() < wanted else (low, middle)
    table = np.rint(255 * _lit(linear, 2.0**high)).astype(np.uint8)
    return table[dark_HWC]


def _lit(linear: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """sRGB of linear light times a factor, at most 1."""
    return to_srgb(np.minimum(linear * factor, 1))
