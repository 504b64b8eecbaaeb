"""Controls: settled once for a whole photo on a small preview of it, then applied pixel by pixel.

The preview is the thumbnail that the global pass sees, before and after the network. It tells the *effective
gain* of each channel: the one for which the exposure curve, on top of the gains that differ from place to
place, brings the channel to the mean that the network gave it. So the controls know what a model does without
knowing how it does it, and since what follows is pointwise, tiles join as exactly as without them.

Whatever the controls do to a pixel rises with its brightness before, so none of them turns the order of
brightness around.

All values are sRGB-encoded and in [0, 1], as the networks work. Gains add up: the curve of gain g followed by
that of gain k is the curve of gain g k, for the curve shifts log(x / (1 - x)) by log(g).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from relume.arrays import Array, constant, is_numpy, namespace
from relume.colour import LUMA_REC601, luma
from relume.options import Controls
from relume.steps.curve import curve_of_inverse, exposure_curve

DARK_KEY, LIT_KEY = 0.26, 0.42
"""Keys up to which `auto` changes a photo wholly, and from which on it leaves it alone.

Every dark photo of SICE has a key below 0.21 and 95 % of LOL's below 0.11; three quarters of their well-lit
partners lie above 0.36, and the default model changes those between little.
"""

BRIGHT_ENOUGH = 0.44
"""Mean luma up to which `auto` brightens a photo: on the held-out scenes of LOL-v1 the best for plain PSNR,
and on those of SICE better than more. A bright scene at half its light needs nothing, so at less light it
must not become much brighter than that."""

_HARDLY, _WORTH = 1.4, 2.0
"""Gains in key up to which `auto` leaves a photo alone, and from which on it is changed wholly.

