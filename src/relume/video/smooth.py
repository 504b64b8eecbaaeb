"""Looks smoothed over time, so that brightness neither pumps nor flickers.

A picture's look becomes the mean of those around it, by weights that fall with the distance in seconds, and
with how much the light differs: a lamp that comes on is followed at once, a light that flickers is not. A cut
parts the clip; nothing is carried across.

What is left is the flicker of the clip itself. The light's level is followed from picture to picture, and
where it leaves a straight line through those around, the picture is brought back to that before the network
sees it, by one factor a channel on linear light, as the light itself does. A line, since light that rises or
falls steadily, as a camera's exposure does, is no flicker. What results still keep of the flicker is taken
off, too: a picture that was darker had more noise, and becomes something else.

Weights over time and difference are those of a bilateral filter (Tomasi and Manduchi, "Bilateral Filtering
for Gray and Color Images", ICCV 1998), and levels come from medians of differences, which what moves in the
picture hardly changes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

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
"""How far ahead looks are averaged, by default."""

_MOST = 64
"""Pictures that wait for later ones at most, whatever their rate: they take memory."""

_BLOCKS = 4
"""Rows and columns of blocks whose mean levels tell how much the light differs."""

_SAME_LIGHT = 1.2
"""Difference of levels at which a picture weighs 1 / e; beyond, it soon weighs nothing. The light of a bulb
that flickers stays below, and a lamp that comes on goes beyond."""

_PAST = 3.0
"""How many times as far back as ahead looks are averaged: for that, no picture need wait in memory."""

_LIKE = 0.6
"""Correlation of two thumbnails below which they may show different scenes, whatever the light."""

_CHANGED = 0.3
"""Mean difference of levels, the change of light taken out, from which on they do."""

_DARKEST, _BRIGHTEST = 2 / 255, 253 / 255
"""Values beyond tell nothing of the light's level: they are cut off, or noise."""

_FEWEST = 0.05
"""Share of the thumbnail that must be seen for a level to be told."""

_LEVEL = 0.55
"""Share of the seconds that looks are averaged over, on which the light's level is made out: enough for light
that flickers three times a second or more."""

_BY_LIGHT = 2.0
"""Power of the light by which parts of a dark picture tell its change: what is dark tells noise."""

_OWN_CHANGE = 0.04
"""Deviation of levels from their line, as a natural logarithm, of which half is left: less is the scene's own
change, such as a camera's exposure that follows what passes."""

_UNSURE = 0.01
"""Change of the shift, as a natural logarithm, that tells half of what results keep; less may be chance."""

_MOST_KEPT = 0.5
"""Share of a shift that results may keep at most; more comes from what happens in the picture."""

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
        seconds: how far ahead looks are averaged, and `_PAST` times as far back; 0 leaves each as it is.
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
                self._entries[0].seconds < first.seconds - _PAST * self.seconds
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
        level_C = last.level_C + change_of_light(before, values_3SS, _BY_LIGHT)
        return _Entry(carried, sight.seconds, sight.look, level_C, blocks, last.scene)

    def _mean(self, entry: _Entry[Carried]) -> tuple[Look, Doubles]:
        """The look of the mean over time, and the shift that brings the light's level to where it belongs."""
        if self.seconds == 0:
            return entry.look, np.zeros(3)
        near = [other for other in self._entries if self._is_near(entry, other)]
        apart = np.array([other.seconds - entry.seconds for other in near])
        alike = np.array([_likeness(entry, other) for other in near])
        weights = alike * _fading(apart / np.where(apart < 0, _PAST, 1) / self.seconds)
        levels = np.stack([other.level_C for other in near])
        shift_C = _back_to_line(apart, levels, alike * _fading(apart / _widths(apart, _LEVEL * self.seconds)))
        shift_C = np.clip(shift_C, -_WIDEST, _WIDEST)
        return mean_look([other.look for other in near], weights / weights.sum()), shift_C

    def _is_near(self, entry: _Entry[Carried], other: _Entry[Carried]) -> bool:
        apart = other.seconds - entry.seconds
        return other.scene == entry.scene and -_PAST * self.seconds < apart < self.seconds


def _likeness(entry: _Entry[Any], other: _Entry[Any]) -> float:
    """1 in the same light, and less the more it differs."""
    return math.exp(-((float(np.mean((other.blocks - entry.blocks) ** 2)) / _SAME_LIGHT**2) ** 2))


def _fading(apart: Doubles) -> Doubles:
    """cos² from 1 at 0 to 0 at 1 and beyond."""
    return np.cos(np.pi / 2 * np.minimum(np.abs(apart), 1)) ** 2


def _widths(apart: Doubles, width: float) -> Doubles:
    """How far pictures count, for each: wider on one side where a scene has too few on the other."""
    back, ahead = max(width + apart.min(), 0.0), max(width - apart.max(), 0.0)
    return cast(Doubles, np.where(apart < 0, width + ahead, width + back))


