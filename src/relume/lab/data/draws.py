"""What is drawn for a training batch: which images, where they are cut, how they are turned and darkened.

A plan has no pixels. It depends on seed and number of the batch alone, so that a run resumes exactly and the
same batch can be cut on any device, or in parts by several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from relume.arrays import Doubles
from relume.errors import DataError
from relume.lab.darkness import Degradation, draw
from relume.lab.recipe import Data, Phase, Source
from relume.steps.thumbnail import overview_shape

ASPECTS = ((1, 1), (3, 2), (2, 3), (4, 3), (3, 4))
"""Width to height of the regions that thumbnails show; each batch has one of them."""

NO_JITTER = (1.0, 1.0, 1.0, 0.0)
"""Colours as they are."""


class Subject(NamedTuple):
    """What plans need to know of a pair: its name, its source, if the recipe mixes sources, and its size."""

    name: str
    source: Source | None
    height: int
    width: int


class Window(NamedTuple):
    """Rows and columns of an image."""

    rows: range
    columns: range

    def shares(self, of: Window) -> tuple[float, float, float, float]:
        """Top, bottom, left and right edge as shares of another window."""
        (top, bottom), (left, right) = (
            ((mine.start - theirs.start) / len(theirs), (mine.stop - theirs.start) / len(theirs))
            for mine, theirs in zip(self, of, strict=True)
        )
        return top, bottom, left, right


@dataclass(frozen=True)
class Sample:
    """One sample of a batch.

    Attributes:
        position: of its pair.
        whole: the image's own size.
        region: what the thumbnail shows.
        window: what the crop shows, inside the region.
        turns: quarter turns, counter-clockwise, of crop and thumbnail.
        mirrored: left and right change places, after turning.
        low_factors, high_factors: on the channels of the dark image and of the target, cut off at 1.
        colours: factors of brightness, contrast and saturation, and turn of hue, of both images.
        degradation: what darkens the clean image; None for photographed darkness.
    """

    position: int
    whole: Window
    region: Window
    window: Window
    turns: int = 0
    mirrored: bool = False
    low_factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    high_factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    colours: tuple[float, float, float, float] = NO_JITTER
    degradation: Degradation | None = None

    @property
    def jittered(self) -> bool:
        """Whether any factor changes anything."""
        return {*self.low_factors, *self.high_factors} != {1.0}

    def turned(self, shares: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Top, bottom, left and right edge, as shares of a frame, after the sample's turns and mirroring."""
        top, bottom, left, right = shares
        for _ in range(self.turns):
            top, bottom, left, right = 1 - right, 1 - left, top, bottom
        return (top, bottom, 1 - right, 1 - left) if self.mirrored else (top, bottom, left, right)


@dataclass(frozen=True)
class Plan:
    """A batch before it is cut.

    Attributes:
        samples: in order.
        crop: side of the square crops, in pixels.
        resized: the crops are windows shrunk to that size rather than cut out at that size.
        overview: rows and columns of the thumbnails; None where there are none.
    """

    samples: tuple[Sample, ...]
    crop: int
    resized: bool = False
    overview: tuple[int, int] | None = None