A network still brightens nights that are right as they are, and dark screens, by 1.1 to 1.6. Every dark photo
of the held-out scenes of LOL-v1 and SICE gains 3 or more.
"""

_DOUBTED = 0.1
"""Stops between channels of which a colour guard of 1/2 keeps half, and the default half of three times as
many. Less is rather the network's error than the colour of the light, as a grey card shows that is darkened
(`benchmarks/safety.py`)."""

_DARKEST = 1 / 510
"""Half a step of 8 bits: nothing is known of a channel below it, nor above its mirror image."""

_UNSEEN = 1.95 / 255
"""Mean luma at which half of the change is kept, and all of it from twice as much on: a frame of level 1
becomes one of level 8 at most."""

_NIGHT, _DUSK = 10 / 255, 20 / 255
"""Keys up to which points of light tell a night, and from which on they tell nothing."""

_FEW, _MANY = 0.005, 0.01
"""Shares of a thumbnail that are points of light: up to the first a photo is no sky of stars, from the second
on it is one. The dark photos of LOL-v1 and SICE have at most 0.0031, and of 828 clean ones that are darkened
only one in a hundred more than 0.005; of starry skies made by formula, nine in ten have more than 0.0075 at
450 and at 900 pixels."""

_GLIMMER = 2 / 255
"""What is added to luma before its logarithm: differences below are those of quantisation."""

_POINT = 0.05
"""Natural logarithm of what makes a place a whole point: 5 % above what surrounds it."""

_HEADROOM, _FALL, _SHOULDER = 0.25, 0.95, 1.0
"""Of the highlight guard, in log odds."""

_KEPT = 0.7
"""The smallest gain that the highlight guard allows where nothing is bright: noise may be taken for black."""

_LIGHTS = 0.12, 0.45
"""Largest channels between which that gain rises to 1: no channel of a light becomes darker."""

_SHADOW = 0.02
"""Five levels of 8 bits: the highlight guard takes everything darker for as bright as this."""

_TINY = 1e-6

_WIDEST = 20.0
"""Stops; more than lie between `_DARKEST` and its mirror image."""

_HALVINGS = 24


@dataclass(frozen=True, eq=False)
class Adjustment:
    """What is done to each pixel of the network's result.

    Attributes:
        strength: share of the change that is kept, in [0, 1]; 0 means that nothing need be computed.
        denoise, highlight_guard: see `Controls`.
        gain_C: effective gains of the network, on top of those that differ from place to place; None where
            nothing asks for them.
        correction_C: gains that are applied after the network; None for none.
    """

    strength: Array
    denoise: Array
    highlight_guard: Array
    gain_C: Array = None
    correction_C: Array | None = None


class Change(NamedTuple):
    """What a network does to pixels.

    Attributes:
        before: the photo, or a part of it, 3 x H x W.
        after: what the network makes of it, 3 x H x W.
        local_gain: logarithm of the network's gains that differ from place to place, 1 x H x W.
    """

    before: Array
    after: Array
    local_gain: Array

    def brightened(self, gain_C: Array) -> Array:
        """What brightening alone makes of the photo: by these gains, and those of each place."""
        xp = namespace(self.local_gain)
        # Products in double precision, as gains are settled, would take three times as long.
        inverse_C = xp.astype(1 / gain_C, self.local_gain.dtype)
        return curve_of_inverse(self.before, xp.exp(-self.local_gain) * inverse_C[:, None, None])


def is_automatic(controls: Controls) -> bool:
    """Whether the photo decides how much it is changed."""
    return controls.strength == "auto" and controls.exposure is None


def needs_preview(controls: Controls) -> bool:
    """Whether the controls depend on what the network makes of the photo."""
    alone = controls.denoise == 1 and controls.colour_guard == 0 and controls.exposure is None
    return is_automatic(controls) or not alone


def strength_for(controls: Controls, before_3HW: Array) -> Array:
    """The strength that the user wants, or that a photo with this thumbnail needs."""
    if is_automatic(controls):
        return _own_strength(before_3HW)
    return 1.0 if controls.strength == "auto" else float(controls.strength)


def asked(controls: Controls, strength: Array) -> Adjustment:
    """What the controls themselves ask for; all that is done where they need no preview."""
    return Adjustment(strength, controls.denoise, controls.highlight_guard)


def settle(controls: Controls, preview: Change, strength: Array | None = None) -> Adjustment:
    """Decide what to do with a photo: what the user wants, seen on a preview of it.

    Args:
        strength: from `strength_for`, where it has been asked already.
    """
    gain_C = effective_gain(preview)
    strength = strength_for(controls, preview.before) if strength is None else strength
    adjustment = replace(asked(controls, strength), gain_C=gain_C)
    if not needs_preview(controls):
        return adjustment
    adjustment = replace(adjustment, correction_C=guard_colour(gain_C, controls.colour_guard))
    if controls.exposure is not None:
        return _expose(adjustment, preview, constant(controls.exposure, gain_C))
    if not is_automatic(controls):
        return adjustment
    return _bright_enough(adjustment, preview)


def settle_arrays(
    preview: Change, strength: Array, denoise: Array, exposure: Array, highlight_guard: Array, guard: Array
) -> Adjustment:
    """As `settle`, for graphs that take the controls as inputs: without a branch on what they are.

    Args:
        preview: as for `settle`.
        strength, denoise, exposure, highlight_guard, guard: the fields of `Controls`, `colour_guard` last, as
            arrays without a dimension; a strength below 0 is `auto`, an exposure below 0 none.
    """
    xp = namespace(preview.before, preview.after)
    gain_C = effective_gain(preview)
    correction_C = guard_colour(gain_C, xp.clip(guard, _TINY, None))
    adjustment = Adjustment(1.0, denoise, highlight_guard, gain_C, correction_C)
    after_HW, given = _predicted(adjustment, preview), exposure >= 0
    mean = _mean(after_HW)
    automatic = (strength < 0) & ~given
    wanted = xp.where(automatic, _wanted(preview, mean), mean)
    wanted = xp.where(given, xp.astype(exposure, mean.dtype), wanted)
    found = _expose(adjustment, preview, wanted)
    own = _own_strength(preview.before) * worth(luma(preview.before), after_HW)
    chosen = xp.where(strength < 0, xp.ones_like(own), xp.astype(strength, own.dtype))
    return replace(
        adjustment,
        strength=xp.where(automatic, own, chosen),
        correction_C=xp.where(wanted == mean, correction_C, found.correction_C),
    )


def _wanted(preview: Change, mean: Array) -> Array:
    """What `auto` makes of a predicted mean luma: no darker than before, and not too bright."""
    return namespace(mean).maximum(
        _mean_luma(preview.before), namespace(mean).clip(mean, None, BRIGHT_ENOUGH)
    )


def _bright_enough(adjustment: Adjustment, preview: Change) -> Adjustment:
    """No darker than before, and otherwise no brighter than `BRIGHT_ENOUGH`; alone if hardly brighter."""
    xp = namespace(preview.before, preview.after)
    after_HW = _predicted(adjustment, preview)
    strength = adjustment.strength * worth(luma(preview.before), after_HW)
    adjustment, mean = replace(adjustment, strength=strength), _mean(after_HW)
    wanted = _wanted(preview, mean)
    if is_numpy(wanted) and (wanted == mean or strength == 0):
        return adjustment  # spares a search; in a graph, which has no branches, it finds what is there
    found = _expose(adjustment, preview, wanted)
    correction_C = xp.where(wanted == mean, adjustment.correction_C, found.correction_C)
    return replace(found, correction_C=correction_C)


def worth(before_HW: Array, after_HW: Array) -> Array:
    """Whether a change is worth making, by luma before and after: 0 if it hardly raises the key, up to 1."""
    xp = namespace(before_HW, after_HW)
    before, after = (xp.clip(key(luma_HW), _DARKEST, 1 - _DARKEST) for luma_HW in (before_HW, after_HW))
    gain = after * (1 - before) / (before * (1 - after))
    return _risen(xp.clip((gain - _HARDLY) / (_WORTH - _HARDLY), 0.0, 1.0))


def _own_strength(image_3HW: Array) -> Array:
    luma_HW = luma(image_3HW)
    return auto_strength(luma_HW) * evidence(luma_HW) * (1 - starry(luma_HW))


def auto_strength(luma_HW: Array) -> Array:
    """How dark a photo is: 1 up to `DARK_KEY`, 0 from `LIT_KEY` on, smooth and falling between."""
    return _risen(namespace(luma_HW).clip((LIT_KEY - key(luma_HW)) / (LIT_KEY - DARK_KEY), 0.0, 1.0))


def key(luma_HW: Array) -> Array:
    """The square of the mean square root of luma: how bright a scene appears as a whole.

    It lies between the mean, which a bright window or a few lamps lift although the room is dark, and the
    log-average luminance, which black surroundings spoil (Reinhard et al., "Photographic Tone Reproduction
    for Digital Images", SIGGRAPH 2002).
    """
    xp = namespace(luma_HW)
    return xp.astype(xp.mean(xp.sqrt(luma_HW)), xp.float64) ** 2


def evidence(luma_HW: Array) -> Array:
    """How much is to be seen in a photo: 1, but less where its mean is hardly one step of 8 bits, 0 for none.

    There is nothing to bring out of such frames but noise, and what is black stays black.
    """
    power = _mean(luma_HW) ** 4
    return namespace(power).clip(1.05 * power / (power + _UNSEEN**4), None, 1.0)


def starry(luma_HW: Array) -> Array:
    """How sure it is that this is a night of stars or lit windows, right as it is: in [0, 1].

    It is one where the key is low and much of the thumbnail is points of light.
    """
    xp = namespace(luma_HW)
    dark = xp.clip((_DUSK - key(luma_HW)) / (_DUSK - _NIGHT), 0.0, 1.0)
    many = xp.clip((points_of_light(luma_HW) - _FEW) / (_MANY - _FEW), 0.0, 1.0)
    return _risen(dark) * _risen(many)


def points_of_light(luma_HW: Array) -> Array:
    """Share of places that stand out alone from dark and even surroundings, less those that lie below them.

    A place is compared with the 16 that lie two away from it, and must be beyond them all by half of what
    they differ among themselves, in the logarithm of luma. Photographs have about as many pits as points,
    noise included; stars and lit windows are points alone.

    Args:
        luma_HW: of a thumbnail, at least 5 x 5.
    """
    xp = namespace(luma_HW)
    light_HW = xp.log(luma_HW + _GLIMMER)
    around = xp.stack(
        [
            light_HW[2 + down : down - 2 or None, 2 + right : right - 2 or None]
            for down in range(-2, 3)
            for right in range(-2, 3)
            if max(abs(down), abs(right)) == 2
        ]
    )
    brightest, darkest = xp.max(around, axis=0), xp.min(around, axis=0)
    even = (brightest - darkest) / 2
    centre = light_HW[2:-2, 2:-2]
    above = xp.clip(centre - brightest - even, 0.0, _POINT)
    below = xp.clip(darkest - centre - even, 0.0, _POINT)
    return xp.mean(xp.astype(above - below, xp.float64)) / _POINT


def effective_gain(preview: Change) -> Array:
    """The gains that bring each channel of a photo to the mean that a network gave it: 2^-20 to 2^20.

    They come on top of the gains that differ from place to place.
    """
    xp = namespace(preview.before, preview.after)
    bright = preview.brightened(xp.ones_like(preview.before[:, 0, 0]))
    before, after = (xp.clip(image, _DARKEST, 1 - _DARKEST) for image in (bright, preview.after))
    wanted_C = xp.mean(xp.astype(after, xp.float64), axis=(1, 2))

    def too_dark(gain_C: Array) -> Array:
        return xp.mean(exposure_curve(before, gain_C[:, None, None]), axis=(1, 2)) < wanted_C

    return _gain_between(too_dark, wanted_C)


def guard_colour(gain_C: Array, guard: Array) -> Array:
    """Corrections that bring the channels' gains together, luma about unchanged; see `Controls`.

    Args:
        gain_C: effective gains of the network.
        guard: `colour_guard`, a number in [0, 1], or an array without a dimension above 0.
    """
    xp = namespace(gain_C)
    if _is(guard, 0):
        return xp.ones_like(gain_C)
    stops_C = xp.log2(gain_C)
    weights_C = xp.astype(xp.asarray(LUMA_REC601, dtype=xp.float32), stops_C.dtype)  # rounded as in `luma`
    mean = xp.sum(stops_C * weights_C)
    spread = xp.max(stops_C, axis=0) - xp.min(stops_C, axis=0)
    apart = xp.where(spread == 0, xp.ones_like(spread), spread)  # equal channels divide by nothing
    bound = xp.clip((1 - guard) * xp.abs(mean) / (guard * apart), None, 1.0)
    trust = (1 - guard) * apart / ((1 - guard) * apart + guard * _DOUBTED)
    return xp.where(spread == 0, xp.ones_like(gain_C), 2.0 ** ((bound * trust - 1) * (stops_C - mean)))


def _expose(adjustment: Adjustment, preview: Change, target: Array) -> Adjustment:
    """The adjustment with one more gain for all channels, so that the mean luma becomes `target`."""

    def brighter(gain: Array) -> Adjustment:
        return replace(adjustment, correction_C=adjustment.correction_C * gain)

    # The same for every gain that is tried.
    guard, xp = adjustment.highlight_guard, namespace(preview.before)
    room = None if _is(guard, 0) else room_for(xp.max(preview.before, axis=0, keepdims=True), guard)

    def too_dark(gain: Array) -> Array:
        return _mean(_predicted(brighter(gain), preview, room)) < target

    return brighter(_gain_between(too_dark, target))


def _predicted(adjustment: Adjustment, preview: Change, room: Room | None = None) -> Array:
    """Luma of the thumbnail's result at strength 1; `room` as for `adjust`."""
    return luma(adjust(preview, replace(adjustment, strength=1.0), room))


def _gain_between(too_low: Callable[[Array], Array], like: Array) -> Array:
    """Gains from 2^-20 to 2^20, each where its `too_low` turns from true to false; of the shape of `like`."""
    xp = namespace(like)
    low, high = xp.full_like(like, -_WIDEST), xp.full_like(like, _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = too_low(2.0**middle)
        low, high = xp.where(below, middle, low), xp.where(below, high, middle)
    return 2.0 ** ((low + high) / 2)


class Room(NamedTuple):
    """What the highlight guard leaves to pixels, by their brightness before.

    Attributes:
        limit: the most that their largest channel may become.
        lost: the inverse of the least gain that each of their channels has.
        own: share of their own colour in what they become.
    """

    limit: Array
    lost: Array
    own: Array

    @property
    def is_for_lights(self) -> bool:
        """Whether any of the pixels may be one; a graph, which has no branches, takes them for some."""
        return _any(self.own)


@dataclass(frozen=True, eq=False)
class TableOfRooms:
    """What `Room` has of each pixel, looked up where asked for: most parts of a photo need little of it.

    Attributes:
        rooms: of each value that a pixel can have.
        brightest: the pixels' largest channels, whole numbers.
    """

    rooms: Room
    brightest: Array

    @property
    def is_for_lights(self) -> bool:
        """Whether any of the pixels is one: the share of their own colour rises with brightness."""
        return bool(self.rooms.own[self.brightest.max(initial=0)] > 0)

    @cached_property
    def limit(self) -> Array:
        return self._of(self.rooms.limit)

    @cached_property
    def lost(self) -> Array:
        return self._of(self.rooms.lost)

    @property
    def own(self) -> Array:
        return self._of(self.rooms.own)

    @cached_property
    def _index(self) -> Array:
        return namespace(self.brightest).astype(self.brightest, namespace(self.brightest).intp)

    def _of(self, values: Array) -> Array:
        # None lies outside, and not to look for such takes two thirds of the time.
        return namespace(values).take(values, self._index, mode="wrap")


def adjust(change: Change, adjustment: Adjustment, room: Room | TableOfRooms | None = None) -> Array:
    """Turn the network's result into the user's: 3 x H x W in [0, 1].

    Args:
        change: what the network does to a photo, or to rows of it.
        adjustment: from `settle`.
        room: that of `room_for` at each pixel, 1 x H x W, where it is known already.
    """
    image_3HW, enhanced_3HW, _ = change
    if not _is(adjustment.denoise, 1):
        bright_3HW = change.brightened(adjustment.gain_C)
        enhanced_3HW = _blend(bright_3HW, enhanced_3HW, adjustment.denoise)
    if adjustment.correction_C is not None:
        enhanced_3HW = exposure_curve(enhanced_3HW, adjustment.correction_C[:, None, None])
    if not _is(adjustment.highlight_guard, 0):
        enhanced_3HW = guard_highlights(image_3HW, enhanced_3HW, adjustment.highlight_guard, room)
    if _is(adjustment.strength, 1):
        return enhanced_3HW
    return _blend(image_3HW, enhanced_3HW, adjustment.strength)


def _is(control: Array, number: float) -> bool:
    """Whether a control is a number and this one; an array, as graphs have it, can be any."""
    return isinstance(control, int | float) and control == number


def guard_highlights(
    image_3HW: Array, enhanced_3HW: Array, guard: Array, room: Room | TableOfRooms | None = None
) -> Array:
    """Keep lights: room above what becomes bright for what was brighter, and hardly anything gets darker.

    The limit is on the largest channel of a pixel, m before. In log odds, t = log(m / (1 - m)), it lies above
    t by `0.25 / guard + 0.95 log(1 + exp(1 + 2 (1 / guard - 1) - t))`: a little for what is bright, and for
    each unit that a pixel is darker nearly a unit more. With a guard of 1 what had 5 levels of 255 becomes at
    most 187, 76 at most 200, 204 at most 228; all channels are limited alike, so hue stays. No channel falls
    below what a gain makes of it that rises with m from `0.7 kept` to `kept`, where `kept` is
    `min(1, 2 guard)`: lamps and windows keep their light. And they keep their colour: as m rises, up to that
    same share of the result is what one gain for all channels makes of them, the one for its luma. Where a
    network takes light from one channel of a lamp and gives it to another, a ring of another hue is seen.
    What has a colour may thus pass the limit in its largest channel, though not in luma.

    Args:
        image_3HW, enhanced_3HW: pixels before and after, in [0, 1].
        guard: a number above 0, or an array without a dimension that may be 0; 1 limits the most.
        room: as for `adjust`.
    """
    xp = namespace(image_3HW, enhanced_3HW)
    room = room or room_for(xp.max(image_3HW, axis=0, keepdims=True), guard)
    result = xp.max(enhanced_3HW, axis=0, keepdims=True)
    # What changes nothing is found out by less than it takes, and is not done in most parts of a dark photo.
    guarded_3HW = enhanced_3HW
    if _any(result > room.limit):
        # Bounds on both sides, though one would do: NumPy is three times as fast so.
        guarded_3HW = enhanced_3HW * xp.clip(room.limit / xp.clip(result, _TINY, 1.0), 0.0, 1.0)
    if _any(guarded_3HW < image_3HW):
        guarded_3HW = xp.maximum(guarded_3HW, curve_of_inverse(image_3HW, room.lost))
    if room.is_for_lights:
        guarded_3HW = _blend(guarded_3HW, _in_own_colour(image_3HW, guarded_3HW, room), room.own)
    return guarded_3HW if isinstance(guard, int | float) else xp.where(guard > 0, guarded_3HW, enhanced_3HW)


def _any(found: Array) -> bool:
    """Whether anything was found; a graph, which has no branches, takes it for so."""
    return not is_numpy(found) or bool(found.any())


def _in_own_colour(image_3HW: Array, guarded_3HW: Array, room: Room | TableOfRooms) -> Array:
    """What one gain for all channels makes of pixels, the one for the luma that they are guarded to.

    Its limit is luma alone. That of the room is on the largest channel, which in a coloured lamp is bright
    before the others are: to hold the gain to it too makes the lamp's core darker than its glow.
    """
    xp = namespace(image_3HW, guarded_3HW)
    before, after = (xp.clip(luma(part)[None], _DARKEST, 1 - _DARKEST) for part in (image_3HW, guarded_3HW))
    inverse = before * (1 - after)
    inverse /= after * (1 - before)
    return curve_of_inverse(image_3HW, xp.minimum(inverse, room.lost))


def room_for(brightest: Array, guard: Array) -> Room:
    """What the highlight guard leaves to pixels, by their largest channels, of any shape.

    Args:
        guard: as for `guard_highlights`.
    """
    xp = namespace(brightest)
    # What is black by noise alone must not stay black among its neighbours.
    brightest = xp.clip(brightest, _SHADOW, 1 - _TINY)
    odds = brightest / (1 - brightest)
    given = constant(guard, odds) if isinstance(guard, int | float) else guard
    looser = xp.clip(1 / given - 1, None, 10.0)  # from there on nothing is limited
    shoulder, headroom = xp.exp(_SHOULDER + 2 * looser), xp.exp(_HEADROOM * (1 + looser))
    limit = (odds + shoulder) ** _FALL * odds ** (1 - _FALL) * headroom
    limit = limit / (1 + limit)
    share = xp.clip((brightest - _LIGHTS[0]) / (_LIGHTS[1] - _LIGHTS[0]), 0.0, 1.0)
    kept = xp.clip(2 * given, _TINY, 1.0)  # where it is loose, lights keep their colour all the same
    lost = 1 / (kept * (_KEPT + _risen(share, 1 - _KEPT)))
    return Room(limit, lost, kept * _risen(share))


def _risen(share: Array, most: float = 1.0) -> Array:
    """From 0 to `most` as the share goes from 0 to 1, without an edge at either end."""
    return most * share * share * (3 - 2 * share)


def _blend(start_3HW: Array, end_3HW: Array, share: Array) -> Array:
    """`start + share (end - start)`."""
    blended_3HW = end_3HW - start_3HW
    blended_3HW *= share
    blended_3HW += start_3HW
    return blended_3HW


def _mean_luma(image_3HW: Array) -> Array:
    return _mean(luma(image_3HW))


def _mean(luma_HW: Array) -> Array:
    xp = namespace(luma_HW)
    return xp.mean(xp.astype(luma_HW, xp.float64))