def _back_to_line(apart: Doubles, levels: Doubles, weights: Doubles) -> Doubles:
    """From the level at 0 to a straight line through all, n x 3, as far as they flicker around it."""
    shares = weights / weights.sum()
    middle, mean = shares @ apart, shares @ levels
    spread = float(shares @ (apart - middle) ** 2)
    slope = (shares * (apart - middle)) @ levels / spread if spread > 0 else np.zeros(3)
    line = mean + (apart - middle)[:, None] * slope
    flicker = float((shares @ (levels - line) ** 2).mean())
    here = int(np.argmin(np.abs(apart)))
    return (line[here] - levels[here]) * flicker / (flicker + _OWN_CHANGE**2)


class Trimmer:
    """Learns from results what they keep of the shifts that their pictures got, and takes that off.

    Changes of the results' levels are fitted to those of the shifts by least squares, so that what changes in
    the picture, whatever its light does, stays.

    Args:
        seconds: as of `Smoother`; how long what was learned counts.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self._memory = seconds
        self._last: tuple[float, int, Doubles, Doubles] | None = None
        self._product_C = self._square_C = np.zeros(3)

    def shift(self, seconds: float, scene: int, small_3SS: Floats, shift_C: Doubles) -> Doubles:
        """The shift of the next result's levels, for each channel; none where a scene begins.

        Args:
            seconds, scene: of its picture.
            small_3SS: its thumbnail, before this shift.
            shift_C: what its picture was shifted by.
        """
        values_3SS = small_3SS.astype(np.float64)
        last, self._last = self._last, (seconds, scene, values_3SS, shift_C)
        if last is None or last[1] != scene or self._memory == 0:
            self._product_C = self._square_C = np.zeros(3)
            return np.zeros(3)
        share = math.exp(-max(seconds - last[0], 0.0) / self._memory)
        change_C = shift_C - last[3]
        self._product_C = share * self._product_C + change_C * change_of_light(last[2], values_3SS)
        self._square_C = share * self._square_C + change_C**2
        kept_C = self._product_C / (self._square_C + _UNSURE**2)
        return -np.clip(kept_C, -_MOST_KEPT, _MOST_KEPT) * shift_C


def is_cut(before_3SS: Doubles, after_3SS: Doubles) -> bool:
    """Whether two thumbnails show different scenes, however the light changed between them."""
    before, after = (_levels(luma(values)) for values in (before_3SS, after_3SS))
    before, after = before - before.mean(), after - after.mean()
    if float(np.abs(after - before).mean()) < _CHANGED:
        return False
    product = float((before * after).sum())
    return product < _LIKE * math.sqrt(float((before**2).sum() * (after**2).sum()))


def change_of_light(before_3SS: Doubles, after_3SS: Doubles, power: float = 0.0) -> Doubles:
    """By how much the level of each channel changed, as a natural logarithm of linear light.

    It is a median over the thumbnail, of weights that rise with this power of the light.
    """
    return np.array([_change(*channel, power) for channel in zip(before_3SS, after_3SS, strict=True)])


def _change(before_SS: Doubles, after_SS: Doubles, power: float) -> float:
    is_seen = (np.minimum(before_SS, after_SS) > _DARKEST) & (np.maximum(before_SS, after_SS) < _BRIGHTEST)
    if is_seen.mean() < _FEWEST:
        return 0.0
    before, after = _levels(before_SS[is_seen]), _levels(after_SS[is_seen])
    return _median(after - before, np.exp(power / 2 * (before + after)))


def _median(values: Doubles, weights: Doubles) -> float:
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    up_to = np.cumsum(weights)
    return cast(float, np.interp(up_to[-1] / 2, up_to - weights / 2, values))


def _levels(values: Doubles) -> Doubles:
    """Natural logarithms of linear light."""
    return cast(Doubles, np.log(to_linear(np.clip(values, _DARKEST, 1))))


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


def shifted(photo: Photo, shift_C: Doubles, sample: Any = np.uint16) -> Photo:
    """The photo with its levels shifted, as if the light had changed; grey stays grey.

    Args:
        shift_C: natural logarithms of factors on linear light.
        sample: type of the result's pixels. Dark pictures of 8 bits have few levels, and rounded to them once
            more they would be off by a per cent, each shift by another.
    """
    if not shift_C.any() and photo.rgb_HWC.dtype == sample:
        return photo
    if photo.grey:
        shift_C = np.full(3, shift_C.mean())
    last, top = (int(np.iinfo(each).max) for each in (photo.rgb_HWC.dtype, sample))
    linear = to_linear(np.arange(last + 1) / last)
    pixels: Any = np.empty(photo.rgb_HWC.shape, sample)
    for channel, shift in enumerate(shift_C):
        table = np.rint(to_srgb(np.minimum(linear * np.exp(shift), 1)) * top).astype(sample)
        np.take(table, photo.rgb_HWC[..., channel], out=pixels[..., channel], mode="clip")
    return photo.with_pixels(pixels)
