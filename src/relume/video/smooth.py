"""Looks smoothed over time, so that brightness neither pumps nor flickers.

A picture's look becomes the mean of those around it, by weights that fall with the distance in seconds, and
with how much the light differs: a lamp that comes on is followed at once, a light that flickers is not. A cut
parts the clip; nothing is carried across.

What is left is the flicker of the clip itself. The light's level is followed from picture to picture, and
where it leaves its mean over time, the picture is brought back to that before the network sees it, by one
factor a channel on linear light, as the light itself does. What results still differ by from those before
them is taken off, too.

Weights over time and difference are those of a bilateral filter (Tomasi and Manduchi, "Bilateral Filtering
for Gray and Color Images", ICCV 1998), and levels come from medians of differences, which what moves in the
picture hardly changes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from relume.arrays import Doubles, Floats
from relume.colour import luma, to_linear, to_srgb
from relume.look.look import Look
from relume.photo import Photo
from relume.steps.controls import Adjustment

Carried = TypeVar("Carried")

SIDE = 32
"""Rows and columns of the thumbnail that light and cuts are seen on."""

DEFAULT_SECONDS = 1.0
"""How far to each side looks are averaged, by default."""

_MOST = 64
"""Pictures that wait for later ones at most, whatever their rate: they take memory."""

_BLOCKS = 4
"""Rows and columns of blocks whose mean levels tell how much the light differs."""

_SAME_LIGHT = 1.0
"""Difference of levels at which a picture weighs 1 / e: the light of a bulb that flickers stays below, and a
lamp that comes on goes beyond."""

_LIKE = 0.6
"""Correlation of two thumbnails below which they may show different scenes, whatever the light."""

_CHANGED = 0.3
"""Mean difference of levels, the change of light taken out, from which on they do."""

_DARKEST, _BRIGHTEST = 2 / 255, 253 / 255
"""Values beyond tell nothing of the light's level: they are cut off, or noise."""

_FEWEST = 0.05
"""Share of the thumbnail that must be seen for a level to be told."""

_TRIMMED = 0.2
"""Shift of a result's level from which on it is taken for meant, and left."""

_WIDEST = 1.5
"""Most that flicker is brought back by, as a natural logarithm; light that changes by more is no flicker."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of a picture before it is rendered.

    Attributes:
        seconds: its time.
        small_3SS: thumbnail of `SIDE` pixels, sRGB in [0, 1].
        look: what `relume.look.decide` found for it alone.
    """

    seconds: float
    small_3SS: Floats
    look: Look


@dataclass(frozen=True, eq=False)
class Settled(Generic[Carried]):
    """A picture whose look is settled.

    Attributes:
        carried: what belongs to it.
        look: smoothed.
        shift_C: by how much its level leaves the mean over time, to be put on it first.
        seconds: its time.
        scene: number of the scene; a cut raises it.
    """

    carried: Carried
    look: Look
    shift_C: Doubles
    seconds: float
    scene: int


@dataclass(eq=False)
class _Entry(Generic[Carried]):
    """A sight with what it is compared by.

    Attributes:
        carried: what waits for the look; None once it has it.
        level_C: of the light, as a natural logarithm; only differences between entries of a scene count.
        blocks: mean levels of parts of the picture.
        scene: number of the scene.
    """

    carried: Any
    seconds: float
    look: Look
    level_C: Doubles
    blocks: Doubles
    scene: int