class Draws:
    """Plans of batches, by number; of processes that train together each gets its share of the same batches.

    With mixed sources each sample's source is drawn by its share first, then an image of it. A crop lies at
    random inside a random *region* of its image. All regions of a batch have one aspect after turning, so
    that their thumbnails have one size. Of whole images (`framing="resize"`) both show everything.

    Args:
        subjects: one for each pair.
        data: the recipe's part.
        seed: of the run.
        overview_size: long side of the thumbnails; 0 for none.
        rank, ranks: of this process among those that train together, and how many they are.

    Raises:
        DataError: there are no pairs.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        data: Data,
        seed: int,
        overview_size: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not subjects:
            raise DataError("no pair is left to train on", "Lower the least_mean of the recipe's sources.")
        self.subjects = subjects
        self.data = data
        self.seed, self.rank, self.ranks = seed, rank, ranks
        self.overview_size = overview_size
        self._pass: tuple[int, npt.NDArray[np.int64]] | None = None
        self.members: dict[Source, list[int]] = {}
        for position, subject in enumerate(subjects):
            if subject.source is not None:
                self.members.setdefault(subject.source, []).append(position)

    def plan(self, index: int, phase: Phase) -> Plan:
        """The plan of the batch with that number, at the phase's crop and batch size.

        Raises:
            DataError: an image is smaller than the crop.
        """
        random = np.random.default_rng((self.seed, 0, index))
        resized = self.data.framing == "resize"
        aspect = ASPECTS[random.integers(len(ASPECTS))]
        if resized:
            aspect = (1, 1)
        width, height = aspect
        overview = overview_shape(height, width, self.overview_size) if self.overview_size else None
        samples = tuple(
            self._sample(position, phase.crop, aspect, random)
            for position in self._chosen(index, phase.batch, random)
        )
        own = len(samples) // self.ranks
        mine = samples[own * self.rank : own * (self.rank + 1)]
        return Plan(mine, phase.crop, resized, overview)

    def _chosen(self, index: int, count: int, random: np.random.Generator) -> list[int]:
        """Positions of a batch's pairs."""
        if self.data.passes:
            return [self._passed(index * count + place) for place in range(count)]
        if not self.members:
            return random.choice(len(self.subjects), count, replace=count > len(self.subjects)).tolist()
        shares = np.array([source.share for source in self.members])
        groups = list(self.members.values())
        drawn = random.choice(len(groups), count, p=shares / shares.sum())
        return [groups[group][random.integers(len(groups[group]))] for group in drawn]

    def _passed(self, number: int) -> int:
        """Position of the sample of that number, where each pass is all pairs in an order of its own."""
        size = len(self.subjects)
        if self._pass is None or self._pass[0] != number // size:
            order = np.random.default_rng((self.seed, 0, number // size, size)).permutation(size)
            self._pass = (number // size, order)
        return int(self._pass[1][number % size])

    def _sample(
        self, position: int, crop: int, aspect: tuple[int, int], random: np.random.Generator
    ) -> Sample:
        subject = self.subjects[position]
        kind = subject.source.kind if subject.source else "pairs"
        turns, mirrored = int(random.integers(4)), bool(random.random() < 0.5)
        turns = turns if self.data.quarter_turns else 0
        if self.data.vertical_flips and random.random() < 0.5:
            turns, mirrored = (turns + 2) % 4, not mirrored
        whole = Window(range(subject.height), range(subject.width))
        region, window = self._places(subject, crop, (aspect[1], aspect[0]) if turns % 2 else aspect, random)
        exposure = (1 + self.data.exposure_jitter) ** random.uniform(-1, 1)
        colours = (1 + self.data.colour_jitter) ** random.uniform(-1, 1, 3)
        degradation = None
        if subject.source is not None and subject.source.is_darkened:
            degradation = draw(subject.source.darkness, random)
        placed = (position, whole, region, window, turns, mirrored)
        if kind != "pairs":
            return Sample(*placed, degradation=degradation)
        return Sample(*placed, _triple(colours * exposure), _triple(colours), self._colours(random))

    def _colours(self, random: np.random.Generator) -> tuple[float, float, float, float]:
        how = self.data.colours
        spread = np.array([how.brightness, how.contrast, how.saturation, how.hue])
        if not spread.any():
            return NO_JITTER
        brightness, contrast, saturation, hue = (
            np.array(NO_JITTER) + spread * random.uniform(-1, 1, 4)
        ).tolist()
        return brightness, contrast, saturation, hue

    def _places(
        self, subject: Subject, crop: int, aspect: tuple[int, int], random: np.random.Generator
    ) -> tuple[Window, Window]:
        """A region of an aspect (width, height), and the place of a crop inside it.

        Both are the whole image where that is resized. As much is drawn either way. Where no region of the
        aspect holds the crop, it is as close to it as the image allows.
        """
        height, width = subject.height, subject.width
        if min(height, width) < crop:
            raise DataError(
                f"image '{subject.name}' is {width}x{height}, smaller than the crop of {crop}",
                "Lower the crop size of the recipe's phases.",
            )
        scale = random.uniform(self.data.context, 1) * min(width / aspect[0], height / aspect[1])
        rows = _interval(range(height), max(crop, round(scale * aspect[1])), random)
        columns = _interval(range(width), max(crop, round(scale * aspect[0])), random)
        window = Window(_interval(rows, crop, random), _interval(columns, crop, random))
        if self.data.framing == "resize":
            whole = Window(range(height), range(width))
            return whole, whole
        return Window(rows, columns), window


def _interval(within: range, size: int, random: np.random.Generator) -> range:
    """A random run of `size` positions inside another."""
    start = within.start + int(random.integers(len(within) - size + 1))
    return range(start, start + size)


def _triple(values: Doubles) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue
