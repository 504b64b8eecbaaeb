"""Controls: settled once for a whole photo on a small preview of it, then applied pixel by pixel.

The preview is the thumbnail that the global pass sees, before and after the network. It tells the *effective
gain* of each channel: the one for which the exposure curve brings the channel to the mean that the network
gave it. So the controls know what a model does without knowing how it does it, and since what follows is
pointwise, tiles join as exactly as without them.

All values are sRGB-encoded and in [0, 1], as the networks work. Gains add up: the curve of gain g followed by
that of gain k is the curve of gain g k, for the curve shifts log(x / (1 - x)) by log(g).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from relume.options import Controls, Strength

Array = npt.NDArray[np.float32]
Gains = npt.NDArray[np.float64]
"""One positive gain a channel."""

LUMA_C = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. 601."""

DARK_KEY, LIT_KEY = 0.26, 0.42
"""Keys up to which `auto` changes a photo wholly, and from which on it leaves it alone.

Every dark photo of SICE has a key below 0.21 and 95 % of LOL's below 0.11; three quarters of their well-lit
partners lie above 0.36, and the default model changes those between little.
"""

BRIGHT_ENOUGH = 0.44
"""Mean luma up to which `auto` brightens a photo: on the held-out scenes of LOL-v1 the best for plain PSNR,
and on those of SICE better than more. A bright scene at half its light needs nothing, so at less light it
must not become much brighter than that."""

_DOUBTED = 0.1
"""Stops between channels of which a colour guard of 1/2 keeps half, and the default half of three times as
many. Less is rather the network's error than the colour of the light, as a grey card shows that is darkened
(`benchmarks/safety.py`)."""

_DARKEST = 1 / 510
"""Half a step of 8 bits: nothing is known of a channel below it, nor above its mirror image."""

_WIDEST = 20.0
"""Stops; more than lie between `_DARKEST` and its mirror image."""

_HALVINGS = 24


@dataclass(frozen=True)
class Adjustment:
    """What is done to each pixel of the network's result.

    Attributes:
        strength: share of the change that is kept, in [0, 1]; 0 means that nothing need be computed.
        denoise, highlight_guard: see `Controls`.
        gain_C: effective gains of the network.
        correction_C: gains that are applied after the network.
    """

    strength: float = 1.0
    denoise: float = 1.0
    highlight_guard: float = 0.0
    gain_C: Gains = field(default_factory=lambda: np.ones(3))
    correction_C: Gains = field(default_factory=lambda: np.ones(3))


class Preview:
    """A thumbnail of the photo before and after the network, which runs only where that matters, and once.

    Args:
        before_3SS: the thumbnail.
        network: returns what the network makes of it.
    """

    def __init__(self, before_3SS: Array, network: Callable[[], Array]) -> None:
        self.before = before_3SS
        self._network = network

    @cached_property
    def after(self) -> Array:
        """What the network makes of the thumbnail, 3 x S x S."""
        return self._network()

    @cached_property
    def gains(self) -> Gains:
        """The network's effective gains."""
        return effective_gain(self.before, self.after)


def settle(controls: Controls, preview: Preview) -> Adjustment:
    """Decide what to do with a photo: what the user wants, seen on the preview."""
    before_3SS = preview.before
    automatic = controls.strength == "auto" and controls.exposure is None
    strength = auto_strength(before_3SS) if automatic else _number(controls.strength)
    plain = Adjustment(strength, controls.denoise, controls.highlight_guard)
    network_alone = controls.denoise == 1 and controls.colour_guard == 0 and controls.exposure is None
    if strength == 0 or (network_alone and not automatic):
        return plain
    after_3SS, gain_C = preview.after, preview.gains
    guarded = replace(plain, gain_C=gain_C, correction_C=guard_colour(gain_C, controls.colour_guard))
    if controls.exposure is not None:
        return _expose(guarded, before_3SS, after_3SS, controls.exposure)
    if not automatic:
        return guarded
    own_mean, mean = _mean_luma(before_3SS), _predict(guarded, before_3SS, after_3SS)
    wanted = max(own_mean, min(mean, BRIGHT_ENOUGH))
    return guarded if wanted == mean else _expose(guarded, before_3SS, after_3SS, wanted)


def _number(strength: Strength) -> float:
    return 1.0 if strength == "auto" else float(strength)