class Smoother(Generic[Carried]):
    """Takes pictures one by one and returns them, a little later, with looks smoothed over time.

    Args:
        seconds: how far to each side looks are averaged; 0 leaves each as it is.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self.seconds = seconds
        self._entries: deque[_Entry[Carried]] = deque()
        self._waiting = 0
        self._before: Doubles | None = None
        self.cuts: list[float] = []

    def add(self, carried: Carried, sight: Sight) -> Iterator[Settled[Carried]]:
        """Take the next picture.

        Args:
            carried: whatever belongs to the picture and is returned with its look.

        Yields:
            Earlier pictures that no later one can change any more.
        """
        entry = self._entry(carried, sight)
        self._entries.append(entry)
        self._waiting += 1
        yield from self._ready(
            lambda first: (
                entry.scene > first.scene
                or entry.seconds >= first.seconds + self.seconds
                or self._waiting > _MOST
            )
        )

    def finish(self) -> Iterator[Settled[Carried]]:
        """All pictures that are left."""
        yield from self._ready(lambda first: True)

    def _ready(self, is_ready: Callable[[_Entry[Carried]], bool]) -> Iterator[Settled[Carried]]:
        while self._waiting:
            first = self._entries[-self._waiting]
            if not is_ready(first):
                return
            settled = Settled(first.carried, *self._mean(first), first.seconds, first.scene)
            first.carried = None
            self._waiting -= 1
            while (
                self._entries[0].seconds < first.seconds - self.seconds
                or self._entries[0].scene < first.scene
            ):
                self._entries.popleft()
            yield settled

    def _entry(self, carried: Carried, sight: Sight) -> _Entry[Carried]:
        values_3SS = sight.small_3SS.astype(np.float64)
        before, self._before = self._before, values_3SS
        blocks = _block_means(_levels(luma(values_3SS)))
        if before is None:
            return _Entry(carried, sight.seconds, sight.look, np.zeros(3), blocks, 0)
        last = self._entries[-1]
        if is_cut(before, values_3SS):
            self.cuts.append(sight.seconds)
            return _Entry(carried, sight.seconds, sight.look, np.zeros(3), blocks, last.scene + 1)
        level_C = last.level_C + change_of_light(before, values_3SS)
        return _Entry(carried, sight.seconds, sight.look, level_C, blocks, last.scene)

    def _mean(self, entry: _Entry[Carried]) -> tuple[Look, Doubles]:
        """The look of the mean over time, and the shift of the light's level to its mean."""
        if self.seconds == 0:
            return entry.look, np.zeros(3)
        near = [other for other in self._entries if self._is_near(entry, other)]
        weights = np.array([self._weight(entry, other) for other in near])
        weights /= weights.sum()
        level_C = _mean([other.level_C for other in near], weights.tolist())
        shift_C = np.clip(level_C - entry.level_C, -_WIDEST, _WIDEST)
        return mean_look([other.look for other in near], weights), shift_C

    def _is_near(self, entry: _Entry[Carried], other: _Entry[Carried]) -> bool:
        return other.scene == entry.scene and abs(other.seconds - entry.seconds) < self.seconds

    def _weight(self, entry: _Entry[Carried], other: _Entry[Carried]) -> float:
        apart = math.cos(math.pi / 2 * (other.seconds - entry.seconds) / self.seconds) ** 2
        differs = float(np.mean((other.blocks - entry.blocks) ** 2)) / _SAME_LIGHT**2
        return apart * math.exp(-differs)


class Trimmer:
    """Follows results, and says by how much each is to be shifted so that they stay together.

    Args:
        seconds: as of `Smoother`; 0 shifts nothing.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self._memory = seconds
        self._last: tuple[float, int, Doubles] | None = None
        self._level_C = self._mean_C = np.zeros(3)

    def shift(self, seconds: float, scene: int, small_3SS: Floats) -> Doubles:
        """The shift of the next result's levels, for each channel; none where it differs by much.

        Args:
            seconds, scene: of its picture.
            small_3SS: its thumbnail, before the shift.
        """
        values_3SS = small_3SS.astype(np.float64)
        last, self._last = self._last, (seconds, scene, values_3SS)
        if last is None or last[1] != scene or self._memory == 0:
            self._level_C = self._mean_C = np.zeros(3)
            return np.zeros(3)
        self._level_C = self._level_C + change_of_light(last[2], values_3SS)
        share = math.exp(-max(seconds - last[0], 0.0) / self._memory)
        self._mean_C = share * self._mean_C + (1 - share) * self._level_C
        shift_C = self._mean_C - self._level_C
        return shift_C * np.exp(-((shift_C / _TRIMMED) ** 2))


def is_cut(before_3SS: Doubles, after_3SS: Doubles) -> bool:
    """Whether two thumbnails show different scenes, however the light changed between them."""
    before, after = (_levels(luma(values)) for values in (before_3SS, after_3SS))
    before, after = before - before.mean(), after - after.mean()
    if float(np.abs(after - before).mean()) < _CHANGED:
        return False
    product = float((before * after).sum())
    return product < _LIKE * math.sqrt(float((before**2).sum() * (after**2).sum()))


def change_of_light(before_3SS: Doubles, after_3SS: Doubles) -> Doubles:
    """By how much the level of each channel changed, as a natural logarithm of linear light."""
    return np.array([_change(*channel) for channel in zip(before_3SS, after_3SS, strict=True)])


def _change(before_SS: Doubles, after_SS: Doubles) -> float:
    is_seen = (np.minimum(before_SS, after_SS) > _DARKEST) & (np.maximum(before_SS, after_SS) < _BRIGHTEST)
    if is_seen.mean() < _FEWEST:
        return 0.0
    return float(np.median(_levels(after_SS[is_seen]) - _levels(before_SS[is_seen])))


def _levels(values: Doubles) -> Doubles:
    """Natural logarithms of linear light."""
    return np.log(to_linear(np.clip(values, _DARKEST, 1)))


def _block_means(levels_SS: Doubles) -> Doubles:
    side = levels_SS.shape[0] // _BLOCKS
    return levels_SS.reshape(_BLOCKS, side, _BLOCKS, side).mean((1, 3))


def mean_look(looks: Sequence[Look], weights: Doubles) -> Look:
    """The weighted mean of looks of one model: of gains in stops, of everything else as it is.

    A look that leaves its picture alone counts as strength 0, and says nothing of the rest.

    Args:
        looks: at least one.
        weights: of sum 1.
    """
    told = [(look, share) for look, share in zip(looks, weights, strict=True) if look.adjustment is not None]
    present = sum(share for _, share in told)
    if not told or present <= 0:
        return Look()
    shares = [share / present for _, share in told]
    first = told[0][0]
    arrays = {
        name: _mean([look.arrays[name] for look, _ in told], shares).astype(values.dtype)
        for name, values in first.arrays.items()
    }
    adjustments = [look.adjustment for look, _ in told if look.adjustment is not None]
    return replace(first, arrays=arrays, adjustment=_mean_adjustment(adjustments, shares, present))


def _mean_adjustment(
    adjustments: Sequence[Adjustment], shares: Sequence[float], present: float
) -> Adjustment:
    strength = sum(share * float(each.strength) for share, each in zip(shares, adjustments, strict=True))
    return replace(
        adjustments[0],
        strength=strength * present,
        gain_C=_mean_gain([each.gain_C for each in adjustments], shares),
        correction_C=_mean_gain([_correction(each) for each in adjustments], shares),
    )


def _correction(adjustment: Adjustment) -> Any:
    return np.ones(3) if adjustment.correction_C is None else adjustment.correction_C


def _mean_gain(gains: Sequence[Any], shares: Sequence[float]) -> Doubles:
    return np.exp2(_mean([np.log2(gain_C) for gain_C in gains], shares))


def _mean(values: Sequence[Any], shares: Sequence[float]) -> Doubles:
    total = np.zeros(np.shape(values[0]))
    for each, share in zip(values, shares, strict=True):
        total += share * each
    return total


def shifted(photo: Photo, shift_C: Doubles) -> Photo:
    """The photo with its levels shifted, as if the light had changed; grey stays grey."""
    if not shift_C.any():
        return photo
    if photo.grey:
        shift_C = np.full(3, shift_C.mean())
    top = int(np.iinfo(photo.rgb_HWC.dtype).max)
    linear = to_linear(np.arange(top + 1) / top)
    pixels = np.empty_like(photo.rgb_HWC)
    for channel, shift in enumerate(shift_C):
        table = np.rint(to_srgb(np.minimum(linear * np.exp(shift), 1)) * top).astype(pixels.dtype)
        np.take(table, photo.rgb_HWC[..., channel], out=pixels[..., channel], mode="clip")
    return photo.with_pixels(pixels)