def auto_strength(image_3HW: Array) -> float:
    """How dark a photo is: 1 up to `DARK_KEY`, 0 from `LIT_KEY` on, smooth and falling between.

    Its *key* is the square of the mean square root of luma: between the mean, which a bright window or a few
    lamps lift although the room is dark, and the log-average luminance, which black surroundings spoil
    (Reinhard et al., "Photographic Tone Reproduction for Digital Images", SIGGRAPH 2002).
    """
    key = float(np.sqrt(luma(image_3HW)).mean()) ** 2
    share = min(max((LIT_KEY - key) / (LIT_KEY - DARK_KEY), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def effective_gain(before_3SS: Array, after_3SS: Array) -> Gains:
    """The gains that bring each channel of `before` to its mean in `after`, between 2^-20 and 2^20."""
    before, after = (np.clip(image, _DARKEST, 1 - _DARKEST) for image in (before_3SS, after_3SS))
    wanted_C = after.mean((1, 2), dtype=np.float64)
    return np.exp2(
        _bisect(lambda stops_C: exposure_curve(before, np.exp2(stops_C)).mean((1, 2)) < wanted_C, 3)
    )


def guard_colour(gain_C: Gains, guard: float) -> Gains:
    """Corrections that bring the channels' gains together, luma about unchanged; see `Controls`.

    Args:
        gain_C: effective gains of the network.
        guard: `colour_guard`, in [0, 1].
    """
    stops_C = np.log2(gain_C)
    mean = float(stops_C @ LUMA_C)
    spread = float(np.ptp(stops_C))
    if guard == 0 or spread == 0:
        return np.ones(3)
    bound = min(1.0, (1 - guard) * abs(mean) / (guard * spread))
    trust = (1 - guard) * spread / ((1 - guard) * spread + guard * _DOUBTED)
    return np.exp2((bound * trust - 1) * (stops_C - mean))


def _expose(adjustment: Adjustment, before_3SS: Array, after_3SS: Array, target: float) -> Adjustment:
    """The adjustment with one more gain for all channels, so that the mean luma becomes `target`."""

    def brighter(stops: Gains) -> Adjustment:
        return replace(adjustment, correction_C=adjustment.correction_C * np.exp2(stops))

    def too_dark(stops: Gains) -> npt.NDArray[np.bool_]:
        return np.array([_predict(brighter(stops), before_3SS, after_3SS) < target])

    return brighter(_bisect(too_dark, 1))


def _predict(adjustment: Adjustment, before_3SS: Array, after_3SS: Array) -> float:
    """Mean luma of the thumbnail's result at strength 1."""
    result = after_3SS.copy()
    adjust(before_3SS, result, replace(adjustment, strength=1.0))
    return _mean_luma(result)


def _bisect(too_low: Callable[[Gains], npt.NDArray[np.bool_]], size: int) -> Gains:
    """Stops in [-20, 20], each where its `too_low` turns from true to false."""
    low, high = np.full(size, -_WIDEST), np.full(size, _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = too_low(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def adjust(image_3HW: Array, enhanced_3HW: Array, adjustment: Adjustment) -> None:
    """Turn the network's result into the user's, in place.

    Args:
        image_3HW: the photo, or rows of it; not changed.
        enhanced_3HW: what the network returned for it; becomes the result.
        adjustment: from `settle`.
    """
    if adjustment.denoise < 1:
        bright_3HW = exposure_curve(image_3HW, adjustment.gain_C)
        _blend(bright_3HW, enhanced_3HW, np.float32(adjustment.denoise))
    if (adjustment.correction_C != 1).any():
        enhanced_3HW[...] = exposure_curve(enhanced_3HW, adjustment.correction_C)
    if adjustment.highlight_guard > 0:
        _blend(image_3HW, enhanced_3HW, _kept(image_3HW, adjustment))
    elif adjustment.strength < 1:
        _blend(image_3HW, enhanced_3HW, np.float32(adjustment.strength))


def _kept(image_3HW: Array, adjustment: Adjustment) -> Array:
    """Share of the change that each pixel keeps: the strength, less where its largest channel is bright.

    Its cube leaves dark pixels alone, and keeps the whole tone curve rising for gains of up to 3.5 stops; a
    blend that set in later would turn brightness around there.
    """
    brightest_HW = np.maximum(image_3HW[0], image_3HW[1])
    np.maximum(brightest_HW, image_3HW[2], out=brightest_HW)
    share_HW = brightest_HW * brightest_HW
    np.multiply(share_HW, brightest_HW, out=share_HW)
    np.multiply(share_HW, np.float32(-adjustment.strength * adjustment.highlight_guard), out=share_HW)
    return np.add(share_HW, np.float32(adjustment.strength), out=share_HW)


def _blend(start_3HW: Array, end_3HW: Array, share: Array | np.float32) -> None:
    """`start + share (end - start)`, into `end`."""
    np.subtract(end_3HW, start_3HW, out=end_3HW)
    np.multiply(end_3HW, share, out=end_3HW)
    np.add(end_3HW, start_3HW, out=end_3HW)


def exposure_curve(image_3HW: Array, gain_C: Gains) -> Array:
    """The exposure curve `g x / (1 + (g - 1) x)`, divided through by g as in the network."""
    inverse_C11 = (1 / gain_C).astype(np.float32)[:, None, None]
    slope_3HW = image_3HW * (1 - inverse_C11)
    slope_3HW += inverse_C11
    return np.divide(image_3HW, slope_3HW, out=slope_3HW)


def luma(image_3HW: Array) -> Array:
    """Rec. 601 luma, H x W."""
    return np.tensordot(LUMA_C, image_3HW, axes=(0, 0))


def _mean_luma(image_3HW: Array) -> float:
    return float(luma(image_3HW).mean(dtype=np.float64))
